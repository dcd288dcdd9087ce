"""Gates: conditions on the failure modes of a run; an alias of `prime_sql.questions.gates`."""

from prime_sql.questions.gate_files import junit, markdown
from prime_sql.questions.gates import COLUMNS, NEW, Gate, Outcome, check, judge, parse

__all__ = ["COLUMNS", "NEW", "Gate", "Outcome", "check", "judge", "junit", "markdown", "parse"]
