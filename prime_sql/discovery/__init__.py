"""From tables to a stored run: the search of PRIME (section 3), and what it counts with."""
