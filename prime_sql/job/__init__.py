"""Jobs: one file says what to search, check, write and fail on, and one command does it."""

from prime_sql.job.binding import bind
from prime_sql.job.environment import Environment
from prime_sql.job.read import read
from prime_sql.job.sections import Job, JobFile
from prime_sql.job.steps import Finished, PublishedInterrupt, run

__all__ = ["Environment", "Finished", "Job", "JobFile", "PublishedInterrupt", "bind", "read", "run"]
