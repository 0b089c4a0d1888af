"""Distributed alignment search: the directions of a stream in which one variable lies.

    found = search_subspace(model, base, source, wanted, Component.RESID_MID, 1, k=2, seed=0)
    said = exchanged_in(model, base, source, place, found)

An interchange intervention in a subspace replaces the projection of the base's stream on k
orthonormal directions by the source's, and leaves the rest (Geiger et al. 2024). The directions are
found by gradient descent on the cross-entropy of the counterfactual answers, so they must be judged
on pairs that they were not found on, and against random directions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.methods.interchange import Rows, rerun
from interp.passes.forward import Place
from interp.support.seeds import stream
from interp.transformer import Transformer

_STEPS = 100
_BATCH = 64
_RATE = 0.05


def random_subspace(d_model: int, k: int, seed: int) -> Float[Tensor, "d_model k"]:
    """``k`` orthonormal directions, uniform over all such."""
    drawn = torch.randn(d_model, k, generator=stream("subspace", seed, k))
    return torch.linalg.qr(drawn)[0]


def exchanged_in(
    model: Transformer,
    base: Rows,
    source: Rows,
    place: Place,
    directions: Float[Tensor, "d_model k"],
) -> Float[Tensor, "pair d_vocab_out"]:
    """The base row's logits when the stream at ``place`` is the source's along ``directions``."""
    there = source.at[place]

    def change(here: Tensor) -> Tensor:
        return here + (there - here) @ directions @ directions.T

    return rerun(model, base, {place: [change]})


def search_subspace(
    model: Transformer,
    base: Rows,
    source: Rows,
    wanted: Int[Tensor, " pair"],
    place: Place,
    k: int,
    seed: int = 0,
) -> Float[Tensor, "d_model k"]:
    """Directions whose exchange makes the model say ``wanted``; the same seed, the same bits."""
    device = base.logits.device
    raw = random_subspace(model.cfg.d_model, k, seed).to(device).requires_grad_()
    optimizer = torch.optim.Adam([raw], lr=_RATE)
    generator = stream("subspace batches", seed, k)
    for _ in range(_STEPS):
        index = torch.randperm(len(wanted), generator=generator)[:_BATCH]
        directions = torch.linalg.qr(raw)[0]
        logits = exchanged_in(model, base.pick(index), source.pick(index), place, directions)
        loss = torch.nn.functional.cross_entropy(logits, wanted[index].to(device))
        optimizer.zero_grad()
        loss.backward(inputs=[raw])
        optimizer.step()
    return torch.linalg.qr(raw.detach())[0]
