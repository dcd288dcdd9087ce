"""Speed and memory of the search on generated data: ``python -m benchmarks``."""
