"""What a model is asked: a list, outputs so far (right or wrong), and the next one.

    prompts = Prompts(((2, 1, 1),), ((1,),))
    says(model, prompts)                                # [prompt]: the digit that the model says
    program.answer_batch(prompts.inputs())              # [prompt]: the digit that a program says

The outputs so far are given as inputs, whatever the model would have said itself, and the row that
holds the last of them answers. Where the most probable token is no digit, the model says NONE.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int

from interp.passes.forward import forward
from interp.passes.packed import Window, parts_of, window
from interp.passes.untouched import touch
from interp.programs.parts import NONE
from interp.support.errors import UserError
from interp.task import N_DIGITS, PAD, SortBatch, SortTask
from interp.transformer import Transformer

_PROMPTS_AT_ONCE = 64  # activations of more would leave the processor's cache


@dataclass(frozen=True)
class Prompts:
    """Lists and prefixes, one of each to a prompt."""

    lists: tuple[tuple[int, ...], ...]
    prefixes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if len(self.lists) != len(self.prefixes):
            raise ValueError(f"{len(self.lists)} lists and {len(self.prefixes)} prefixes")

    def __len__(self) -> int:
        return len(self.lists)

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        return zip(self.lists, self.prefixes, strict=True)

    def __add__(self, other: Prompts) -> Prompts:
        return Prompts(self.lists + other.lists, self.prefixes + other.prefixes)

    def without(self, others: Prompts) -> Prompts:
        """Those that are not among ``others``."""
        known = set(others)
        kept = [pair for pair in self if pair not in known]
        return Prompts(tuple(values for values, _ in kept), tuple(prefix for _, prefix in kept))

    def reordered(self, chance: random.Random) -> Prompts:
        """The same counts in another order: of the list, and of the outputs before the last."""
        lists = tuple(tuple(chance.sample(values, len(values))) for values in self.lists)
        earlier = (chance.sample(prefix[:-1], len(prefix[:-1])) for prefix in self.prefixes)
        prefixes = tuple(
            (*before, *prefix[-1:]) for before, prefix in zip(earlier, self.prefixes, strict=True)
        )
        return Prompts(lists, prefixes)

    def take(self, index: Int[torch.Tensor, " some"]) -> Prompts:
        """Some of them, in the order of ``index``."""
        chosen = index.tolist()
        return Prompts(
            tuple(self.lists[i] for i in chosen), tuple(self.prefixes[i] for i in chosen)
        )

    def inputs(self) -> dict[str, Any]:
        """For ``Program.trace_batch``: ``values`` [prompt, slot] and ``prefix`` [prompt, place]."""
        return {"values": _padded(self.lists), "prefix": _padded(self.prefixes)}

    def tokens(self, task: SortTask) -> Int[torch.Tensor, "prompt pos"]:
        """Full sequences; what follows a prefix is padding.

        Raises:
            UserError: for a list or a prefix that does not fit the task.
        """
        tokens = task.encode(self.lists).tokens
        tokens[:, task.prompt_len :] = PAD
        for row, prefix in zip(tokens, self.prefixes, strict=True):
            if len(prefix) >= task.max_len:
                raise UserError(
                    f"a prefix has at most {task.max_len - 1} digits here, not {len(prefix)}"
                )
            row[task.prompt_len : task.prompt_len + len(prefix)] = torch.tensor(prefix)
        return tokens

    def rows(self, task: SortTask) -> Int[torch.Tensor, " prompt"]:
        """The position that answers each prompt."""
        return task.first_output_row + torch.tensor([len(p) for p in self.prefixes])


def _padded(sequences: Sequence[Sequence[int]]) -> Int[torch.Tensor, "n place"]:
    width = max(map(len, sequences), default=0)
    rows = [[*s, *[PAD] * (width - len(s))] for s in sequences]
    return torch.tensor(rows, dtype=torch.long).reshape(len(sequences), width)


@dataclass(frozen=True)
class PromptWindow(Window):
    """The positions that prompts need: up to the last row that answers one of them."""

    last_row: int

    @property
    def stop(self) -> int:
        return self.last_row + 1


def prompt_groups(
    task: SortTask,
    prompts: Prompts,
    at_once: int = _PROMPTS_AT_ONCE,
    *,
    in_order: bool = False,
) -> Iterator[tuple[Int[torch.Tensor, " some"], PromptWindow]]:
    """Prompts whose rows are close together, and the window that each group needs.

    Args:
        in_order: all prompts in one group, as they are: for values given prompt by prompt.
    """
    rows, lengths = prompts.rows(task), torch.tensor([len(values) for values in prompts.lists])
    order = (rows * (task.max_len + 1) + lengths).argsort()
    for index in [torch.arange(len(prompts))] if in_order else order.split(at_once):
        chosen, longest = rows[index], int(lengths[index].max())
        yield index, PromptWindow(task, longest, int(chosen.min()), int(chosen.max()))


@torch.no_grad()
def says(model: Transformer, prompts: Prompts) -> Int[torch.Tensor, " prompt"]:
    """What the model answers: a digit, or NONE where another token leads."""
    said = torch.full((len(prompts),), NONE)
    if not len(prompts):
        return said
    tokens, rows = prompts.tokens(model.task).to(model.W_U.device), prompts.rows(model.task)
    in_order = touch(model) is not None  # it may act on each prompt in a way of its own
    for index, view in prompt_groups(model.task, prompts, in_order=in_order):
        logits = forward(model, tokens[index], view).logits
        own = logits[torch.arange(len(index)), rows[index] - view.first_row]
        said[index] = digits_said(own).cpu()
    return said


def digits_said(logits: torch.Tensor) -> torch.Tensor:
    """The most probable token, over the last axis; NONE where that is no digit."""
    token = logits.argmax(-1)
    return token.masked_fill(token >= N_DIGITS, NONE)


# -- right prefixes, all of a list at once ------------------------------------------------------


@torch.no_grad()
def says_along(model: Transformer, batch: SortBatch) -> Int[torch.Tensor, "list row"]:
    """What the model says at every output, given the right ones before; NONE past a list's end."""
    task, device = model.task, model.W_U.device
    said = torch.full((len(batch), task.max_len), NONE)
    for index in parts_of(model, batch, _PROMPTS_AT_ONCE):
        part = batch[index].to(device)
        view = window(task, part, digits_only=True)
        logits = forward(model, part.tokens, view).logits
        said[index, : logits.shape[1]] = digits_said(logits).cpu()
    return said.masked_fill(~_outputs(task, batch), NONE)


def right_prefixes(task: SortTask, batch: SortBatch) -> dict[str, Any]:
    """For ``Program.trace_batch``: every right prefix of every list, [list * row], lists first."""
    values = batch.tokens[:, : task.max_len]
    places = torch.arange(task.max_len)
    given = places < places[:, None]  # [row, place]
    answers = values.sort(1).values[:, None].expand(-1, task.max_len, -1)
    prefix = answers.masked_fill(~given, PAD).flatten(0, 1)
    return {"values": values.repeat_interleave(task.max_len, 0), "prefix": prefix}


def _outputs(task: SortTask, batch: SortBatch) -> Bool[torch.Tensor, "list row"]:
    return torch.arange(task.max_len) < batch.lengths[:, None].cpu()


def check_lengths(task: SortTask) -> None:
    """Whether there are prefixes that tell programs apart.

    Raises:
        UserError: for lists of fewer than 3 digits, of which nearly every prefix is the right one.
    """
    if task.max_len < 3:
        raise UserError(
            "programs are told apart by wrong prefixes, which needs lists of at least 3 digits; "
            f"this model takes {task.max_len}"
        )
