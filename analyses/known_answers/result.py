"""What ``analyses.known_answers`` finds: the scoreboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One method's answer to one question about one sorter."""

    method: str
    sorter: str
    said: Any
    true: Any

    @property
    def right(self) -> bool:
        """Numbers are right to a percent."""
        if isinstance(self.true, float) and isinstance(self.said, (int, float)):
            return abs(self.said - self.true) <= 0.01
        return bool(self.said == self.true)


@dataclass(frozen=True)
class KnownAnswers:
    """The scoreboard."""

    rows: tuple[Row, ...]
    max_len: int
    task: str = "sort"

    @property
    def sorters(self) -> tuple[str, ...]:
        """Whose answers they are, in order."""
        return tuple(dict.fromkeys(row.sorter for row in self.rows))

    @property
    def wrong(self) -> list[Row]:
        return [row for row in self.rows if not row.right]
