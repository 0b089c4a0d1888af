"""A sort transformer's parameters alone: no hooks, and no TransformerLens to import.

    model = load_bare("blanks").model           # in a tenth of a second
    forward(model, batch.tokens, view)          # and everything that is built on it

``SortTransformer`` is the model for people to work with. Its import takes seconds, most of them
TransformerLens's, and a page should not wait for hooks that it does not use. A ``BareTransformer``
has the same parameters under the same names, so whatever reads parameters, as
:mod:`interp.passes.forward` does, takes either. It cannot be called, trained or hooked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.config import ModelConfig
from interp.task import SortTask


class BareTransformer:
    """What ``SortTransformer`` keeps its parameters in, without its methods."""

    embed: Any
    pos_embed: Any
    blocks: list[Any]
    ln_final: Any
    unembed: Any
    blocked: Bool[Tensor, "query key"] | None
    """As in ``SortTransformer``."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, Tensor]) -> None:
        self.config = self.cfg = config
        tree = _tree(weights)
        self.embed, self.pos_embed = _Embed(**vars(tree.embed)), SimpleNamespace()
        if config.positions == "sinusoidal":  # in no checkpoint: the config says it all
            self.pos_embed.W_pos = sinusoids(config.task.position_ids(), config.d_model)
        else:
            self.pos_embed = tree.pos_embed
        self.blocks = [getattr(tree.blocks, str(layer)) for layer in range(config.n_layers)]
        self.unembed = tree.unembed
        self.ln_final = _norm(tree, "ln_final", config.ln_eps)
        for block in self.blocks:
            block.ln1, block.ln2 = (_norm(block, name, config.ln_eps) for name in ("ln1", "ln2"))
            block.mlp.cfg = SimpleNamespace(act_fn=config.activation)
            block.mlp.ln = _norm(block.mlp, "ln", config.ln_eps) or SimpleNamespace(
                eps=config.ln_eps
            )
        self.blocked = own_blocked(config)

    @property
    def task(self) -> SortTask:
        return self.config.task

    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_model"]:
        """The effective embedding, any bias included."""
        return self.embed.effective()

    @property
    def W_U(self) -> Float[Tensor, "d_model d_vocab_out"]:
        return self.unembed.W_U

    @property
    def b_U(self) -> Float[Tensor, " d_vocab_out"]:
        return self.unembed.b_U


class _Embed(SimpleNamespace):
    """A table of embeddings, optionally with a bias."""

    W_E: Tensor
    b_E: Tensor | None = None

    def effective(self) -> Float[Tensor, "d_vocab d_model"]:
        return self.W_E if self.b_E is None else self.W_E + self.b_E


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of a checkpoint and its shape, as ``SortTransformer.state_dict`` has them."""
    d, h, k, m = config.d_model, config.n_heads, config.d_head, config.d_mlp
    shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (config.task.d_vocab, d)}
    if config.embed_bias:
        shapes["embed.b_E"] = (d,)
    if config.positions != "sinusoidal":
        shapes["pos_embed.W_pos"] = (config.task.n_ctx, d)
    block: dict[str, tuple[int, ...]] = {
        **{f"attn.W_{name}": (h, d, k) for name in "QKV"},
        **{f"attn.b_{name}": (h, k) for name in "QKV"},
        "attn.W_O": (h, k, d),
        "attn.b_O": (d,),
        "attn.mask": (0, 0),  # TransformerLens's own, empty for this model
        "attn.IGNORE": (),
        "mlp.W_in": (d, m),
        "mlp.b_in": (m,),
        "mlp.W_out": (m, d),
        "mlp.b_out": (d,),
    }
    norms = {} if config.norm == "none" else {"w": (d,), "b": (d,)}
    block |= {f"{norm}.{part}": shape for norm in ("ln1", "ln2") for part, shape in norms.items()}
    if config.activation == "solu_ln":  # a LayerNorm of its own, where the model has any
        block |= {f"mlp.ln.{part}": (m,) for part in norms}
    if config.activation == "xielu":
        block |= {f"mlp.act_fn.{name}": () for name in ("alpha_p", "alpha_n", "beta", "eps")}
    for layer in range(config.n_layers):
        shapes |= {f"blocks.{layer}.{name}": shape for name, shape in block.items()}
    if config.norm == "pre":
        shapes |= {f"ln_final.{part}": shape for part, shape in norms.items()}
    d_out = config.task.d_vocab_out
    return shapes | {"unembed.W_U": (d, d_out), "unembed.b_U": (d_out,)}


def _tree(weights: Mapping[str, Tensor]) -> Any:
    """``{"blocks.0.attn.W_Q": t}`` as ``tree.blocks.0.attn.W_Q``, read with ``getattr``."""
    root = SimpleNamespace()
    for name, tensor in weights.items():
        *path, leaf = name.split(".")
        place = root
        for part in path:
            if not hasattr(place, part):
                setattr(place, part, SimpleNamespace())
            place = getattr(place, part)
        setattr(place, leaf, tensor)
    return root


def _norm(parent: Any, name: str, eps: float) -> Any:
    """A LayerNorm's parameters; None where the model has none there."""
    norm = getattr(parent, name, None)
    if norm is not None:
        norm.eps = eps
    return norm


def sinusoids(positions: Int[Tensor, " pos"], d_model: int) -> Float[Tensor, "pos d_model"]:
    """Fixed position embeddings of Vaswani et al. 2017: sines and cosines interleaved."""
    rates = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10_000.0) / d_model))
    angles = positions[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # [pos, d_model]


def own_blocked(config: ModelConfig) -> Bool[Tensor, "query key"] | None:
    """Where a model may not attend by its ``sight``, on top of causality and padding.

    [n_ctx, n_ctx], True where the query may not read the key; the same in every layer. None if
    nothing is closed.
    """
    if config.sight == "all":
        return None
    task = config.task
    start, first = task.sep_pos + 1, task.first_output_row  # blanks are start..first
    queries, keys = {
        "outputs-not-blanks": (slice(first, None), slice(start, first + 1)),
        "blanks-not-digits": (slice(start, first), slice(task.sep_pos)),
        "outputs-not-digits": (slice(first, None), slice(start)),
    }[config.sight]
    blocked = torch.zeros(task.n_ctx, task.n_ctx, dtype=torch.bool)
    blocked[queries, keys] = True
    return blocked.fill_diagonal_(False)
