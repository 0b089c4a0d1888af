"""Places in the model as data: a component of a layer, and the name of its hook.

    Site(Component.RESID_PRE, 1).hook_name      # "blocks.1.hook_resid_pre"

The one place that spells hook names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Component(StrEnum):
    """What is read or replaced in a layer; each is [batch, pos, d_model]."""

    RESID_PRE = "resid_pre"
    """The residual stream before the layer: everything computed so far at a position."""
    ATTN_OUT = "attn_out"
    """What the attention heads add (before the LayerNorm of a post-norm block)."""
    MLP_OUT = "mlp_out"
    """What the MLP adds (before the LayerNorm of a post-norm block)."""


_WORDS = {
    Component.RESID_PRE: "residual stream before layer {}",
    Component.ATTN_OUT: "attention output of layer {}",
    Component.MLP_OUT: "MLP output of layer {}",
}


@dataclass(frozen=True)
class Site:
    """One component of one layer."""

    component: Component
    layer: int

    @property
    def hook_name(self) -> str:
        return f"blocks.{self.layer}.hook_{self.component.value}"

    @property
    def words(self) -> str:
        """For people: ``residual stream before layer 1``."""
        return _WORDS[self.component].format(self.layer)


def all_sites(n_layers: int) -> list[Site]:
    """Every site, in the order in which a forward pass reaches them."""
    return [Site(component, layer) for layer in range(n_layers) for component in Component]


def pattern_hook(layer: int) -> str:
    """The attention pattern, [batch, head, query, key]."""
    return f"blocks.{layer}.attn.hook_pattern"


def scores_hook(layer: int) -> str:
    """Attention scores before the softmax, masked ones -inf; [batch, head, query, key]."""
    return f"blocks.{layer}.attn.hook_attn_scores"
