"""Minimal pairs: two lists that differ in one digit, up to the output where their answers part.

    clean    3 1 4 1 5 SEP _ _ ... _ 1 1 3 4        next output: 5
    corrupt  3 1 4 1 9 SEP _ _ ... _ 1 1 3 4        next output: 9

Both runs are given the outputs that the two answers share, so that they differ in the list and in
nothing else, and are compared at the *row* that emits the first output in which the answers differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int

from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import SortBatch, SortTask


@dataclass(frozen=True)
class Pairs:
    """Clean and corrupted lists of one length, given the outputs that their answers share."""

    task: SortTask
    clean: Int[torch.Tensor, "pair pos"]
    """Tokens; what follows the row that is read is padding."""
    corrupt: Int[torch.Tensor, "pair pos"]
    rows: Int[torch.Tensor, " pair"]
    """The position that emits the first output in which the answers differ."""
    answers: Int[torch.Tensor, "pair 2"]
    """That output for the clean and for the corrupted list."""
    length: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Int[torch.Tensor, " some"]) -> Pairs:
        return Pairs(
            self.task,
            self.clean[index],
            self.corrupt[index],
            self.rows[index],
            self.answers[index],
            self.length,
        )


def make_pairs(task: SortTask, clean: Iterable[Any], corrupt: Iterable[Any]) -> Pairs:
    """Given lists, pair by pair.

    Raises:
        UserError: if lengths differ, or two lists have the same answer.
    """
    a, b = task.encode(clean), task.encode(corrupt)
    if len(a) != len(b):
        raise UserError(f"{len(a)} clean lists and {len(b)} corrupted ones make no pairs")
    found = [*dict.fromkeys([*a.lengths.tolist(), *b.lengths.tolist()])]
    if len(found) != 1:
        raise UserError(
            f"the two lists must have the same length, not {found[0]} and {found[-1]}, and so must "
            "all pairs: patching compares like positions"
        )
    return _pairs(task, a, b, found[0])


def sample_pairs(task: SortTask, n_pairs: int, length: int, seed: int) -> Pairs:
    """Random lists, each with one digit replaced, whose answers part after the first output.

    The first output is emitted by the last blank; leaving it out keeps that position's two roles
    apart. Pairs that part at the first output are drawn and dropped, and those whose answers are
    the same. Where an answer is a single output, it is that one at which they part.

    Raises:
        UserError: if ``length`` does not fit the task, or hardly any two answers part.
    """
    least = max(2, task.min_len)
    if not least <= length <= task.max_len:
        raise UserError(f"--length must be from {least} to {task.max_len} here, not {length}")
    generator = stream("pairs", seed)
    first = task.first_output_row - (task.n_outputs(length) == 1)
    kept: list[Pairs] = []
    for _ in range(_TRIES):
        drawn = _draw(task, n_pairs, length, generator)
        kept.append(drawn[(drawn.rows > first).nonzero()[:, 0]])
        if sum(len(p) for p in kept) >= n_pairs:
            return _join(kept)[torch.arange(n_pairs)]
    raise UserError(f"of lists of {length} that differ in one place hardly any answers differ")


def pairs_from(task: SortTask, lists: Sequence[Sequence[int]], seed: int) -> Pairs:
    """Minimal pairs of given clean lists: the first change of one digit, in a random order, after
    which the answers part, and not at the first output, where there are more.

    Raises:
        UserError: naming the first list of which no change is such a one.
    """
    length = len(lists[0])
    first = task.first_output_row - (task.n_outputs(length) == 1)
    found = [_partner(task, values, first, seed, n) for n, values in enumerate(lists, 1)]
    return make_pairs(task, lists, found)


def _partner(
    task: SortTask, values: Sequence[int], first: int, seed: int, number: int
) -> tuple[int, ...]:
    """A list that differs in one place, whose answer parts after position ``first``."""
    changes = [(at, new) for at in range(len(values)) for new in task.alphabet if new != values[at]]
    clean, start = task.answer(values), first - task.first_output_row + 1
    for index in torch.randperm(len(changes), generator=stream("partner", seed, number)).tolist():
        at, new = changes[index]
        other = (*values[:at], new, *values[at + 1 :])
        answer = task.answer(other)
        if answer != clean and answer[:start] == clean[:start]:
            return other
    raise UserError(
        f"list {number}: whatever single {task.symbols.word} is exchanged, the answer changes at "
        "its first place or not at all"
    )


_TRIES = 1000


def _draw(task: SortTask, n_pairs: int, length: int, generator: torch.Generator) -> Pairs:
    clean = task.sample(n_pairs, generator, torch.full((n_pairs,), length))
    index = torch.randint(length, (n_pairs,), generator=generator)
    shift = torch.randint(1, task.n_symbols, (n_pairs,), generator=generator)
    slots = clean.tokens[:, : task.max_len].clone()
    at = (torch.arange(n_pairs), task.max_len - length + index)
    slots[at] = (slots[at] + shift) % task.n_symbols
    corrupt = task.encode([task.decode_list(row) for row in slots])
    part = (clean.tokens != corrupt.tokens)[:, task.first_output_row + 1 :].any(1).nonzero()[:, 0]
    return _pairs(task, clean[part], corrupt[part], length)


def _join(parts: list[Pairs]) -> Pairs:
    first = parts[0]
    joined: dict[str, Any] = {
        name: torch.cat([getattr(p, name) for p in parts])
        for name in ("clean", "corrupt", "rows", "answers")
    }
    return replace(first, **joined)


def _pairs(task: SortTask, clean: SortBatch, corrupt: SortBatch, length: int) -> Pairs:
    differ = (
        clean.tokens[:, task.first_output_row + 1 :]
        != (corrupt.tokens[:, task.first_output_row + 1 :])
    )
    if not differ.any(1).all():
        raise UserError("the two lists have the same answer: there is nothing to compare")
    rows = task.first_output_row + differ.int().argmax(1)
    n = torch.arange(len(rows))
    answers = torch.stack([clean.tokens[n, rows + 1], corrupt.tokens[n, rows + 1]], 1)
    unseen = torch.arange(task.n_ctx) > rows[:, None]
    return Pairs(
        task,
        clean.tokens.masked_fill(unseen, task.pad),
        corrupt.tokens.masked_fill(unseen, task.pad),
        rows,
        answers,
        length,
    )
