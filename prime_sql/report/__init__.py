"""What people look at: a run as typed report data, and as HTML, JSON and text."""

from prime_sql.report.report import Report

__all__ = ["Report"]
