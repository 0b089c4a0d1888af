"""Which program does a model run? Prefixes on which programs part ways, and what the model says.

    python -m analyses.which_program
    python -m analyses.which_program --model compiled:successor

Programs that sort agree on every right prefix; they part on wrong ones. Here the model is given a
list and outputs so far that it would not have made itself, and asked for the next one:

    list 5 3 1 1 3, outputs 1 3     the 1 that is missing moves the position and no count of 3s:
                                    *rank* says sorted[2] = 3, and so does *copy and count*
    list 5 3 1 1 3, outputs 1 3 3   *rank* says 3 again, *copy and count* goes on to 5

Prefixes are made by every kind of edit of ``interp.programs.edits``, and for pairs of programs that
random edits hardly part, by search. A program is scored on saying what the model says, mistakes
included. Right prefixes are scored output by output, on random lists and on lists of few different
digits. The winner is the program whose worst kind is best, if it says what the model says in enough
cases of *every* kind; else it is none of these.

What it does not show: how the model computes what it says. Programs that never part on any prefix
(``rank`` and ``histogram``) are named together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

from jaxtyping import Bool, Int

from analyses import which_program_words
from analyses.common import Analysis, CommonArgs, run_analysis
from interp.support.errors import UserError, at_least
from interp.support.lazy import lazy_import
from interp.support.progress import SILENT, Progress
from interp.task import N_DIGITS

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import torch

    from interp.model import SortTransformer
    from interp.programs.program import Program
    from interp.programs.prompts import Prompts
    from interp.stats import Estimate
else:
    torch = lazy_import("torch")

CLEAN = "right prefixes"
FEW = {"one digit": 1, "two digits": 2, "three digits": 3}
"""Right prefixes of lists of few different digits: how many."""


@dataclass(frozen=True)
class WhichProgramConfig:
    """How many prompts, and when a program counts as the model's."""

    prompts: int = 240  # of every kind of edit: intervals of a few percent
    lists: int = 240  # with right prefixes, five of every length up to 48; a third of it for few
    parted: int = 60  # prompts on which two programs differ: fewer are made up for by search
    tries: int = 8000  # random edits to search before two programs count as never parting
    bar: float = 0.95  # the share of every kind of edit that the winner must say
    clean_bar: float = 0.99  # of right prefixes, where nearly all programs agree

    def __post_init__(self) -> None:
        at_least(self, prompts=1, lists=1, parted=1, tries=0)
        for flag, bar in (("--bar", self.bar), ("--clean-bar", self.clean_bar)):
            if not 0 < bar <= 1:
                raise UserError(f"{flag} must be above 0 and at most 1, not {bar}")


@dataclass(frozen=True)
class Kind:
    """What the model and every program say to the prompts of one kind."""

    name: str
    judged: bool
    """Whether the winner has to reach the bar here."""
    said: Int[torch.Tensor, "list row"]
    """By the model. One row a list where prefixes are edited, else one for every output."""
    answers: Int[torch.Tensor, "program list row"]
    counted: Bool[torch.Tensor, "list row"]

    @property
    def agrees(self) -> Bool[torch.Tensor, "program list row"]:
        """Where a program says what the model says."""
        return (self.answers == self.said) & self.counted


@dataclass(frozen=True)
class WhichProgramResult:
    """All kinds, and all prompts on which two programs differ."""

    programs: tuple[Program, ...]
    kinds: tuple[Kind, ...]
    """Those that can be made in this model's task."""
    edited: Kind
    """All edited prompts, those found by search included."""
    config: WhichProgramConfig
    seed: int

    def agreement(self, program: int, kind: int) -> Estimate:
        """The share of outputs that a program gets as the model has them; ``n`` is lists."""
        return self._agreement[kind][program]

    def same_list(self, program: int, kind: int) -> Estimate:
        """The share of lists of which a program gets every output as the model has it."""
        from interp.stats import wilson

        chosen = self.kinds[kind]
        same = (chosen.agrees[program] == chosen.counted).all(1)
        return wilson(int(same.sum()), len(same))

    @cached_property
    def _agreement(self) -> list[list[Estimate]]:
        return [[_rate(k, k.agrees[p], self.seed) for p in self._numbers] for k in self.kinds]

    @property
    def _numbers(self) -> range:
        return range(len(self.programs))

    def parted(self, first: int, second: int) -> tuple[int, int, int]:
        """Edited prompts on which two programs differ: how many, and how often each is right."""
        differ = self.edited.answers[first] != self.edited.answers[second]
        agrees = self.edited.agrees[:, differ]
        return int(differ.sum()), int(agrees[first].sum()), int(agrees[second].sum())

    def worst(self, program: int) -> float:
        """A program's agreement where it is lowest, over the kinds of edits that are judged."""
        rates = (self.agreement(program, k).value for k in self._judged)
        return min(rates, default=0.0)

    @property
    def _judged(self) -> list[int]:
        return [k for k, kind in enumerate(self.kinds) if kind.judged and kind.name != CLEAN]

    @property
    def best(self) -> tuple[int, ...]:
        """The program whose worst kind is best, and those that never differ from it."""
        first = max(self._numbers, key=lambda p: (self.worst(p), self._clean(p)))
        return tuple(p for p in self._numbers if p == first or not self.parted(first, p)[0])

    @property
    def winner(self) -> tuple[int, ...]:
        """``best`` if it is above the bars; else nothing."""
        first = self.best[0]
        above = self.worst(first) >= self.config.bar and self._clean(first) >= self.config.clean_bar
        return self.best if above else ()

    def _clean(self, program: int) -> float:
        return self.agreement(program, [kind.name for kind in self.kinds].index(CLEAN)).value


