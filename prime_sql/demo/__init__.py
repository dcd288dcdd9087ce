"""The emoji example: its tables, and how they are made from pictures."""
