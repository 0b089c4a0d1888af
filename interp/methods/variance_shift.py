"""Variance shift: LayerNorms that expect the dropout they were trained with.

    norm = AfterPart(0, Component.MLP_OUT)           # the LayerNorm after MLP 0
    score(model, lists, interventions=[ExpectDropout(norm, p=0.1)])
    score(model, lists, interventions=[ExpectDropout(norm, 0.1, Component.K, digits)])

A post-norm block normalises the stream after each part was added, y = w (s - mean s) / sd + b, with
s = x + a and sd^2 = var s + eps. In training, dropout stands between: inverted dropout multiplies
each a_i by 0 or 1 / (1 - p), which leaves its mean and gives it the variance p / (1 - p) a_i^2. So
what a LayerNorm divides by is larger in training than without dropout, by

    E[var s'] = var s + (1 - 1/d) p / (1 - p) mean_i a_i^2          (d: the width of the stream)

and without dropout every y is longer than training had it; by another factor for each token, as
what the part adds is another. Li et al. 2019 ("Understanding the disharmony between dropout and
batch normalization by variance shift") name this of batch normalisation. :class:`ExpectDropout`
takes the shift away and leaves everything else as it is: it divides by the expected variance, and
draws nothing. No number of it is fitted.

What it leaves out: dropout elsewhere (of attention weights, neurons and the embedding), and what
noise does beside its variance. That x has noise of its own, too, is not in the formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from interp.interventions import Positions
from interp.passes.forward import Edit, project
from interp.sites import Component, Frame, Site
from interp.support.errors import UserError
from interp.transformer import Transformer

_AROUND = {
    Component.ATTN_OUT: (Component.RESID_PRE, Component.RESID_MID, "ln1"),
    Component.MLP_OUT: (Component.RESID_MID, Component.RESID_POST, "ln2"),
}
"""What a part is added to, what the LayerNorm makes of the sum, and its name in a block."""
READERS = (Component.Q, Component.K, Component.V)
"""What a layer computes from the stream before it, and what can be told the expected one alone."""


@dataclass(frozen=True)
class AfterPart:
    """The LayerNorm of a post-norm block that follows its attention or its MLP."""

    layer: int
    part: Component
    """``ATTN_OUT`` or ``MLP_OUT``."""

    def __post_init__(self) -> None:
        if self.part not in _AROUND:
            raise UserError(f"a LayerNorm follows attn_out and mlp_out, not {self.part.value}")

    @property
    def words(self) -> str:
        """For people: ``norm after MLP 0``."""
        part = "attention" if self.part is Component.ATTN_OUT else "MLP"
        return f"norm after {part} {self.layer}"


def norms_of(model: Transformer) -> list[AfterPart]:
    """Every LayerNorm of a post-norm model, in the order in which a pass reaches them.

    Raises:
        UserError: if it normalises elsewhere, or not at all.
    """
    if model.config.norm != "post":
        raise UserError(
            "this is about models that normalise after each part (post-norm); this one has "
            f"norm {model.config.norm!r}"
        )
    return [AfterPart(layer, part) for layer in range(model.cfg.n_layers) for part in _AROUND]


def shrink(
    x: Float[Tensor, "*rows d_model"],
    added: Float[Tensor, "*rows d_model"],
    p: float,
    eps: float = 1e-5,
) -> Float[Tensor, "*rows"]:
    """How much shorter what a LayerNorm makes of ``x + added`` is where ``added`` has dropout.

    The standard deviation without dropout over the root of the expected variance with it: 1 for
    p = 0, and below 1 otherwise.
    """
    variance = (x + added).var(-1, correction=0) + eps
    extra = p / (1 - p) * added.square().mean(-1) * (1 - 1 / added.shape[-1])
    return (variance / (variance + extra)).sqrt()


@dataclass(frozen=True)
class ExpectDropout:
    """An intervention: a LayerNorm divides by the variance that it would have with dropout."""

    norm: AfterPart
    p: float
    """Of the dropout that the model was trained with, 0 to below 1."""
    into: Component | None = None
    """Only what the next layer's queries, keys or values (``Q``, ``K``, ``V``) read; None: the
    stream itself."""
    positions: Positions | None = None
    """Absolute, of the stream (None: all)."""
    list_by_list: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.p < 1:
            raise UserError(f"dropout is at least 0 and below 1, not {self.p}")
        if self.into is not None and self.into not in READERS:
            raise UserError(f"what reads the stream is q, k or v, not {self.into.value}")
        if self.into is not None and self.norm.part is not Component.MLP_OUT:
            raise UserError("queries, keys and values read what the norm after an MLP makes")

    @property
    def words(self) -> str:
        reader = Component.RESID_POST if self.into is None else self.into
        layer = self.norm.layer + (self.into is not None)
        where = "" if self.into is None else f", for {Site(reader, layer).words}"
        return f"{self.norm.words} expects dropout {self.p:g}{where}"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        if self.norm not in norms_of(model):
            raise UserError(f"no {self.norm.words}: this model has {model.cfg.n_layers} layers")
        before, after, name = _AROUND[self.norm.part]
        layer, held = self.norm.layer, _Held()
        layer_norm = getattr(model.blocks[layer], name)
        told = [
            (Site(before, layer), held.keep("x")),
            (Site(self.norm.part, layer), held.keep("added")),
        ]

        def difference(y: Tensor) -> Tensor:
            factor = shrink(held.last("x", y), held.last("added", y), self.p, layer_norm.eps)
            return (y - layer_norm.b) * (factor[..., None] - 1)

        if self.into is None:
            stream = Site(after, layer, positions=self.positions)

            def shorter(y: Tensor, here: Frame) -> Tensor:
                return torch.where(stream.mask(y, here), y + difference(y), y)

            return [*told, (stream, shorter)]
        reader = Site(self.into, layer + 1, positions=self.positions)
        reader.check(model.config)
        attn = model.blocks[layer + 1].attn
        weight = getattr(attn, f"W_{self.into.name}")

        def keep_difference(y: Tensor, here: Frame) -> Tensor:
            held["difference"] = difference(y)
            return y

        def read(value: Tensor, here: Frame) -> Tensor:
            change = project(held.last("difference", value), weight, torch.zeros_like(weight[:, 0]))
            return torch.where(reader.mask(value, here), value + change, value)

        return [*told, (Site(after, layer), keep_difference), (reader, read)]


class _Held(dict[str, Tensor]):
    """What earlier places of the same pass held, for a later one."""

    def keep(self, name: str) -> Edit:
        """An edit that changes nothing."""

        def edit(value: Tensor, here: Frame) -> Tensor:
            self[name] = value
            return value

        return edit

    def last(self, name: str, like: Tensor) -> Tensor:
        """At the positions of ``like``: the last ones, where later places compute fewer."""
        return self[name][:, -like.shape[1] :]
