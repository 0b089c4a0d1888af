"""What ``analyses.one_list.programs`` finds: the model and every program, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """The model and the programs after some outputs."""

    prefix: tuple[int, ...]
    token: int
    """What the model says; may be no digit."""
    probability: float
    traces: Mapping[str, Mapping[str, Any]]
    """Of every program, by its name: its variables, the last of them the answer."""

    def says(self, program: str) -> Any:
        """The answer of a program."""
        return list(self.traces[program].values())[-1]

    def agrees(self, program: str) -> bool:
        """Whether it says what the model says."""
        return bool(self.says(program) == self.token)


@dataclass(frozen=True)
class Compared:
    """One list along one prefix."""

    digits: tuple[int, ...]
    steps: tuple[Step, ...]
    """Step k is after the first k outputs of the prefix."""

    @property
    def last(self) -> Step:
        """After the whole prefix."""
        return self.steps[-1]

    @property
    def programs(self) -> list[str]:
        return list(self.last.traces)
