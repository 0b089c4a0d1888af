"""What the page "Compare" compares, and the commands that compare it without the page."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from analyses.compare_models import figure as compare_figure
from analyses.compare_models.body import Part, Side
from explorer.parts.panel import About
from explorer.server.models import OpenModel
from interp.answers.treatment import Treatment


@dataclass(frozen=True)
class Pair:
    """What is compared. ``b_as_it_is``: B cannot take A's intervention, and goes without."""

    a: OpenModel
    b: OpenModel
    digits: tuple[int, ...]
    treatment: Treatment
    b_as_it_is: bool

    @property
    def b_treatment(self) -> Treatment:
        return Treatment() if self.b_as_it_is else self.treatment

    @property
    def names(self) -> compare_figure.Names:
        return compare_figure.named(self.a.name, self.b.name)

    @property
    def key(self) -> tuple[str, str, tuple[int, ...], Treatment, bool]:
        """What every number depends on."""
        return self.a.hash, self.b.hash, self.digits, self.treatment, self.b_as_it_is

    @property
    def sides(self) -> tuple[Side, Side]:
        return (
            Side(self.a.name, self.a.model, self.treatment),
            Side(self.b.name, self.b.model, self.b_treatment),
        )

    def about(self, part: Part, *flags: str, of_list: bool = True) -> About:
        """What a figure was made from, and the command that makes it again."""
        words = ["--part", part, "--model", self.a.name, "--other", self.b.name, *flags]
        digits = ",".join(map(str, self.digits)) if of_list else ""
        if of_list:
            words += ["--list", digits]
            words += ["--do", self.treatment.text] if self.treatment else []
            words += ["--other-do", ""] if self.b_as_it_is else []
        done = self.treatment.words(self.a.task) if of_list else "nothing is changed"
        return About(
            " · ".join(self.names),
            f"{self.a.hash} and {self.b.hash}",
            digits,
            done + (", in A alone" if of_list and self.b_as_it_is else ""),
            0,
            f"python -m analyses.compare_models {shlex.join([*words, '--seed', '0'])}",
        )
