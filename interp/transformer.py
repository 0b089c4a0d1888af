"""What reads a model's parameters needs of it, whoever holds them.

``SortTransformer`` (a ``HookedTransformer``) and ``BareTransformer`` (parameters alone, opened in a
tenth of a second) both are a :class:`Transformer`. Code that only computes with parameters says so
by this type, and then serves a page without TransformerLens as well as a notebook with it.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from interp.config import ModelConfig
from interp.task import SortTask


@runtime_checkable
class Transformer(Protocol):
    """A sort transformer's parameters, under the names that TransformerLens gives them."""

    config: ModelConfig
    cfg: Any
    """TransformerLens's own, or ``config`` again: ``n_layers`` and the like are in both."""
    embed: Any
    pos_embed: Any
    blocks: Any
    ln_final: Any
    unembed: Any
    blocked: Bool[Tensor, "query key"] | None
    """What the model itself hides (``ModelConfig.sight``)."""

    @property
    def task(self) -> SortTask: ...

    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_model"]: ...

    @property
    def W_U(self) -> Float[Tensor, "d_model d_vocab_out"]: ...

    @property
    def b_U(self) -> Float[Tensor, " d_vocab_out"]: ...
