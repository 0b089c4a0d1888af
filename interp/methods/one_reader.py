"""A program read off a model: only the row that answers reads, every other token is what it is.

    reader = one_reader(model, examples)            # from what other prompts hold
    rows = record(model, prompts)                   # interp.methods.interchange
    cut = recomputed(model, reader.cut(rows, prompts))
    digits_said(cut.logits)                         # [prompt]: what the program says

In a transformer every position reads those before it. In this program only the row that answers
does. It reads the first layer as the model does, for there a token is its embedding alone. In later
layers another position would hold what it has read itself; here it is known by

    a digit of the list     its value at its place, how many digits come up to it, and which share
                            of them is its copies
    an output               its digit at its place, how long the list is, whether copies of it are
                            still to come there, just all out, or too many, and which share of its
                            copies, listed and out up to it, is out
    any other               its position: SEP, the blanks, the first output row

and is the mean of such positions, over examples: a linear regression of keys and values on these
features. Nothing else is changed: the row's own weights, MLPs included, are the model's. So the
program is no short one; that it says what the model says shows that nothing that is computed
elsewhere is used, but for what the features say.

The models of this kind are the abstractions of Geiger et al. (2021): whether they are right is
asked by exchanging their parts, and the model's, alike.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from interp.methods.interchange import Rows, record
from interp.programs.prompts import Prompts
from interp.task import N_DIGITS, Region, SortTask
from interp.transformer import Transformer

Others = Literal["digits", "rest", "outputs"]
"""Positions that the row reads: the list; SEP, the blanks and the first output row; outputs."""
OTHERS: tuple[Others, ...] = get_args(Others)

_AT_ONCE = 240  # prompts whose keys and values are held at a time
_RIDGE = 0.1  # of one line: digits, places and cells are known together, so not unique


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of some positions of some prompts, one line each."""

    prompt: Int[Tensor, " line"]
    pos: Int[Tensor, " line"]
    features: Float[Tensor, "line feature"]


def known(task: SortTask, prompts: Prompts, others: Others, counts: bool = True) -> Known:
    """What the program knows of the positions of a region that hold something.

    Args:
        counts: whether copies and lengths are known, or values and places alone.
    """
    tokens = prompts.tokens(task)
    if others == "rest":
        return _rest(task, tokens)
    region = task.region(Region.DIGITS if others == "digits" else Region.OUTPUTS)
    there = tokens[:, region.start : region.stop]
    prompt, place = (there < N_DIGITS).nonzero(as_tuple=True)
    own, at = F.one_hot(there[prompt, place], N_DIGITS), F.one_hot(place, len(region))
    # Cells that no example has are left to digit and place by themselves.
    features = [own, at, _both(own, at)]
    if counts:
        numbers = (_of_digits if others == "digits" else _of_outputs)(task, tokens)
        features.append(_both(own, numbers[prompt, place]))
    return Known(prompt, place + region.start, torch.cat(features, 1).double())


def _both(
    one: Shaped[Tensor, "line some"], other: Shaped[Tensor, "line more"]
) -> Shaped[Tensor, "line both"]:
    """What is known of two together: of every pair of features, their product."""
    return (one[:, :, None] * other[:, None]).flatten(1)


def _rest(task: SortTask, tokens: Int[Tensor, "prompt pos"]) -> Known:
    positions, n = torch.arange(task.sep_pos, task.first_output_row + 1), len(tokens)
    prompt = torch.arange(n).repeat_interleave(len(positions))
    one_each = torch.eye(len(positions), dtype=torch.float64)
    return Known(prompt, positions.repeat(n), one_each.repeat(n, 1))


def _of_digits(
    task: SortTask, tokens: Int[Tensor, "prompt pos"]
) -> Float[Tensor, "prompt place number"]:
    """Of the digits up to every digit: the share that is its copies, squared too; how many."""
    listed = _one_hot(task, tokens, Region.DIGITS)
    copies, seen = (listed.cumsum(1) * listed).sum(-1), listed.sum(-1).cumsum(1)
    share = copies / seen.clamp(min=1)
    return torch.stack([share, share**2, seen / task.max_len], -1)


