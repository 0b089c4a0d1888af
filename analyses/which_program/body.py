"""What ``analyses.which_program`` computes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations

import torch
from jaxtyping import Bool, Int

from analyses.which_program import WhichProgramConfig
from analyses.which_program.figure import figure
from analyses.which_program.result import CLEAN, Kind, WhichProgramResult
from analyses.which_program.words import summary, to_json, verdicts
from interp.programs.catalogue import PROGRAMS
from interp.programs.edits import KINDS, any_edit, as_prompts, edited
from interp.programs.program import Program
from interp.programs.prompts import Prompts, check_lengths, right_prefixes, says, says_along
from interp.support.progress import Progress
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
    check_lengths(model.task)
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
