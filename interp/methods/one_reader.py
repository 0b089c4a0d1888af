"""A program read off a model: only the row that answers reads, every other token is what it is.

    reader = one_reader(model, examples)            # from what other prompts hold
    rows = record(model, prompts)                   # interp.methods.interchange
    cut = recomputed(model, reader.cut(rows, prompts))
    digits_said(cut.logits)                         # [prompt]: what the program says

In a transformer every position reads those before it. In this program only the row that answers
does. It reads the first layer as the model does, for there a token is its embedding alone. In later
layers another position would hold what it has read itself; here it is known by

    a digit of the list     its value at its place, how long the list is, and how many copies of
                            it are there
    an output               its place, and its digit, with copies of it still to come there, just
                            all out, or too many
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
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from interp.methods.interchange import Rows, record
from interp.programs.prompts import Prompts
from interp.task import N_DIGITS, Region, SortTask
from interp.transformer import Transformer

Others = Literal["digits", "rest", "outputs"]
"""Positions that the row reads: the list; SEP, the blanks and the first output row; outputs."""
OTHERS: tuple[Others, ...] = get_args(Others)

_STAGES = 3  # of an output: copies of it to come, just all out, too many
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
    digit = there[prompt, place]
    at = F.one_hot(place, len(region))
    if others == "digits":
        own = F.one_hot(digit, N_DIGITS)
        # Cells that no example has are left to digit and place by themselves.
        features = torch.cat([own, at, (own[:, :, None] * at[:, None]).flatten(1)], 1)
        copies = (there[prompt] == digit[:, None]).sum(1, keepdim=True)
        length = (there[prompt] < N_DIGITS).sum(1, keepdim=True)
        scaled = (own * length / task.max_len, own * copies / task.max_len, own / copies)
        features = torch.cat([features, *scaled], 1) if counts else features
    else:
        stage = _stages(task, tokens)[prompt, place] if counts else 0
        own = F.one_hot(_STAGES * digit + stage, _STAGES * N_DIGITS)
        features = torch.cat([own, at], 1)
    return Known(prompt, place + region.start, features.double())


def _rest(task: SortTask, tokens: Int[Tensor, "prompt pos"]) -> Known:
    positions, n = torch.arange(task.sep_pos, task.first_output_row + 1), len(tokens)
    prompt = torch.arange(n).repeat_interleave(len(positions))
    one_each = torch.eye(len(positions), dtype=torch.float64)
    return Known(prompt, positions.repeat(n), one_each.repeat(n, 1))


def _stages(task: SortTask, tokens: Int[Tensor, "prompt pos"]) -> Int[Tensor, "prompt place"]:
    """Of every output: 0 while copies of it are to come, 1 with all just out, 2 with too many."""
    listed, out = (
        F.one_hot(tokens[:, span.start : span.stop].clamp(max=N_DIGITS), N_DIGITS + 1)
        for span in (task.region(Region.DIGITS), task.region(Region.OUTPUTS))
    )
    copies_out = (out.cumsum(1) * out).sum(-1)
    in_list = (listed.sum(1)[:, None] * out).sum(-1)
    return (copies_out >= in_list).long() + (copies_out > in_list).long()


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