def _of_outputs(
    task: SortTask, tokens: Int[Tensor, "prompt pos"]
) -> Float[Tensor, "prompt place number"]:
    """Of every output: whether its copies are just all out, or too many; the share of its copies,
    listed and out up to it, that is out, squared too; how long the list is."""
    listed, out = (_one_hot(task, tokens, region) for region in (Region.DIGITS, Region.OUTPUTS))
    copies, in_list = (out.cumsum(1) * out).sum(-1), (listed.sum(1)[:, None] * out).sum(-1)
    share = copies / (copies + in_list).clamp(min=1)
    length = listed.sum((1, 2))[:, None].expand_as(share)
    return torch.stack(
        [copies == in_list, copies > in_list, share, share**2, length / task.max_len], -1
    )


def _one_hot(
    task: SortTask, tokens: Int[Tensor, "prompt pos"], of: Region
) -> Int[Tensor, "prompt place digit"]:
    """The digits of a region; no digit where another token is."""
    span = task.region(of)
    there = tokens[:, span.start : span.stop].clamp(max=N_DIGITS)
    return F.one_hot(there, N_DIGITS + 1)[..., :N_DIGITS]


@dataclass(frozen=True, eq=False)
class OneReader:
    """What every layer after the first holds at other positions, by what is known of them."""

    task: SortTask
    counts: bool
    """Whether tokens are known by counts, too."""
    tables: Mapping[Others, Float[Tensor, "feature layer two head d_head"]]
    """Keys, then values, of layer 1 on."""

    def cut(self, rows: Rows, prompts: Prompts, others: Collection[Others] = OTHERS) -> Rows:
        """What the rows read, as the program has it.

        ``at`` and ``logits`` stay as they were: see
        :func:`interp.methods.interchange.recomputed`.

        Args:
            rows: of these prompts.
            others: the regions that are known so; the rest is as the model has it.
        """
        keys, values = list(rows.keys), list(rows.values)
        for region in others:
            there = known(self.task, prompts, region, self.counts)
            told = torch.einsum("nf,flthd->nlthd", there.features, self.tables[region])
            for layer in range(1, len(keys)):
                for parts, part in ((keys, 0), (values, 1)):
                    changed = parts[layer].clone()
                    changed[there.prompt, there.pos] = told[:, layer - 1, part].to(changed)
                    parts[layer] = changed
        return replace(rows, keys=tuple(keys), values=tuple(values))


@torch.no_grad()
def one_reader(model: Transformer, examples: Prompts, counts: bool = True) -> OneReader:
    """Read the program off a model.

    Args:
        examples: prompts over which positions of a kind are averaged; those that are judged
            should not be among them.
        counts: whether tokens are known by counts, too, or by values and places alone.

    Raises:
        UserError: if something acts on the model.
    """
    sums: dict[Others, tuple[Tensor, Tensor]] = {}
    for index in torch.arange(len(examples)).split(_AT_ONCE):
        some = examples.take(index)
        rows = record(model, some)
        for others in OTHERS:
            there = known(model.task, some, others, counts)
            seen = rows.allowed[there.prompt, there.pos].cpu()
            x, y = there.features[seen], _held(rows, there, seen)
            square, both = x.T @ x, torch.einsum("nf,nlthd->flthd", x, y)
            before = sums.get(others, (torch.zeros_like(square), torch.zeros_like(both)))
            sums[others] = before[0] + square, before[1] + both
    tables = {others: _solved(*parts) for others, parts in sums.items()}
    return OneReader(model.task, counts, tables)


def _held(
    rows: Rows, there: Known, seen: Bool[Tensor, " line"]
) -> Float[Tensor, "line layer two head d_head"]:
    """Keys and values at these positions, of layer 1 on."""
    at = there.prompt[seen], there.pos[seen]
    found = [part[at] for layer in zip(rows.keys, rows.values, strict=True) for part in layer]
    return torch.stack(found, 1).unflatten(1, (-1, 2))[:, 1:].double().cpu()


def _solved(
    square: Float[Tensor, "feature feature"], both: Float[Tensor, "feature layer two head d_head"]
) -> Float[Tensor, "feature layer two head d_head"]:
    square = square + _RIDGE * torch.eye(len(square), dtype=square.dtype)
    return torch.linalg.solve(square, both.flatten(1)).reshape(both.shape)
