"""Activation patching: run one list, put in activations of another, see what the answer does.

Definition (Vig et al. 2020; Meng et al. 2022; Heimersheim and Nanda 2024 for the two directions).
Two runs differ in their input. Replacing the activation of one by the other's, at some positions
of one component, changes the output by what those positions carry:

- *denoising* puts clean activations into the corrupted run: is the place sufficient?
- *noising* puts corrupted activations into the clean run: is the place necessary?

:func:`patched_logits` sweeps many sets of positions at once. It restarts from the patched layer
and, in the last layer, computes the one row that is read. What cannot change anything is never
computed and equals the unpatched logits bit for bit: positions after the row that is read, other
rows of the last layer, and places where the two runs are the same. The tests hold it to
``run_with_hooks``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.config import Norm
from interp.model import SortTransformer
from interp.packed import (
    Window,
    attention,
    attention_mask,
    embed,
    mlp,
    norm_after,
    norm_before,
    run_block,
    run_mlp,
    unembed,
)
from interp.sites import Component, Site

_JOBS_AT_ONCE = 48  # patched runs computed together: about 3,000 rows, which stay in the cache


@dataclass(frozen=True)
class Activations:
    """One forward pass, kept: what patches take from and put into. Indexed by layer."""

    resid_pre: list[Float[Tensor, "pair here d_model"]]
    attn_out: list[Float[Tensor, "pair here d_model"]]
    resid_mid: list[Float[Tensor, "pair here d_model"]]
    mlp_out: list[Float[Tensor, "pair here d_model"]]
    resid_post: Float[Tensor, "pair here d_model"]

    def at(self, site: Site) -> Float[Tensor, "pair here d_model"]:
        return getattr(self, site.component.value)[site.layer]


@torch.no_grad()
def record(model: SortTransformer, tokens: Int[Tensor, "pair pos"], view: Window) -> Activations:
    """Run ``tokens`` within ``view`` and keep every site's activation."""
    tokens, norm = tokens[:, view.start : view.stop], model.config.norm
    allowed = attention_mask(tokens, view)
    x, layers = embed(model, tokens, view), []
    for block in model.blocks:
        attn_out = attention(norm_before(x, block.ln1, norm), block.attn, allowed)
        resid_mid = norm_after(x + attn_out, block.ln1, norm)
        mlp_out = mlp(norm_before(resid_mid, block.ln2, norm), block.mlp)
        layers.append((x, attn_out, resid_mid, mlp_out))
        x = norm_after(resid_mid + mlp_out, block.ln2, norm)
    before, attn, mid, added = (list(each) for each in zip(*layers, strict=True))
    return Activations(before, attn, mid, added, x)


@torch.no_grad()
def logits_at(
    model: SortTransformer, run: Activations, rows: Int[Tensor, " pair"]
) -> Float[Tensor, "pair d_vocab_out"]:
    """The unpatched logits of one row of each run (``rows`` count from the window's start)."""
    return unembed(model, _pick(run.resid_post, rows))


@torch.no_grad()
def patched_logits(
    model: SortTransformer,
    site: Site,
    base: Activations,
    donor: Activations,
    places: Bool[Tensor, "pair place here"],
    rows: Int[Tensor, " pair"],
    progress: Callable[[int], None] | None = None,
) -> Float[Tensor, "pair place d_vocab_out"]:
    """Logits at ``rows`` when ``site`` of ``base`` is taken from ``donor``, at each of the places.

    Args:
        places: True at the positions that are patched together, within the window.
        rows: the one row of each pair whose logits are read, counted from the window's start.
        progress: called with the number of (pair, place) jobs done since the last call.
    """
    out = logits_at(model, base, rows)[:, None].repeat(1, places.shape[1], 1)
    jobs = _effective(model, site, base, donor, places, rows).nonzero()  # [job, (pair, place)]
    for chunk in jobs.split(_JOBS_AT_ONCE):
        pair, place = chunk.T
        x = _patched_stream(model, site, base, donor, pair, places[pair, place])
        out[pair, place] = _finish(model, site, x, rows[pair])
    if progress:
        progress(places.shape[0] * places.shape[1])
    return out


