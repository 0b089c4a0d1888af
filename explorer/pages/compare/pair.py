"""What the page "Compare" compares: computed once for all visitors, with the commands for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analyses.experiment import Outcome
from analyses.one_list.compare_models import EXPERIMENT, CompareSettings
from analyses.one_list.compare_models.figure import Names, named
from analyses.one_list.subject import ListSubject, TwoModels
from explorer.parts.one_list import SEED, kept
from explorer.parts.panel import About
from explorer.server.models import OpenModel
from interp.answers.treatment import Treatment
from interp.task import typed


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
    def names(self) -> Names:
        return named(self.a.name, self.b.name)

    def subject(self, settings: CompareSettings) -> TwoModels:
        """What the experiment is given; the models as they are where it is of no one list."""
        return TwoModels(
            _side(self.a, self.digits, self.treatment, settings),
            _side(self.b, self.digits, self.b_treatment, settings),
        )

    def key(self, settings: CompareSettings) -> Any:
        """What the result depends on."""
        models = (self.a.name, self.a.hash, self.b.name, self.b.hash)
        of_list = () if settings.of_no_list else (self.digits, self.treatment, self.b_treatment)
        return EXPERIMENT.name, models, of_list, settings, SEED

    def outcome(self, settings: CompareSettings) -> Outcome:
        """What is found at once; see :func:`explorer.server.store.computed` for what is not."""
        result = kept(
            self.key(settings),
            lambda bar: EXPERIMENT.compute(self.subject(settings), settings, SEED, bar),
        )
        return EXPERIMENT.outcome(result)

    def about(self, settings: CompareSettings) -> About:
        """What a figure was made from, and the command that makes it again."""
        both, of_list = {"model": self.a.name, "other": self.b.name}, {}
        done, digits = "nothing is changed", ""
        if not settings.of_no_list:
            digits, done = typed(self.digits), self.treatment.words(self.a.task)
            of_list = {"list": digits, "do": self.treatment.text}
        command = EXPERIMENT.command(settings, **both, **of_list, seed=SEED)
        if not settings.of_no_list and self.b_as_it_is:
            command, done = f"{command} --other-do ''", f"{done}, in A alone"
        models = f"{self.a.hash} and {self.b.hash}"
        return About(" · ".join(self.names), models, digits, done, SEED, command)


def _side(
    opened: OpenModel, digits: tuple[int, ...], treatment: Treatment, settings: CompareSettings
) -> ListSubject:
    done = Treatment() if settings.of_no_list else treatment
    return ListSubject(opened.model, digits, done, opened.name)
