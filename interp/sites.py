"""Places in the model as data: a component of a layer, some heads, some positions.

    Site(Component.RESID_PRE, 1).hook_name                          # "blocks.1.hook_resid_pre"
    Site(Component.V, 1, heads=(2,), positions=range(49, 97)).words
    # "values of head 1.2, positions 49-96"

The one place that spells hook names and knows the axes behind them. ``positions`` are absolute, as
in :mod:`interp.task`; None means all of them. Patterns and scores have two axes of positions:
``positions`` are then the queries, and ``keys`` the keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jaxtyping import Bool

from interp.support.errors import UserError
from interp.support.lazy import lazy_import

if TYPE_CHECKING:
    import torch

    from interp.config import ModelConfig
else:
    torch = lazy_import("torch")


class Component(StrEnum):
    """What is read or replaced in a layer, in the order in which a forward pass reaches it."""

    RESID_PRE = "resid_pre"
    """The residual stream before the layer: everything computed so far. [batch, pos, d_model]"""
    Q = "q"
    """Queries, before they are scaled. [batch, pos, head, d_head]"""
    K = "k"
    """Keys; ``positions`` are those attended to. [batch, pos, head, d_head]"""
    V = "v"
    """Values; ``positions`` are those attended to. [batch, pos, head, d_head]"""
    SCORES = "attn_scores"
    """Attention before the softmax, masked entries -inf. [batch, head, query, key]"""
    PATTERN = "pattern"
    """Attention weights; each row adds up to 1. [batch, head, query, key]"""
    Z = "z"
    """What each head has gathered, before the output matrix. [batch, pos, head, d_head]"""
    ATTN_OUT = "attn_out"
    """What the heads add (before the LayerNorm of a post-norm block). [batch, pos, d_model]"""
    RESID_MID = "resid_mid"
    """The residual stream between attention and MLP. [batch, pos, d_model]"""
    NEURONS = "post"
    """Activations of the MLP's neurons, after the ReLU (or what it has). [batch, pos, d_mlp]"""
    MLP_OUT = "mlp_out"
    """What the MLP adds (before the LayerNorm of a post-norm block). [batch, pos, d_model]"""
    RESID_POST = "resid_post"
    """The residual stream after the layer. [batch, pos, d_model]"""


STREAM = (Component.RESID_PRE, Component.ATTN_OUT, Component.MLP_OUT)
"""The three that activation patching sweeps by default: what comes in and what is added."""
PER_HEAD = (Component.Q, Component.K, Component.V, Component.Z)
ATTENTION = (Component.SCORES, Component.PATTERN)
_OWNERS = {**dict.fromkeys((*PER_HEAD, *ATTENTION), "attn."), Component.NEURONS: "mlp."}
_WORDS = {
    Component.RESID_PRE: "residual stream before layer {}",
    Component.Q: "queries of layer {}",
    Component.K: "keys of layer {}",
    Component.V: "values of layer {}",
    Component.SCORES: "attention scores of layer {}",
    Component.PATTERN: "attention pattern of layer {}",
    Component.Z: "head outputs of layer {}",
    Component.ATTN_OUT: "attention output of layer {}",
    Component.RESID_MID: "residual stream after attention {}",
    Component.NEURONS: "neurons of layer {}",
    Component.MLP_OUT: "MLP output of layer {}",
    Component.RESID_POST: "residual stream after MLP {}",
}


def hook_name(component: Component, layer: int) -> str:
    """``blocks.1.attn.hook_z``"""
    return f"blocks.{layer}.{_OWNERS.get(component, '')}hook_{component.value}"


@dataclass(frozen=True)
class Frame:
    """Which absolute positions an activation in hand holds: its axes may start later than 0."""

    position: int = 0
    """Of the first entry on the axis of positions (of queries, in patterns and scores)."""
    key: int = 0
    """Of the first entry on the axis of keys."""


WHOLE = Frame()
"""Of an activation that holds every position."""