def _effective(
    model: SortTransformer,
    site: Site,
    base: Activations,
    donor: Activations,
    places: Bool[Tensor, "pair place here"],
    rows: Int[Tensor, " pair"],
) -> Bool[Tensor, "pair place"]:
    """Which patches can change the row: they alter something, and causality lets it be seen."""
    positions = torch.arange(places.shape[-1], device=places.device)
    last_write = site.layer == model.cfg.n_layers - 1 and site.component != Component.RESID_PRE
    read = positions == rows[:, None] if last_write else positions <= rows[:, None]
    altered = (donor.at(site) != base.at(site)).any(-1)
    return (places & (read & altered)[:, None]).any(-1)


def _patched_stream(
    model: SortTransformer,
    site: Site,
    base: Activations,
    donor: Activations,
    pair: Int[Tensor, " job"],
    mask: Bool[Tensor, "job here"],
) -> Float[Tensor, "job here d_model"]:
    """The residual stream with which the next whole block starts, after the patch."""
    value = torch.where(mask[..., None], donor.at(site)[pair], base.at(site)[pair])
    if site.component is Component.RESID_PRE:
        return value
    block, norm = model.blocks[site.layer], model.config.norm
    mid, mlp_out = base.resid_mid[site.layer][pair], base.mlp_out[site.layer][pair]  # copies
    if site.component is Component.ATTN_OUT:
        # Only the patched rows change, so only they go through the MLP again.
        changed = base.resid_pre[site.layer][pair][mask] + value[mask]
        changed = norm_after(changed, block.ln1, norm)
        mid[mask] = changed
        mlp_out[mask] = mlp(norm_before(changed, block.ln2, norm)[None], block.mlp)[0]
        value = mlp_out
    return norm_after(mid + value, block.ln2, norm)


def _finish(
    model: SortTransformer,
    site: Site,
    x: Float[Tensor, "job here d_model"],
    rows: Int[Tensor, " job"],
) -> Float[Tensor, "job d_vocab_out"]:
    """The blocks after the patch; the last one for the row that is read alone."""
    # Lists fill the window (they all have its length), so the mask is causality alone.
    size, norm = x.shape[1], model.config.norm
    allowed = torch.ones(1, 1, size, size, dtype=torch.bool, device=x.device).tril()
    blocks = model.blocks[site.layer + (site.component is not Component.RESID_PRE) :]
    if not len(blocks):
        return unembed(model, _pick(x, rows))
    for block in blocks[:-1]:
        x = run_block(x, block, norm, allowed)
    return unembed(model, _last_block_row(x, blocks[-1], norm, allowed, rows))


def _last_block_row(
    x: Float[Tensor, "job here d_model"],
    block: Any,
    norm: Norm,
    allowed: Bool[Tensor, "1 1 here here"],
    rows: Int[Tensor, " job"],
) -> Float[Tensor, "job d_model"]:
    attn = block.attn
    y = norm_before(x, block.ln1, norm)
    query = torch.einsum("jm,hmd->jhd", _pick(y, rows), attn.W_Q) + attn.b_Q
    # Scores and values without making keys: the query is taken to the residual stream instead.
    seen = torch.einsum("jhd,hmd->jhm", query, attn.W_K) / math.sqrt(attn.W_K.shape[-1])
    constant = (query * attn.b_K).sum(-1, keepdim=True) / math.sqrt(attn.W_K.shape[-1])
    scores = torch.einsum("jhm,jpm->jhp", seen, y) + constant
    scores = scores.masked_fill(~allowed[0, 0][rows][:, None], -torch.inf)
    mixed = torch.einsum("jhp,jpm->jhm", scores.softmax(-1), y)
    z = torch.einsum("jhm,hmd->jhd", mixed, attn.W_V) + attn.b_V
    row = _pick(x, rows) + torch.einsum("jhd,hdm->jm", z, attn.W_O) + attn.b_O
    return run_mlp(norm_after(row, block.ln1, norm)[None], block, norm)[0]


def _pick(
    x: Float[Tensor, "job here d_model"], rows: Int[Tensor, " job"]
) -> Float[Tensor, "job d_model"]:
    return x[torch.arange(len(x), device=x.device), rows]
