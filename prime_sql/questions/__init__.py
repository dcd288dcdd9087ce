"""What to ask a stored run: chance, unseen data, what matters, what changed, what to do."""
