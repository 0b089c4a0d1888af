"""Less and less in place of the blanks, at the rows that answer.

Each is an intervention: the output rows' attention to the blanks (all but the last, an output row
itself) is replaced by something smaller, in every layer.

    Merge(rows, blanks, kept)                 one blank, its score raised by log n, stands for all n
    Replace(rows, blanks, fixed)              weights stay; a fixed vector for what was gathered
    Replace(rows, blanks, fixed, share)       the softmax is over the rest, scaled by a fixed share

With n equal blanks the first changes nothing: n keys of score s weigh what one of s + log n does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.interventions import Mask
from interp.passes.forward import Edit, forward
from interp.passes.packed import parts_of, window
from interp.sites import Component, Frame, Site
from interp.task import Region, SortBatch
from interp.transformer import Transformer


@dataclass(frozen=True)
class Merge:
    """One key stands for all of ``keys``: the others are masked, its score rises by log n."""

    queries: range
    keys: range
    kept: int

    @property
    def words(self) -> str:
        return f"position {self.kept} with its score raised by log {len(self.keys)}"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        layers = range(model.cfg.n_layers)
        return [(Site(Component.SCORES, n, None, self.queries, self.keys), self._edit)
                for n in layers]  # fmt: skip

    def _edit(self, current: Tensor, here: Frame) -> Tensor:
        changed = current.clone()
        rows = slice(max(0, self.queries.start - here.position), self.queries.stop - here.position)
        cut = slice(self.keys.start - here.key, self.keys.stop - here.key)
        changed[..., rows, cut] = -torch.inf
        own = self.kept - here.key
        changed[..., rows, own] = current[..., rows, own] + math.log(len(self.keys))
        return changed


@dataclass(frozen=True, eq=False)
class Replace:
    """What queries gather at keys is a fixed vector for each layer and head."""

    queries: range
    keys: range
    vectors: Float[Tensor, "layer head d_head"]
    share: Float[Tensor, "layer head"] | None = None
    """None: the other weights stay as they are; else they are a softmax of their own, times it."""

    @property
    def words(self) -> str:
        return "a fixed vector in place of what the blanks contribute"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        mask = Mask(self.queries, self.keys, renormalise=self.share is not None)
        found = mask.changes(model)
        for layer in range(model.cfg.n_layers):
            site = Site(Component.Z, layer, None, self.queries)
            found.append((site, self._adder(layer)))
        return found

    def _adder(self, layer: int) -> Edit:
        def edit(current: Tensor, here: Frame) -> Tensor:
            changed = current.clone()
            start = max(0, self.queries.start - here.position)
            rows = slice(start, self.queries.stop - here.position)
            scale = 1.0 if self.share is None else self.share[layer][:, None]
            changed[:, rows] = scale * current[:, rows] + self.vectors[layer]
            return changed

        return edit


@dataclass(frozen=True)
class Contribution:
    """What output rows gather at the blanks, and the attention that rests elsewhere: means."""

    vectors: Float[Tensor, "layer head d_head"]
    rest: Float[Tensor, "layer head"]
    """The share of attention that is not on the blanks."""
    spread: Float[Tensor, "layer head"]
    """Variance of what is gathered there around its mean, as a share of its mean square."""


@torch.no_grad()
def contribution(model: Transformer, batch: SortBatch) -> Contribution:
    """Over all output rows of all lists of ``batch``."""
    task, cfg = model.task, model.cfg
    blanks, n = task.region(Region.BLANKS), 0
    total = torch.zeros(cfg.n_layers, cfg.n_heads, cfg.d_head)
    squares, on = (torch.zeros(cfg.n_layers, cfg.n_heads) for _ in range(2))
    places = [(c, k) for k in range(cfg.n_layers) for c in (Component.PATTERN, Component.V)]
    for index in parts_of(model, batch, 24):
        part = batch[index]
        view = window(task, part, digits_only=True)
        run = forward(model, part.tokens.to(model.W_U.device), view, keep=places)
        known = task.scored_digits(part.tokens)[:, view.rows].cpu()
        n_rows = known.shape[1]
        n += int(known.sum())
        keys = slice(blanks.start - view.start, blanks.stop - view.start)
        for layer in range(cfg.n_layers):
            pattern = run.at(Component.PATTERN, layer)[:, :, -n_rows:, keys]
            values = run.at(Component.V, layer)[:, keys]
            gathered = torch.einsum("nhqk,nkhd->nqhd", pattern, values).cpu()[known]
            total[layer] += gathered.sum(0)
            squares[layer] += gathered.square().sum((0, 2))
            on[layer] += pattern.sum(-1).transpose(1, 2).cpu()[known].sum(0)
    mean = total / n
    spread = 1 - mean.square().sum(-1) / (squares / n).clamp(min=1e-12)
    return Contribution(mean, 1 - on / n, spread)
