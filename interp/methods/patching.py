"""Activation patching: run one list, put in activations of another, see what the answer does.

    view = Window(task, pairs.length, task.first_output_row)
    clean, corrupt = (record(model, tokens, view) for tokens in (pairs.clean, pairs.corrupt))
    site = Site(Component.V, 1, heads=(2,))
    patched_logits(model, site, corrupt, clean, places, pairs.rows - view.start)

Definition (Vig et al. 2020; Meng et al. 2022; Heimersheim and Nanda 2024 for the two directions).
Two runs differ in their input. Replacing the activation of one by the other's, at some positions
of one component, changes the output by what those positions carry:

- *denoising* puts clean activations into the corrupted run: is the place sufficient?
- *noising* puts corrupted activations into the clean run: is the place necessary?

:func:`patched_logits` sweeps many sets of positions at once, of the stream, of what attention or
MLP add, and of queries, keys, values and outputs of single heads. It restarts in the patched layer,
and computes only the rows that can change; keys and values that are as before are shared by all
patches of a pair. What cannot change anything is never computed and equals the unpatched logits bit
for bit: positions after the row that is read, other rows of the last layer, and places where the
two runs are the same. The tests hold it to ``run_with_hooks``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.passes.forward import Run, forward, project
from interp.passes.packed import (
    Window,
    allowed_attention,
    mlp,
    norm_after,
    norm_before,
    read_out,
    run_block,
)
from interp.passes.untouched import refuse_touched
from interp.sites import PER_HEAD, STREAM, Component, Site
from interp.support.errors import UserError
from interp.support.progress import SILENT, Progress
from interp.transformer import Transformer

PATCHABLE = (*STREAM, *PER_HEAD)
"""What :func:`patched_logits` sweeps."""
_KEPT = (*PATCHABLE, Component.RESID_MID)
_READ_LATER = (Component.RESID_PRE, Component.K, Component.V)  # by rows after their own position
_CARRIES = {  # what of the attention a patch changes before anything is gathered
    Component.RESID_PRE: (Component.Q, Component.K, Component.V),
    Component.Q: (Component.Q,),
    Component.K: (Component.K,),
    Component.V: (Component.V,),
}


@torch.no_grad()
def record(model: Transformer, tokens: Int[Tensor, "pair pos"], view: Window) -> Run:
    """What patches take from and put into: every row of ``view``, in the last layer too."""
    keep = [(component, layer) for layer in range(model.cfg.n_layers) for component in _KEPT]
    return forward(model, tokens, replace(view, first_row=view.start), keep=keep)


def logits_at(run: Run, rows: Int[Tensor, " pair"]) -> Float[Tensor, "pair d_vocab_out"]:
    """The unpatched logits of one row of each list (``rows`` count from the window's start)."""
    return run.logits[torch.arange(len(rows), device=rows.device), rows]


@torch.no_grad()
def patched_logits(
    model: Transformer,
    site: Site,
    base: Run,
    donor: Run,
    places: Bool[Tensor, "pair place here"],
    rows: Int[Tensor, " pair"],
    progress: Progress = SILENT,
) -> Float[Tensor, "pair place d_vocab_out"]:
    """Logits at ``rows`` when ``site`` of ``base`` is taken from ``donor``, at each of the places.

    Args:
        site: a component of ``PATCHABLE``, and for those that have heads, which of them.
        base: of :func:`record`, as is ``donor``.
        places: True at the positions that are patched together, within the window.
        rows: the one row of each pair whose logits are read, counted from the window's start.
        progress: a step is one place of one pair.

    Raises:
        UserError: for a site that the model has not, or that is not swept here; if something acts
            on the model (patch it with ``intervene`` and :class:`interp.interventions.Patch`).
    """
    refuse_touched(model, "a sweep of patches")
    _check(model, site)
    out = logits_at(base, rows)[:, None].repeat(1, places.shape[1], 1)
    effective = _effective(model, site, base, donor, places, rows)
    for pair in effective.any(1).nonzero()[:, 0].tolist():
        for jobs in effective[pair].nonzero()[:, 0].split(_jobs_at_once(model, site)):
            patches = _Patches(model, site, base, donor, pair, int(rows[pair]), places[pair, jobs])
            out[pair, jobs] = patches.logits()
    progress.step(places.shape[0] * places.shape[1])
    return out


def _check(model: Transformer, site: Site) -> None:
    site.check(model.config)
    if site.component not in PATCHABLE:
        names = ", ".join(PATCHABLE)
        raise UserError(f"the {site.words} cannot be swept; what can is {names}")
    if site.positions is not None:
        raise UserError("positions of a sweep are its places; the site must not name any")


def _effective(
    model: Transformer,
    site: Site,
    base: Run,
    donor: Run,
    places: Bool[Tensor, "pair place here"],
    rows: Int[Tensor, " pair"],
) -> Bool[Tensor, "pair place"]:
    """Which patches can change the row: they alter something, and causality lets it be seen."""
    positions = torch.arange(places.shape[-1], device=places.device)
    in_last = site.layer == model.cfg.n_layers - 1
    own_row_only = in_last and site.component not in _READ_LATER
    read = positions == rows[:, None] if own_row_only else positions <= rows[:, None]
    altered = donor.at(site.component, site.layer) != base.at(site.component, site.layer)
    if site.component in PER_HEAD:
        altered = altered[:, :, _heads(site)].any(-1)
    return (places & (read & altered.any(-1))[:, None]).any(-1)


def _jobs_at_once(model: Transformer, site: Site) -> int:
    """So many that their rows stay in the processor's cache: about 3,000 of them."""
    later = model.cfg.n_layers - 1 - site.layer
    whole_sequences = later > (0 if site.component in _READ_LATER else 1)
    return 32 if whole_sequences else 512


def _heads(site: Site) -> slice | list[int]:
    return slice(None) if site.heads is None else list(site.heads)


@dataclass(frozen=True)
class _Patches:
    """All patches of one site in one pair of lists.

    Of a patched run only the rows that differ from ``base`` are held, one after the other: ``job``
    says which patch a row belongs to, ``position`` which row of the window it is.
    """

    model: Transformer
    site: Site
    base: Run
    donor: Run
    pair: int
    row: int
    places: Bool[Tensor, "job here"]

    def logits(self) -> Float[Tensor, "job d_vocab_out"]:
        """At ``row``, of each patch."""
        n_layers, changed = self.model.cfg.n_layers, self._changed()
        x = self._patched_layer(changed)
        if self.site.layer == n_layers - 1:  # then ``changed`` is that row alone
            return read_out(self.model, x)
        for layer in range(self.site.layer + 1, n_layers - 1):
            x, changed = self._whole_layer(layer, x, changed)
        return read_out(self.model, self._last_layer(x, changed))

    def _of_base(self, component: Component, layer: int) -> Float[Tensor, "here ..."]:
        return self.base.at(component, layer)[self.pair]

    def _of_donor(self, component: Component, layer: int) -> Float[Tensor, "here ..."]:
        return self.donor.at(component, layer)[self.pair]

    @property
    def _allowed(self) -> Bool[Tensor, "here here"]:
        """Lists fill the window (they all have its length), so no key is padding."""
        size, view = self.places.shape[1], self.base.view
        tokens = torch.zeros(1, size, dtype=torch.long, device=self.places.device)
        return allowed_attention(self.model, tokens, view)[0, 0]

    # -- the patched layer ------------------------------------------------------------------------

    def _changed(self) -> Bool[Tensor, "job here"]:
        """The rows that the patched layer writes anew, of those that are read."""
        positions = torch.arange(self.places.shape[1], device=self.places.device)
        reach = self.places
        if self.site.component in _READ_LATER:
            reach = reach.cumsum(1) > 0
        if self.site.layer == self.model.cfg.n_layers - 1:
            return reach & (positions == self.row)
        return reach & (positions <= self.row)

    def _patched_layer(self, changed: Bool[Tensor, "job here"]) -> Float[Tensor, "row d_model"]:
        """The stream after the patched layer, at the changed rows."""
        layer, component = self.site.layer, self.site.component
        job, position = changed.nonzero(as_tuple=True)
        block, norm = self.model.blocks[layer], self.model.config.norm
        if component is Component.MLP_OUT:
            mid = self._of_base(Component.RESID_MID, layer)[position]
            return norm_after(mid + self._of_donor(component, layer)[position], block.ln2, norm)
        before = self._of_base(Component.RESID_PRE, layer)[position]
        if component is Component.RESID_PRE:
            given = self._of_donor(component, layer)[position]
            before = torch.where(self.places[job, position][:, None], given, before)
        return _after_attention(self.model, layer, before, self._attn_out(job, position))

    def _attn_out(
        self, job: Int[Tensor, " row"], position: Int[Tensor, " row"]
    ) -> Float[Tensor, "row d_model"]:
        """What the heads add at the changed rows."""
        layer, heads = self.site.layer, _heads(self.site)
        if self.site.component is Component.ATTN_OUT:
            return self._of_donor(Component.ATTN_OUT, layer)[position]
        if self.site.component is Component.Z:
            z = self._of_donor(Component.Z, layer)[position][:, heads]
        else:
            z = self._gathered(job, position)
        delta = z - self._of_base(Component.Z, layer)[position][:, heads]
        w_out = self.model.blocks[layer].attn.W_O[heads]
        moved = torch.einsum("rhd,hdm->rm", delta, w_out)
        return self._of_base(Component.ATTN_OUT, layer)[position] + moved

    def _gathered(
        self, job: Int[Tensor, " row"], position: Int[Tensor, " row"]
    ) -> Float[Tensor, "row head d_head"]:
        """What the patched heads gather at the changed rows, from queries, keys or values that are
        the donor's at the places and the base's elsewhere."""
        layer, heads = self.site.layer, _heads(self.site)
        patched, carries = self.places[job], _CARRIES[self.site.component]

        def both(component: Component) -> tuple[Tensor, Tensor]:
            ours, theirs = self._of_base(component, layer), self._of_donor(component, layer)
            return ours[:, heads], theirs[:, heads]

        (q, given_q), (k, given_k) = both(Component.Q), both(Component.K)
        query = q[position]
        if Component.Q in carries:
            query = torch.where(self.places[job, position][:, None, None], given_q[position], query)
        scores = torch.einsum("rhd,khd->hrk", query, k)
        if Component.K in carries:
            scores = torch.where(patched, torch.einsum("rhd,khd->hrk", query, given_k), scores)
        scores = scores / math.sqrt(query.shape[-1])
        pattern = scores.masked_fill(~self._allowed[position], -torch.inf).softmax(-1)
        v, given_v = both(Component.V)
        if Component.V not in carries:
            return torch.einsum("hrk,khd->rhd", pattern, v)
        kept = torch.einsum("hrk,khd->rhd", pattern.masked_fill(patched, 0.0), v)
        return kept + torch.einsum("hrk,khd->rhd", pattern.masked_fill(~patched, 0.0), given_v)

    # -- later layers -----------------------------------------------------------------------------

    def _whole_layer(
        self, layer: int, x: Float[Tensor, "row d_model"], changed: Bool[Tensor, "job here"]
    ) -> tuple[Float[Tensor, "row2 d_model"], Bool[Tensor, "job here"]]:
        """One layer between: the rows that it writes anew, and which they are."""
        stream = self._of_base(Component.RESID_PRE, layer).expand(*changed.shape, -1).clone()
        stream[changed] = x
        allowed = self._allowed[None, None]
        stream = run_block(stream, self.model.blocks[layer], self.model.config.norm, allowed)
        positions = torch.arange(changed.shape[1], device=changed.device)
        changed = (changed.cumsum(1) > 0) & (positions <= self.row)
        return stream[changed], changed

    def _last_layer(
        self, x: Float[Tensor, "row d_model"], changed: Bool[Tensor, "job here"]
    ) -> Float[Tensor, "job d_model"]:
        """The last layer's stream at the row that is read."""
        layer = self.model.cfg.n_layers - 1
        attn, n_jobs = self.model.blocks[layer].attn, len(changed)
        job, position = changed.nonzero(as_tuple=True)
        y = norm_before(x, self.model.blocks[layer].ln1, self.model.config.norm)[None]
        new_k, new_v = project(y, attn.W_K, attn.b_K)[0], project(y, attn.W_V, attn.b_V)[0]
        k, v = self._of_base(Component.K, layer), self._of_base(Component.V, layer)
        before = self._of_base(Component.RESID_PRE, layer)[self.row].repeat(n_jobs, 1)
        query = self._of_base(Component.Q, layer)[self.row].repeat(n_jobs, 1, 1)
        own = position == self.row
        before[job[own]] = x[own]
        query[job[own]] = project(y[:, own], attn.W_Q, attn.b_Q)[0]
        query = query / math.sqrt(query.shape[-1])
        scores = torch.einsum("jhd,khd->jhk", query, k)
        scores[job, :, position] = (query[job] * new_k).sum(-1)
        pattern = scores.masked_fill(~self._allowed[self.row], -torch.inf).softmax(-1)
        # Every job gathers the base's values, and the difference where they are new.
        z = torch.einsum("jhk,khd->jhd", pattern, v)
        moved = pattern[job, :, position, None] * (new_v - v[position])
        z = z.index_add(0, job, moved)
        attn_out = torch.einsum("jhd,hdm->jm", z, attn.W_O) + attn.b_O
        return _after_attention(self.model, layer, before, attn_out)


def _after_attention(
    model: Transformer,
    layer: int,
    before: Float[Tensor, "row d_model"],
    attn_out: Float[Tensor, "row d_model"],
) -> Float[Tensor, "row d_model"]:
    """The rest of a layer for single rows: the stream before it and what its heads add, to after.

    The MLP takes a batch of sequences; rows are given to it as one.
    """
    block: Any = model.blocks[layer]
    norm = model.config.norm
    mid = norm_after(before + attn_out, block.ln1, norm)
    return norm_after(
        mid + mlp(norm_before(mid, block.ln2, norm)[None], block.mlp)[0], block.ln2, norm
    )