def _rate(kind: Kind, agrees: Bool[torch.Tensor, "list row"], seed: int) -> Estimate:
    from interp.stats import clustered_rate, wilson

    if agrees.shape[1] == 1:
        return wilson(int(agrees.sum()), len(agrees))
    return clustered_rate(agrees, kind.counted, seed)


def compute(
    model: SortTransformer,
    config: WhichProgramConfig = WhichProgramConfig(),
    seed: int = 0,
    progress: Progress = SILENT,
    programs: Sequence[Program] | None = None,
) -> WhichProgramResult:
    """Ask the model and the programs (default: all of the catalogue) about every prompt."""
    from interp.programs.catalogue import PROGRAMS
    from interp.programs.edits import KINDS, edited

    compared = tuple(PROGRAMS if programs is None else programs)
    by_edit = {name: edited(model.task, name, config.prompts, seed) for name in KINDS}
    by_edit = {name: prompts for name, prompts in by_edit.items() if len(prompts)}
    progress.begin(len(by_edit) + len(FEW) + 2, "prompts")
    kinds = [_clean_kind(model, compared, CLEAN, config.lists, N_DIGITS, seed, progress)]
    for name, prompts in by_edit.items():
        kinds.append(_edited_kind(model, compared, name, prompts, progress))
    few = -(-config.lists // 3)
    for name, distinct in FEW.items():
        kinds.append(_clean_kind(model, compared, name, few, distinct, seed, progress))
    together = search(model, compared, sum(by_edit.values(), _no_prompts()), config, seed)
    everything = _edited_kind(model, compared, "all edits", together, progress)
    return WhichProgramResult(compared, tuple(kinds), everything, config, seed)


def _no_prompts() -> Prompts:
    from interp.programs.prompts import Prompts

    return Prompts((), ())


def _edited_kind(
    model: SortTransformer,
    programs: tuple[Program, ...],
    name: str,
    prompts: Prompts,
    progress: Progress,
) -> Kind:
    from interp.programs.prompts import says

    said, answers = says(model, prompts)[:, None], _answers(programs, prompts)[..., None]
    progress.step()
    return Kind(name, True, said, answers, torch.ones_like(said, dtype=torch.bool))


def _clean_kind(
    model: SortTransformer,
    programs: tuple[Program, ...],
    name: str,
    n_lists: int,
    distinct: int,
    seed: int,
    progress: Progress,
) -> Kind:
    from interp.programs.prompts import right_prefixes, says_along

    batch = model.task.held_out(n_lists, seed, distinct)
    said, counted = says_along(model, batch), model.task.scored_digits(batch.tokens)
    counted = counted[:, model.task.output_rows()]
    inputs = right_prefixes(model.task, batch)
    shape = (len(batch), model.task.max_len)
    answers = torch.stack([p.answer_batch(inputs).reshape(shape) for p in programs])
    progress.step()
    return Kind(name, name == CLEAN, said, answers, counted)


def search(
    model: SortTransformer,
    programs: Sequence[Program],
    prompts: Prompts,
    config: WhichProgramConfig,
    seed: int,
) -> Prompts:
    """``prompts``, and more until every two programs differ on ``config.parted`` of them.

    Each further prompt is a random list of few or many different digits after one to three random
    edits; those are kept on which two programs differ that have too few.
    """
    import random

    from interp.programs.edits import any_edit, as_prompts

    chance = random.Random(f"{seed} search")
    lacking = dict.fromkeys(combinations(range(len(programs)), 2), config.parted)
    _found(lacking, _answers(programs, prompts))
    for _ in range(-(-config.tries // _TRIES_AT_ONCE)):
        if not any(lacking.values()):
            break
        drawn = [any_edit(chance, model.task) for _ in range(_TRIES_AT_ONCE)]
        made = as_prompts([pair for pair in drawn if pair])
        kept = _found(lacking, _answers(programs, made))
        prompts = prompts + made.take(kept.nonzero()[:, 0])
    return prompts


_TRIES_AT_ONCE = 1000


def _answers(programs: Sequence[Program], prompts: Prompts) -> Int[torch.Tensor, "program prompt"]:
    inputs = prompts.inputs()
    return torch.stack([program.answer_batch(inputs) for program in programs])


def _found(
    lacking: dict[tuple[int, int], int], answers: Int[torch.Tensor, "program prompt"]
) -> Bool[torch.Tensor, " prompt"]:
    """Prompts on which two programs differ that lack some; counts them off in ``lacking``."""
    kept = torch.zeros(answers.shape[1], dtype=torch.bool)
    for (a, b), wanted in lacking.items():
        differ = answers[a] != answers[b]
        kept |= differ & (differ.cumsum(0) <= wanted)
        lacking[a, b] = max(0, wanted - int(differ.sum()))
    return kept


# -- command line -------------------------------------------------------------------------------


summary, to_json = which_program_words.summary, which_program_words.to_json
verdicts = which_program_words.verdicts


def figure(result: WhichProgramResult) -> go.Figure:
    """See :func:`analyses.which_program_figure.figure`."""
    from analyses import which_program_figure

    return which_program_figure.figure(result)


ANALYSIS = Analysis(
    name="which_program",
    title="Which program the model runs",
    config=WhichProgramConfig(),
    compute=compute,
    figure=figure,
    summary=summary,
    to_json=to_json,
    needs_blanks=False,
)


@dataclass(frozen=True)
class WhichProgramArgs(CommonArgs):
    """Prefixes on which programs that sort part ways: which of them says what the model says?"""

    config: WhichProgramConfig = WhichProgramConfig()


def main(argv: Sequence[str] | None = None) -> None:
    run_analysis(ANALYSIS, WhichProgramArgs, argv)


if __name__ == "__main__":
    main()
