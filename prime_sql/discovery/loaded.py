"""What was found while loading the inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

from prime_sql.engine.errors import warn


@dataclass
class Inputs:
    """What was found while loading: where the tables came from, their sizes, and what was odd."""

    sources: dict[str, str]
    rows: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    part: str | None = None  # the part of the predictions, as in "split = 'test'"

    @property
    def about(self) -> str:
        """How messages about a part of the predictions begin."""
        return f"where {self.part}: " if self.part else ""

    def warn(self, message: str) -> None:
        """Keep a warning for the run, and show it now."""
        message = self.about + message
        self.warnings.append(message)
        warn(message)
