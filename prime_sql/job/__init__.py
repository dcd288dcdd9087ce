"""Jobs: one file says what to search, check, write and fail on, and one command does it."""

from prime_sql.job.environment import Environment
from prime_sql.job.file import Job, JobFile, read
from prime_sql.job.steps import Finished, PublishedInterrupt, run

__all__ = ["Environment", "Finished", "Job", "JobFile", "PublishedInterrupt", "read", "run"]
