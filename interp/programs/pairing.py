"""Pairs of prompts for interchange interventions: what a program says when one variable changes.

    pool = make_pool(task, 400, seed=0)
    pairs = pair_up(program, "copies_out", pool, 96, seed=0)
    pairs.counterfactual        # the program's answer for the base, with copies_out of the source

A pair is worth running only if the program's answer changes with the variable; pairs in which the
variable differs and the answer does not are the control. Two kinds of sources are told apart: any
source, which differs in everything, so that a part of the model that carries other things as well
is found out; and the source that is most alike, which differs in as few other variables as can be
had.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Int

from interp.programs.edits import KINDS, as_prompts
from interp.programs.program import Program
from interp.programs.prompts import Prompts, check_lengths
from interp.task import N_DIGITS, SortTask

Sources = Literal["alike", "any", "control"]
"""``alike``: the answer changes, and as few other variables differ as can be had. ``any``: the
answer changes, whatever else differs, and if possible to another one than the source's.
``control``: the variable differs, the answer does not change."""

_LENGTHS = 6  # of lists, for only lists of one length are paired
_PREFIXES = 6  # of each list, half of them right


@dataclass(frozen=True)
class Pairs:
    """Bases and sources, as numbers of prompts in a pool."""

    base: Int[torch.Tensor, " pair"]
    source: Int[torch.Tensor, " pair"]
    answer: Int[torch.Tensor, " pair"]
    """The program's answer for the base as it is."""
    counterfactual: Int[torch.Tensor, " pair"]
    """Its answer with the variable from the source."""

    def __len__(self) -> int:
        return len(self.base)

    def take(self, index: Int[torch.Tensor, " some"] | Bool[torch.Tensor, " pair"]) -> Pairs:
        return Pairs(
            self.base[index], self.source[index], self.answer[index], self.counterfactual[index]
        )


def make_pool(task: SortTask, n: int, seed: int) -> Prompts:
    """About ``n`` prompts of a few lengths; of every list some right prefixes and some edited.

    Every second list is the one before with one digit replaced, under the same prefixes, so that
    there are sources that differ from a base in next to nothing.

    Raises:
        UserError: for lists of fewer than 3 digits.
    """
    check_lengths(task)
    chance = random.Random(f"{seed} pool")
    n_lengths = min(_LENGTHS, task.max_len - 1)
    lengths = sorted({max(2, task.max_len * (k + 1) // n_lengths) for k in range(n_lengths)})
    found: list[tuple[list[int], list[int]]] = []
    while len(found) < n:
        length = lengths[len(found) // (2 * _PREFIXES) % len(lengths)]
        digits = chance.sample(range(N_DIGITS), chance.choice((3, 5, 10, 10)))
        values = [chance.choice(digits) for _ in range(length)]
        prefixes = [_prefix(chance, task, values, k % 2 == 1) for k in range(_PREFIXES)]
        other = list(values)
        other[chance.randrange(length)] = chance.choice(digits)
        found += [(listed, prefix) for listed in (values, other) for prefix in prefixes]
    return as_prompts([(v, p) for v, p in found[:n] if p[-1] < max(v)])


def _prefix(chance: random.Random, task: SortTask, values: list[int], edit: bool) -> list[int]:
    right = sorted(values)[: chance.randint(1, len(values) - 1)]
    kind = chance.choice(("drop", "insert", "scramble", "drop a copy", "repeat"))
    changed = KINDS[kind](chance, values, right, task.max_len - 1) if edit else None
    return changed if changed and len(changed) < task.max_len else right


def pair_up(
    program: Program,
    variable: str,
    pool: Prompts,
    n: int,
    seed: int,
    sources: Sources,
    usable: Bool[torch.Tensor, " prompt"] | None = None,
) -> Pairs:
    """Up to ``n`` pairs of usable prompts, no base twice.

    Raises:
        KeyError: if the program has no such variable.
    """
    lengths = torch.tensor([len(values) for values in pool.lists])
    usable = torch.ones(len(pool), dtype=torch.bool) if usable is None else usable
    fit = (lengths[:, None] == lengths) & usable[:, None] & usable
    base, source = fit.nonzero().T
    trace = program.trace_batch(pool.inputs())
    inputs = {name: value[base] for name, value in pool.inputs().items()}
    counterfactual = program.answer_batch(inputs, {variable: trace[variable][source]})
    answer = trace[program.names[-1]]
    changes = counterfactual != answer[base]
    differs = _differ(trace[variable], base, source)
    wanted = (differs & ~changes) if sources == "control" else changes
    rank = torch.rand(len(base), generator=torch.Generator().manual_seed(seed))
    if sources == "alike":
        rank = rank + _others_that_differ(program, variable, trace, base, source)
    elif sources == "any":
        rank = rank + (counterfactual == answer[source])
    found = Pairs(base, source, answer[base], counterfactual).take(wanted)
    return _best_of_each_base(found, rank[wanted], n)


def _best_of_each_base(pairs: Pairs, rank: torch.Tensor, n: int) -> Pairs:
    order = rank.argsort()
    first: dict[int, int] = {}
    for place in order.tolist():
        first.setdefault(int(pairs.base[place]), place)
        if len(first) == n:
            break
    return pairs.take(torch.tensor(sorted(first.values()), dtype=torch.long))


def _differ(
    value: torch.Tensor, base: Int[torch.Tensor, " pair"], source: Int[torch.Tensor, " pair"]
) -> Bool[torch.Tensor, " pair"]:
    differs = value[base] != value[source]
    return differs if differs.ndim == 1 else differs.flatten(1).any(1)


def _others_that_differ(
    program: Program,
    variable: str,
    trace: Mapping[str, torch.Tensor],
    base: Int[torch.Tensor, " pair"],
    source: Int[torch.Tensor, " pair"],
) -> Int[torch.Tensor, " pair"]:
    """How many variables differ, besides this one and those that follow from it."""
    follows = {variable}
    for each in program.variables:
        if follows & set(each.reads):
            follows.add(each.name)
    others = [name for name in program.names if name not in follows]
    return sum(
        (_differ(trace[name], base, source).long() for name in others), torch.zeros_like(base)
    )
