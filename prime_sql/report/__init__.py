"""What people look at: a run as typed report data, and as HTML, JSON and text."""

from prime_sql.report.data import Report, collect

__all__ = ["Report", "collect"]
