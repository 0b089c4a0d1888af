"""A forward pass that can be edited anywhere, kept anywhere, and restarted at any layer.

    view = window(model.task, batch, digits_only=True)
    base = forward(model, batch.tokens, view, keep=[(Component.V, 1)])
    base.logits                         # [batch, row, d_vocab_out], the rows that emit digits
    base.at(Component.V, 1)             # [batch, here, head, d_head]

It computes what ``SortTransformer.forward`` does, on the positions of a ``Window`` only, and in
the last layer only the rows whose logits are read. An intervention that first acts in layer 1 can
restart there from a ``base`` run. No hooks are involved, so threads may share a model. Where hooks
are on the model, they are obeyed: the pass is then the hooked model's, of which nothing is left
out. The tests hold each to the other, site by site.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from interp.passes.activations import neurons
from interp.passes.hooked import run_hooked
from interp.passes.packed import (
    Window,
    allowed_attention,
    embed,
    mlp,
    norm_after,
    norm_before,
    read_out,
)
from interp.passes.untouched import touch
from interp.sites import ATTENTION, WHOLE, Component, Frame, hook_name
from interp.support.errors import UserError
from interp.task import NO_LISTS
from interp.transformer import Transformer

if TYPE_CHECKING:
    from interp.model import SortTransformer

Place = tuple[Component, int]
"""A component and its layer."""
Edit = Callable[[Tensor, Frame], Tensor]
"""Given an activation and the positions it holds, what to go on with (a new tensor)."""


class Edits(dict[Place, tuple[Edit, ...]]):
    """What to do at each place, in the order in which it is done."""

    since: int = 0
    """No position before this one is changed."""
    opens: bool = False
    """Whether attention may be opened where it was closed: to padding, to what comes later."""
    per_list: bool = False
    """Whether what is done depends on which list of the batch it is."""


NO_EDITS = Edits()
EVERYTHING = tuple(Component)


@dataclass(frozen=True)
class Run:
    """What was kept of a forward pass."""

    view: Window
    n_layers: int
    values: Mapping[Place, Tensor]
    logits: Float[Tensor, "batch row d_vocab_out"]
    """At ``view.rows``."""

    @classmethod
    def from_cache(cls, model: SortTransformer, tokens: Int[Tensor, "batch pos"]) -> Run:
        """Every activation of the whole sequence, by ``run_with_cache``."""
        logits: Any  # the annotation of run_with_cache also knows other return types
        with torch.no_grad():
            logits, cache = model.run_with_cache(tokens)
        values = {
            (component, layer): cache[hook_name(component, layer)]
            for layer in range(model.cfg.n_layers)
            for component in Component
        }
        return cls(Window(model.task, model.task.max_len, 0), model.cfg.n_layers, values, logits)

    def at(self, component: Component, layer: int) -> Tensor:
        """The activation at a place, with the axes that ``Component`` documents.

        Raises:
            UserError: if it was not kept.
        """
        try:
            return self.values[component, layer]
        except KeyError:
            raise UserError(f"this run kept no {hook_name(component, layer)}") from None

    def frame(self, component: Component, layer: int) -> Frame:
        """Which positions :meth:`at` holds."""
        return frame(self.view, self.n_layers, component, layer)

    def __getitem__(self, index: Any) -> Run:
        """Some of the lists."""
        values = {place: value[index] for place, value in self.values.items()}
        return Run(self.view, self.n_layers, values, self.logits[index])


def frame(view: Window, n_layers: int, component: Component, layer: int, since: int = 0) -> Frame:
    """The positions that :func:`forward` computes at a place.

    Args:
        since: the position before which nothing was computed.
    """
    if component in (Component.K, Component.V):
        return Frame(view.start, view.start)
    last = layer == n_layers - 1 and component is not Component.RESID_PRE
    return Frame(max(since, view.start, view.first_row if last else 0), view.start)


def forward(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    view: Window,
    edits: Edits = NO_EDITS,
    *,
    keep: Collection[Place] = (),
    base: Run | None = None,
) -> Run:
    """One pass over full sequences, equal to ``model(tokens)[:, view.rows]`` under the same edits.

    Args:
        tokens: full sequences, none longer than ``view.longest``.
        edits: what to do at each place; see :func:`interp.interventions.edits_of`.
        keep: the places whose activations (after their edits) the result keeps.
        base: an unedited run of the same tokens that kept ``RESID_PRE``, ``K`` and ``V`` of every
            layer: what comes before the first edit is taken from it, in layers and in positions.
            Positions are skipped only where nothing is to be kept.
    """
    if not len(tokens):
        raise UserError(NO_LISTS)
    if touch(model):
        return _through_hooks(model, tokens, view, edits, keep)
    if edits.opens:  # then every position can be read, those that are left out by default, too
        whole = _Whole(view.task, view.task.max_len, view.first_row)
        run = _forward(model, tokens, whole, edits, keep, None)
        return _cut(run.values, run.logits, whole, view, model.cfg.n_layers)
    if base is not None and not edits and not keep:
        return base
    return _forward(model, tokens, view, edits, keep, base)


@dataclass
class Passes:
    """Passes under the same edits over sequences that begin alike, as in decoding: what comes
    before the first other token is taken from the pass before, in every layer.

    passes = Passes(model, view, edits)
    passes.logits(tokens, view.start)       # [batch, row, d_vocab_out], a whole pass
    passes.logits(others, 99)               # tokens before position 99 are those of the last pass
    """

    model: Transformer
    view: Window
    edits: Edits
    _last: Run | None = None  # keys and values as they were before any edit

    def logits(
        self, tokens: Int[Tensor, "batch pos"], since: int
    ) -> Float[Tensor, "batch row d_vocab_out"]:
        """At ``view.rows``, equal to a whole pass to rounding."""
        if touch(self.model) or self.edits.opens:  # what comes later may change what is before
            return forward(self.model, tokens, self.view, self.edits).logits
        unedited: dict[Place, Tensor] = {}
        found = _forward(
            self.model, tokens, self.view, self.edits, (), None, _Since(self._last, since, unedited)
        )
        self._last = Run(self.view, found.n_layers, unedited, found.logits)
        return found.logits


@dataclass(frozen=True)
class _Since:
    """Where a pass over other tokens begins, and what is before."""

    last: Run | None
    position: int
    unedited: dict[Place, Tensor]  # is told keys and values, before they are edited


def streams_before(
    model: Transformer, tokens: Int[Tensor, "batch pos"], view: Window, layers: Collection[int]
) -> dict[int, Float[Tensor, "batch here d_model"]]:
    """The residual streams that some layers read; what the last of them does is not computed."""
    if touch(model):
        places = [(Component.RESID_PRE, layer) for layer in layers]
        run = forward(model, tokens, view, keep=places)
        return {layer: run.at(Component.RESID_PRE, layer) for layer in layers}
    cut = tokens[:, view.start : view.stop]
    found = {0: embed(model, cut, view)}
    allowed = allowed_attention(model, cut, view)
    for layer in range(max(layers)):
        one = _Layer(model, layer, view, view.start, None, NO_EDITS, set(), {})
        found[layer + 1] = one.run(found[layer], allowed)
    return {layer: found[layer] for layer in layers}


class _Whole(Window):
    """Every position, the last one too, which nothing reads that may not."""

    @property
    def stop(self) -> int:
        return self.task.n_ctx


def _forward(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    view: Window,
    edits: Edits,
    keep: Collection[Place],
    base: Run | None,
    again: _Since | None = None,
) -> Run:
    wanted, n_layers = set(keep), model.cfg.n_layers
    values: dict[Place, Tensor] = {}
    cut = tokens[:, view.start : view.stop]
    first, since = 0, view.start
    if base is not None:
        first = min((layer for _, layer in edits), default=n_layers - 1)
        since = view.start if keep else max(view.start, min(edits.since, view.stop - 1))
        x = base.at(Component.RESID_PRE, first)[:, since - view.start :]
    else:
        x = embed(model, cut, view)
    if again is not None and again.last is not None:
        base, since = again.last, again.position
        x = x[:, since - view.start :]
    allowed = allowed_attention(model, cut, view, rest_on_padding=not edits.opens)
    unedited = None if again is None else again.unedited
    for layer in range(first, n_layers):
        one = _Layer(model, layer, view, since, base, edits, wanted, values, unedited)
        x = one.run(x, allowed)
    logits = read_out(model, x[:, x.shape[1] - (view.stop - max(since, view.first_row)) :])
    if base is not None and since > view.first_row:
        logits = torch.cat([base.logits[:, : since - view.first_row], logits], 1)
    return Run(view, n_layers, values, logits)


def _through_hooks(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    view: Window,
    edits: Edits,
    keep: Collection[Place],
) -> Run:
    """The same of the hooked model; its whole sequences hold every position."""
    changes = {
        place: [partial(_edited, edit) for edit in several] for place, several in edits.items()
    }
    logits, values = run_hooked(model, tokens, changes, keep)
    whole = _Whole(view.task, view.task.max_len, 0)
    return _cut(values, logits, whole, view, model.cfg.n_layers)


def _edited(edit: Edit, value: Tensor) -> Tensor:
    return edit(value, WHOLE)


def _cut(
    values: Mapping[Place, Tensor], logits: Tensor, had: Window, view: Window, n_layers: int
) -> Run:
    """The part of a run over ``had`` that a run over ``view`` holds."""
    kept = {}
    for (component, layer), value in values.items():
        old, new = (frame(each, n_layers, component, layer) for each in (had, view))
        axis = axis_of_positions(component)
        value = value.narrow(axis, new.position - old.position, view.stop - new.position)
        if component in ATTENTION:
            value = value.narrow(-1, new.key - old.key, view.stop - view.start)
        kept[component, layer] = value
    first = max(view.first_row, view.start)
    return Run(view, n_layers, kept, logits[:, first - had.first_row : view.stop - had.first_row])


@dataclass
class _Layer:
    """One layer of one pass: every activation goes through ``done``, which edits and keeps it."""

    model: Transformer
    layer: int
    view: Window
    since: int  # the first position that is computed
    base: Run | None  # where earlier positions' keys and values are
    edits: Edits
    wanted: set[Place]
    values: dict[Place, Tensor]
    unedited: dict[Place, Tensor] | None = None  # is told keys and values, before they are edited

    def frame(self, component: Component) -> Frame:
        return frame(self.view, self.model.cfg.n_layers, component, self.layer, self.since)

    def done(self, component: Component, value: Tensor) -> Tensor:
        place = (component, self.layer)
        for edit in self.edits.get(place, ()):
            value = edit(value, self.frame(component))
        if place in self.wanted:
            self.values[place] = value
        return value

    def run(self, x: Tensor, allowed: Bool[Tensor, "batch 1 here here"]) -> Tensor:
        block, norm = self.model.blocks[self.layer], self.model.config.norm
        skipped = self.frame(Component.Q).position - self.since
        x = self.done(Component.RESID_PRE, x)
        added = self._attention(norm_before(x, block.ln1, norm), block.attn, allowed, skipped)
        x = norm_after(x[:, skipped:] + added, block.ln1, norm)
        x = self.done(Component.RESID_MID, x)
        added = self._mlp(norm_before(x, block.ln2, norm), block.mlp)
        return self.done(Component.RESID_POST, norm_after(x + added, block.ln2, norm))

    def _attention(
        self, y: Tensor, attn: Any, allowed: Bool[Tensor, "batch 1 here here"], skipped: int
    ) -> Float[Tensor, "batch row d_model"]:
        q = self.done(Component.Q, project(y[:, skipped:], attn.W_Q, attn.b_Q))
        k = self._all_positions(Component.K, y, attn.W_K, attn.b_K)
        v = self._all_positions(Component.V, y, attn.W_V, attn.b_V)
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1) / math.sqrt(q.shape[-1])
        scores = scores.masked_fill(~allowed[:, :, -q.shape[1] :], -torch.inf)
        pattern = self.done(Component.SCORES, scores).softmax(-1)
        if self.edits.opens or (Component.SCORES, self.layer) in self.edits:
            pattern = pattern.nan_to_num(0.0)  # a row with nothing left to attend to
        pattern = self.done(Component.PATTERN, pattern)
        z = self.done(Component.Z, (pattern @ v.transpose(1, 2)).transpose(1, 2))
        out = F.linear(z.flatten(2), attn.W_O.flatten(0, 1).T, attn.b_O)
        return self.done(Component.ATTN_OUT, out)

    def _all_positions(
        self, component: Component, y: Tensor, weight: Tensor, bias: Tensor
    ) -> Float[Tensor, "batch here head d_head"]:
        """Keys or values: those of positions that are not computed, from the base run."""
        before, found = self.since - self.view.start, project(y, weight, bias)
        if self.base is not None and before:
            kept = self.base.at(component, self.layer)[:, :before]
            found = torch.cat([kept, found], 1)
        if self.unedited is not None:
            self.unedited[component, self.layer] = found
        return self.done(component, found)

    def _mlp(self, y: Tensor, module: Any) -> Float[Tensor, "batch row d_model"]:
        place = (Component.NEURONS, self.layer)
        if place not in self.edits and place not in self.wanted:
            return self.done(Component.MLP_OUT, mlp(y, module))
        hidden = self.done(Component.NEURONS, neurons(y, module))
        return self.done(Component.MLP_OUT, F.linear(hidden, module.W_out.T, module.b_out))


def project(
    x: Float[Tensor, "batch pos d_model"],
    weight: Float[Tensor, "head d_model d_head"],
    bias: Float[Tensor, "head d_head"],
) -> Float[Tensor, "batch pos head d_head"]:
    """Queries, keys or values of every head."""
    flat = F.linear(x, weight.transpose(1, 2).flatten(0, 1), bias.flatten())
    return flat.unflatten(-1, bias.shape)


def axis_of_positions(component: Component) -> int:
    """Counted from the right, so that it holds with and without a batch."""
    if component in ATTENTION:
        return -2
    return -3 if component in (Component.Q, Component.K, Component.V, Component.Z) else -2
