"""Pairs of prompts for interchange interventions: what a program says when one variable changes.

    pool = make_pool(task, 400, seed=0)
    pairs = pair_up(program, "copies_out", pool, 96, seed=0)
    pairs.counterfactual        # the program's answer for the base, with copies_out of the source

A pair is worth running only if the program's answer changes with the variable; pairs in which the
variable differs and the answer does not are the control. Two kinds of sources are told apart: any
source, which differs in everything, so that a part of the model that carries other things as well
is found out; and the source that is most alike, which differs in as few other variables as can be
had, and the pool has such twins of every prompt.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int

from interp.programs.edits import KINDS, as_prompts, drop
from interp.programs.program import Program
from interp.programs.prompts import Prompts, check_lengths
from interp.task import N_DIGITS, SortTask

Sources = Literal["alike", "any", "control"]
"""``alike``: the answer changes, and as few other variables differ as can be had; of sources that
are equal in this, the one whose list and outputs differ in fewest places. ``any``: the
answer changes, whatever else differs, and if possible to another one than the source's.
``control``: the variable differs, the answer does not change."""

_LENGTHS = 6  # of lists, for only lists of one length are paired
GROUP = 12
"""Prompts of a pool that are alike stand together, so many at a time."""


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
    """``n`` prompts in groups of :data:`GROUP`: three lists, each under the same four prefixes.

    One list has a copy of the last output less than the first, one another digit to go on to; of
    the prefixes one has another number of copies of the last output, one another last output, one
    another number of smaller outputs. So every variable has pairs that differ in it and in what
    follows from it, and in next to nothing else; two of three prefixes end where it is decided
    whether another copy is said.

    Raises:
        UserError: for lists of fewer than 3 digits.
    """
    check_lengths(task)
    chance = random.Random(f"{seed} pool")
    n_lengths = min(_LENGTHS, task.max_len - 1)
    lengths = sorted({max(2, task.max_len * (k + 1) // n_lengths) for k in range(n_lengths)})
    found: list[tuple[list[int], list[int]]] = []
    while len(found) < n:
        found += _group(chance, task, lengths[len(found) // GROUP % len(lengths)])
    return as_prompts(found[:n])


def _group(chance: random.Random, task: SortTask, length: int) -> list[tuple[list[int], list[int]]]:
    """Where a change is impossible, or leaves no digit to go on to, the first prompt again."""
    digits = chance.sample(range(N_DIGITS), chance.choice((3, 5, 10, 10)))
    values: list[int] = []
    while len(set(values)) < 2:
        values = [chance.choice(digits) for _ in range(length)]
    prefix = _prefix(chance, task, values)
    last = prefix[-1]
    lists = [values, _fewer_copies(chance, values, last), _goes_on(chance, values, last)]
    prefixes = [
        prefix,
        _other_copies(chance, prefix),
        [*prefix[:-1], chance.choice([v for v in values if v < max(values)])],
        _other_smaller(chance, values, prefix),
    ]
    made = [(listed, given) for listed in lists for given in prefixes]
    return [
        (v, p) if 0 < len(p) < task.max_len and p[-1] < max(v) else (values, prefix)
        for v, p in made
    ]


def _prefix(chance: random.Random, task: SortTask, values: list[int]) -> list[int]:
    """Right up to where the copies of a digit are out, or nearly; or up to anywhere; or edited."""
    ordered = sorted(values)
    last = chance.choice([v for v in values if v < ordered[-1]])
    through, copies = sum(v <= last for v in values), values.count(last)
    at_decision = through - (chance.random() < 0.5 and copies > 1)
    end = chance.choice((at_decision, at_decision, chance.randint(1, through)))
    right = ordered[:end]
    kind = chance.choice(("drop", "insert", "scramble", None, None))
    changed = KINDS[kind](chance, values, right, task.max_len - 1) if kind else None
    return changed if changed and len(changed) < task.max_len else right


def _fewer_copies(chance: random.Random, values: list[int], last: int) -> list[int]:
    """One copy of ``last`` is another digit, which changes nothing about the next larger one."""
    others = [v for v in range(N_DIGITS) if v < last or (v > last and v in values)]
    changed = list(values)
    if last in values and others:
        changed[values.index(last)] = chance.choice(others)
    return changed


def _goes_on(chance: random.Random, values: list[int], last: int) -> list[int]:
    """Every copy of the digit next larger than ``last`` is one that is larger still, or less so."""
    larger = min(v for v in values if v > last)
    second = min((v for v in values if v > larger), default=N_DIGITS)
    others = [v for v in range(last + 1, N_DIGITS) if v < second and v != larger]
    other = chance.choice(others) if others else second
    return [other if v == larger and other < N_DIGITS else v for v in values]


def _other_copies(chance: random.Random, prefix: list[int]) -> list[int]:
    """A copy of the last output less, or one more."""
    if prefix.count(prefix[-1]) > 1 and chance.random() < 0.5:
        place = prefix.index(prefix[-1])
        return prefix[:place] + prefix[place + 1 :]
    return [*prefix, prefix[-1]]


def _other_smaller(chance: random.Random, values: list[int], prefix: list[int]) -> list[int]:
    """An output unlike the last is left out, or put in front where there is none."""
    if (dropped := drop(chance, values, prefix, len(prefix))) is not None:
        return dropped
    return [chance.randrange(prefix[-1]), *prefix] if prefix[-1] else prefix


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
        others = _others_that_differ(program, variable, trace, base, source)
        rank = rank + _ABOVE_CHANCE * (others + _inputs_that_differ(pool, base, source))
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


_ABOVE_CHANCE = 1e6  # so that chance decides only between sources that are equally alike


def _inputs_that_differ(
    pool: Prompts, base: Int[torch.Tensor, " pair"], source: Int[torch.Tensor, " pair"]
) -> Float[torch.Tensor, " pair"]:
    """The share of list and outputs that differ: below 1, less than a variable."""
    values = torch.cat(list(pool.inputs().values()), 1)
    return (values[base] != values[source]).double().mean(1) * (1 - 1e-9)


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
