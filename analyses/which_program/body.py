"""What ``analyses.which_program`` computes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from jaxtyping import Bool, Int

from analyses.which_program import WhichProgramConfig
from analyses.which_program.figure import figure
from analyses.which_program.result import CLEAN, Kind, WhichProgramResult
from analyses.which_program.words import summary, to_json, verdicts
from interp.programs.balance import balance_program
from interp.programs.balance_fit import fit_balance
from interp.programs.catalogue import PROGRAMS
from interp.programs.edits import KINDS, PROBES, any_edit, as_prompts, edited
from interp.programs.program import Program
from interp.programs.prompts import Prompts, check_lengths, right_prefixes, says, says_along
from interp.support.progress import SILENT, Progress
from interp.task import N_DIGITS
from interp.transformer import Transformer

__all__ = ["compute", "figure", "summary", "to_json", "verdicts"]  # see analyses.experiment


FEW = {"one digit": 1, "two digits": 2, "three digits": 3}
"""Right prefixes of lists of few different digits: how many."""


def compute(
    model: Transformer,
    settings: WhichProgramConfig,
    seed: int,
    progress: Progress,
    programs: Sequence[Program] | None = None,
) -> WhichProgramResult:
    """Ask the model and the programs (default: all of the catalogue) about every prompt."""
    return _result(model, settings, seed, progress, PROGRAMS if programs is None else programs)


def quick_verdicts(
    model: Transformer, settings: WhichProgramConfig, seed: int
) -> dict[str, list[str]]:
    """:func:`verdicts`, without what they do not rest on: lists of few digits, other orders."""
    return verdicts(_result(model, settings, seed, SILENT, PROGRAMS, all_kinds=False))


def _result(
    model: Transformer,
    settings: WhichProgramConfig,
    seed: int,
    progress: Progress,
    programs: Sequence[Program],
    *,
    all_kinds: bool = True,
) -> WhichProgramResult:
    """The result; without ``all_kinds`` of those alone that are judged, asked in one order."""
    check_lengths(model.task)
    by_edit = _by_edit(model, settings, seed)
    progress.begin(len(by_edit), "prompts")
    asked = []
    for name, prompts in by_edit.items():
        asked.append(_edited(model, name, prompts, seed if all_kinds else None))
        progress.step()
    told = torch.cat([each.said for each in asked])
    asked.insert(0, _clean(model, CLEAN, settings.lists, N_DIGITS, seed))
    if all_kinds:
        asked += _not_judged(model, settings, seed)
    asked.append(_together(model, programs, by_edit, told, settings, seed))
    *kinds, everything = [each.answered(programs) for each in asked]
    result = WhichProgramResult(tuple(programs), tuple(kinds), everything, settings, seed)
    if result.winner or not settings.fit:
        return result
    return _with_balance(model, result, asked, by_edit, progress)


def _not_judged(model: Transformer, settings: WhichProgramConfig, seed: int) -> list[Asked]:
    """Right prefixes of lists of few digits, and the probes."""
    few = -(-settings.lists // 3)
    lists = [_clean(model, name, few, distinct, seed) for name, distinct in FEW.items()]
    probes = {name: edited(model.task, name, settings.prompts, seed) for name in PROBES}
    return lists + [
        _edited(model, name, asks, seed, judged=False) for name, asks in probes.items() if asks
    ]


def _by_edit(model: Transformer, settings: WhichProgramConfig, seed: int) -> dict[str, Prompts]:
    """The kinds of wrong prefix that there are in the model's task."""
    found = {name: edited(model.task, name, settings.prompts, seed) for name in KINDS}
    return {name: prompts for name, prompts in found.items() if len(prompts)}


def _together(
    model: Transformer,
    programs: Sequence[Program],
    by_edit: Mapping[str, Prompts],
    told: Int[torch.Tensor, "list 1"],
    settings: WhichProgramConfig,
    seed: int,
) -> Asked:
    """All wrong prefixes, of which the model has told the answers, and those that are searched."""
    known = sum(by_edit.values(), _no_prompts())
    prompts = search(model, programs, known, settings, seed)
    more = prompts.take(torch.arange(len(known), len(prompts)))
    said = torch.cat([told, says(model, more)[:, None]])
    return Asked("all edits", True, prompts.inputs(), said, torch.ones_like(said, dtype=torch.bool))


def _with_balance(
    model: Transformer,
    result: WhichProgramResult,
    asked: Sequence[Asked],
    judged: Mapping[str, Prompts],
    progress: Progress,
) -> WhichProgramResult:
    """The result with *balance* as its last program, fitted on prompts that are not judged."""
    settings, seed = result.config, result.seed + 1
    progress.begin(len(judged), "prompts to fit")
    examples = []
    for name, prompts in judged.items():
        others = edited(model.task, name, settings.fit, seed).without(prompts)
        examples.append((others.inputs(), says(model, others)))
        progress.step()
    for distinct in (N_DIGITS, *FEW.values()):
        examples.append(_clean(model, "", -(-settings.fit // 5), distinct, seed).flat())
    numbers = fit_balance(examples)
    programs = (*result.programs, balance_program(numbers))
    *kinds, everything = [each.answered(programs) for each in asked]
    return WhichProgramResult(
        programs, tuple(kinds), everything, settings, result.seed, fitted=numbers
    )


def _no_prompts() -> Prompts:
    return Prompts((), ())


@dataclass(frozen=True)
class Asked:
    """Prompts of one kind and what the model says; programs are asked later."""

    name: str
    judged: bool
    inputs: dict[str, Any]
    """For ``Program.answer_batch``: [list * row]."""
    said: Int[torch.Tensor, "list row"]
    counted: Bool[torch.Tensor, "list row"]
    reordered: Int[torch.Tensor, "list row"] | None = None

    def answered(self, programs: Sequence[Program]) -> Kind:
        shape = self.said.shape
        answers = torch.stack([p.answer_batch(self.inputs).reshape(shape) for p in programs])
        return Kind(self.name, self.judged, self.said, answers, self.counted, self.reordered)

    def flat(self) -> tuple[dict[str, Any], Int[torch.Tensor, " prompt"]]:
        """Inputs and what the model says, of outputs that count."""
        kept = self.counted.flatten()
        return {name: value[kept] for name, value in self.inputs.items()}, self.said.flatten()[kept]


def _edited(
    model: Transformer, name: str, prompts: Prompts, seed: int | None, *, judged: bool = True
) -> Asked:
    """Asked once as they are and, with a seed, once in another order."""
    said = says(model, prompts)[:, None]
    counted, reordered = torch.ones_like(said, dtype=torch.bool), None
    if seed is not None:
        chance = random.Random(f"{seed} {name} reordered")
        reordered = says(model, prompts.reordered(chance))[:, None]
    return Asked(name, judged, prompts.inputs(), said, counted, reordered)


def _clean(model: Transformer, name: str, n_lists: int, distinct: int, seed: int) -> Asked:
    batch = model.task.held_out(n_lists, seed, distinct)
    counted = model.task.scored_digits(batch.tokens)[:, model.task.output_rows()]
    inputs = right_prefixes(model.task, batch)
    return Asked(name, name == CLEAN, inputs, says_along(model, batch), counted)


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