@dataclass(frozen=True)
class Site:
    """One component of one layer; some of its heads and positions, or all of them (None)."""

    component: Component
    layer: int
    heads: tuple[int, ...] | None = None
    positions: tuple[int, ...] | range | None = None
    keys: tuple[int, ...] | range | None = None

    @property
    def hook_name(self) -> str:
        return hook_name(self.component, self.layer)

    @property
    def words(self) -> str:
        """For people: ``residual stream before layer 1``, ``values of head 1.2``."""
        parts = [self._words]
        if self.positions is not None:
            kind = "query" if self.component in ATTENTION else "position"
            parts.append(_plural(kind, self.positions))
        if self.keys is not None:
            parts.append(_plural("key", self.keys))
        return ", ".join(parts)

    @property
    def _words(self) -> str:
        """Without positions."""
        whole = _WORDS[self.component].format(self.layer)
        if self.heads is None or self.component not in (*PER_HEAD, *ATTENTION):
            return whole
        what = whole.removeprefix("head ").removesuffix(f"layer {self.layer}")
        names = ", ".join(head_name((self.layer, head)) for head in self.heads)
        return f"{what}{'head' if len(self.heads) == 1 else 'heads'} {names}"

    @property
    def first_position(self) -> int:
        """Nothing before it can change when this site does: attention is causal."""
        return 0 if self.positions is None else min(self.positions, default=0)

    def check(self, config: ModelConfig) -> None:
        """Whether a model has this site.

        Raises:
            UserError: for an unknown layer, head or position, saying what there is.
        """
        _check_range("layer", [self.layer], config.n_layers)
        if self.heads is not None:
            if self.component not in (*PER_HEAD, *ATTENTION):
                raise UserError(f"the {self._words} has no heads to choose from")
            _check_range("head", self.heads, config.n_heads)
        if self.keys is not None and self.component not in ATTENTION:
            raise UserError(f"keys are chosen in patterns and scores, not in the {self.words}")
        for name, chosen in (("position", self.positions), ("key position", self.keys)):
            if chosen is not None:
                _check_range(name, chosen, config.task.n_ctx)

    def mask(self, value: torch.Tensor, frame: Frame = WHOLE) -> torch.Tensor:
        """True at the entries of ``value`` that belong to this site; broadcasts against it."""
        if self.component in ATTENTION:
            n_heads, n_queries, n_keys = value.shape[-3:]
            queries = _chosen(self.positions, frame.position, n_queries, value.device)
            keys = _chosen(self.keys, frame.key, n_keys, value.device)
            heads = _chosen(self.heads, 0, n_heads, value.device)
            return heads[:, None, None] & queries[:, None] & keys
        if self.component in PER_HEAD:
            n_pos, n_heads = value.shape[-3:-1]
            positions = _chosen(self.positions, frame.position, n_pos, value.device)
            heads = _chosen(self.heads, 0, n_heads, value.device)
            return (positions[:, None] & heads)[..., None]
        return _chosen(self.positions, frame.position, value.shape[-2], value.device)[:, None]


def _chosen(
    wanted: Iterable[int] | None, first: int, size: int, device: torch.device
) -> Bool[torch.Tensor, " size"]:
    """Which of the ``size`` entries from ``first`` on are wanted."""
    if wanted is None:
        return torch.ones(size, dtype=torch.bool, device=device)
    here = [index - first for index in wanted if first <= index < first + size]
    chosen = torch.zeros(size, dtype=torch.bool)
    chosen[here] = True
    return chosen.to(device)


def _check_range(name: str, values: Iterable[int], size: int) -> None:
    for value in values:
        if not 0 <= value < size:
            raise UserError(f"there is no {name} {value}: this model has 0 to {size - 1}")


def _plural(name: str, numbers: tuple[int, ...] | range) -> str:
    """``head 2``, ``heads 0, 3``, ``positions 49-96``"""
    plural = {"query": "queries"}.get(name, f"{name}s")
    return f"{name if len(numbers) == 1 else plural} {spans(numbers)}"


def spans(numbers: Iterable[int]) -> str:
    """Whole numbers for people: ``0, 3-5``; ``none`` if there are none."""
    return (
        ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in _runs(numbers))
        or "none"
    )


def _runs(numbers: Iterable[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for number in sorted(numbers):
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def head_name(head: tuple[int, int]) -> str:
    """``1.2``: head 2 of layer 1; where nothing else says that it is a head, ``head 1.2``."""
    return f"{head[0]}.{head[1]}"


_SHORT = {
    Component.RESID_PRE: "before layer {}",
    Component.RESID_MID: "after attention {}",
    Component.RESID_POST: "after MLP {}",
    Component.ATTN_OUT: "attention {}",
    Component.NEURONS: "neurons {}",
    Component.MLP_OUT: "MLP {}",
}


def place_name(component: Component, layer: int) -> str:
    """``before layer 1``, ``MLP 0``: :attr:`Site.words` where there is little room, as at an axis.

    Of the residual stream the figure says that it is meant.
    """
    return _SHORT.get(component, _WORDS[component]).format(layer)


def all_sites(n_layers: int) -> list[Site]:
    """Every site that a default sweep patches, in the order in which a forward pass reaches it."""
    return [Site(component, layer) for layer in range(n_layers) for component in STREAM]


def head_sites(n_layers: int, n_heads: int, component: Component = Component.Z) -> list[Site]:
    """Every single head of every layer."""
    return [
        Site(component, layer, heads=(head,))
        for layer in range(n_layers)
        for head in range(n_heads)
    ]


def pattern_hook(layer: int) -> str:
    """The attention pattern, [batch, head, query, key]."""
    return hook_name(Component.PATTERN, layer)


def scores_hook(layer: int) -> str:
    """Attention scores before the softmax, masked ones -inf; [batch, head, query, key]."""
    return hook_name(Component.SCORES, layer)


FIRST_POSITION: ContextVar[int] = ContextVar("first position", default=0)
"""Set by the model around each of its passes."""


def first_position() -> int:
    """Inside a forward pass of this thread: the position of its first token (past the KV cache)."""
    return FIRST_POSITION.get()
