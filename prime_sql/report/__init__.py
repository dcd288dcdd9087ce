"""What people look at: a run as typed report data, and as HTML, JSON and text."""

from prime_sql.report.collection import collect
from prime_sql.report.data import Report

__all__ = ["Report", "collect"]
