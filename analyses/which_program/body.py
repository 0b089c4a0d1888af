"""What ``analyses.which_program`` computes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from jaxtyping import Bool, Int

from analyses.which_program import WhichProgramConfig, words
from analyses.which_program import figure as drawing
from interp.programs.catalogue import PROGRAMS
from interp.programs.edits import KINDS, any_edit, as_prompts, edited
from interp.programs.program import Program
from interp.programs.prompts import Prompts, right_prefixes, says, says_along
from interp.stats import Estimate, clustered_rate, wilson
from interp.support.progress import Progress
from interp.task import N_DIGITS
from interp.transformer import Transformer

CLEAN = "right prefixes"
FEW = {"one digit": 1, "two digits": 2, "three digits": 3}
"""Right prefixes of lists of few different digits: how many."""


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

    if agrees.shape[1] == 1:
        return wilson(int(agrees.sum()), len(agrees))
    return clustered_rate(agrees, kind.counted, seed)


def compute(
    model: Transformer,
    settings: WhichProgramConfig,
    seed: int,
    progress: Progress,
    programs: Sequence[Program] | None = None,
) -> WhichProgramResult:
    """Ask the model and the programs (default: all of the catalogue) about every prompt."""
    compared = tuple(PROGRAMS if programs is None else programs)
    by_edit = {name: edited(model.task, name, settings.prompts, seed) for name in KINDS}
    by_edit = {name: prompts for name, prompts in by_edit.items() if len(prompts)}
    progress.begin(len(by_edit) + len(FEW) + 2, "prompts")
    kinds = [_clean_kind(model, compared, CLEAN, settings.lists, N_DIGITS, seed, progress)]
    for name, prompts in by_edit.items():
        kinds.append(_edited_kind(model, compared, name, prompts, progress))
    few = -(-settings.lists // 3)
    for name, distinct in FEW.items():
        kinds.append(_clean_kind(model, compared, name, few, distinct, seed, progress))
    together = search(model, compared, sum(by_edit.values(), _no_prompts()), settings, seed)
    everything = _edited_kind(model, compared, "all edits", together, progress)
    return WhichProgramResult(compared, tuple(kinds), everything, settings, seed)


def _no_prompts() -> Prompts:

    return Prompts((), ())


def _edited_kind(
    model: Transformer,
    programs: tuple[Program, ...],
    name: str,
    prompts: Prompts,
    progress: Progress,
) -> Kind:

    said, answers = says(model, prompts)[:, None], _answers(programs, prompts)[..., None]
    progress.step()
    return Kind(name, True, said, answers, torch.ones_like(said, dtype=torch.bool))


def _clean_kind(
    model: Transformer,
    programs: tuple[Program, ...],
    name: str,
    n_lists: int,
    distinct: int,
    seed: int,
    progress: Progress,
) -> Kind:

    batch = model.task.held_out(n_lists, seed, distinct)
    said, counted = says_along(model, batch), model.task.scored_digits(batch.tokens)
    counted = counted[:, model.task.output_rows()]
    inputs = right_prefixes(model.task, batch)
    shape = (len(batch), model.task.max_len)
    answers = torch.stack([p.answer_batch(inputs).reshape(shape) for p in programs])
    progress.step()
    return Kind(name, name == CLEAN, said, answers, counted)


def search(
    model: Transformer,
    programs: Sequence[Program],
    prompts: Prompts,
    config: WhichProgramConfig,
    seed: int,
) -> Prompts:
    """``prompts``, and more until every two programs differ on ``config.parted`` of them.

    Each further prompt is a random list of few or many different digits after one to three random
    edits; those are kept on which two programs differ that have too few.
    """

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


summary, to_json = words.summary, words.to_json
verdicts = words.verdicts
figure = drawing.figure
