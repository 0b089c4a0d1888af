"""Weights trained with the original code, as PyTorch modules and as a ``SortTransformer``.

The published network is ``nn.Linear`` (one-hot tokens in), a buffer of sinusoids, an
``nn.TransformerEncoder`` and ``nn.Linear``. :class:`ReferenceModel` is that network, built from
the same PyTorch modules: the source of its initialisation, the yardstick of the parity tests, and
the plain training step that ``benchmarks.training`` compares with.

Of its tensors only the keys of ``nn.TransformerEncoder`` are taken for granted; the others are
recognised by their shapes, whatever they are called, and what is not recognised is refused by name.
:mod:`interp.imports` reads files of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from interp.config import ModelConfig
from interp.model import SortTransformer, sinusoids
from interp.support.errors import UserError
from interp.task import SortTask

_LAYER_KEY = re.compile(r"(|.*\.)layers\.(\d+)\.(.+)")
_LINEAR = ("weight", "bias")
_LAYER_PARTS = {
    *(f"self_attn.in_proj_{kind}" for kind in _LINEAR),
    *(
        f"{part}.{kind}"
        for part in ("self_attn.out_proj", "linear1", "linear2")
        for kind in _LINEAR
    ),
    *(f"{part}.{kind}" for part in ("norm1", "norm2") for kind in _LINEAR),
}
_TABLE_TOLERANCE = 1e-3  # sines of large angles differ between versions of PyTorch


class ReferenceModel(nn.Module):
    """The published network, from PyTorch's own modules; sinusoidal positions only.

    The published one is post-norm. Of pre-norm (``norm_first``) it is the variant with a LayerNorm
    at the end.
    """

    def __init__(self, config: ModelConfig, dropout: float = 0.1) -> None:
        super().__init__()
        if config.norm == "none" or config.positions != "sinusoidal":
            raise UserError("the published network has LayerNorms and sinusoidal positions")
        self.task = config.task
        self.n_heads = config.n_heads
        self.embedding = nn.Linear(config.task.d_vocab_out, config.d_model)
        layer = nn.TransformerEncoderLayer(
            config.d_model,
            config.n_heads,
            config.d_mlp,
            dropout,
            layer_norm_eps=config.ln_eps,
            batch_first=True,
            norm_first=config.norm == "pre",
        )
        last = nn.LayerNorm(config.d_model, config.ln_eps) if config.norm == "pre" else None
        self.encoder = nn.TransformerEncoder(
            layer, config.n_layers, norm=last, enable_nested_tensor=False
        )
        self.decoder = nn.Linear(config.d_model, config.task.d_vocab_out)
        self.dropout = nn.Dropout(dropout)
        self.pe: Tensor
        self.register_buffer("pe", sinusoids(config.task.position_ids(), config.d_model))

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab_out"]:
        """Log-probabilities. Left padding is token 0 with its key masked, as published."""
        some = tokens.where(tokens != self.task.pad, 0)
        one_hot = F.one_hot(some, self.task.d_vocab_out).float()
        x = self.dropout(self.embedding(one_hot) + self.pe[: tokens.shape[1]])
        x = self.encoder(x, mask=self._mask(tokens))
        return self.decoder(x).log_softmax(-1)

    def _mask(self, tokens: Int[Tensor, "batch pos"]) -> Bool[Tensor, "batch_head query key"]:
        """True where attention is forbidden, for every head of every list."""
        n_pos = tokens.shape[1]
        future = torch.ones(n_pos, n_pos, dtype=torch.bool, device=tokens.device).triu(1)
        left = (tokens == self.task.pad) & (
            torch.arange(n_pos, device=tokens.device) < self.task.sep_pos
        )
        mask = future | (left[:, None, :] & ~left[:, :, None])
        return mask.repeat_interleave(self.n_heads, 0)


@dataclass(frozen=True)
class Published:
    """The tensors of a ``state_dict``, by what they are."""

    layers: list[dict[str, Tensor]]
    embed: dict[str, Tensor]
    unembed: dict[str, Tensor]
    final_norm: dict[str, Tensor] | None
    """Of a pre-norm network."""
    table: Float[Tensor, "row d_model"] | None
    """Of positions, where it is saved."""

    @property
    def d_model(self) -> int:
        return self.layers[0]["linear2.weight"].shape[0]

    @property
    def d_mlp(self) -> int:
        return self.layers[0]["linear1.weight"].shape[0]

    def state(self) -> dict[str, Tensor]:
        """As :class:`ReferenceModel` names them, without the table."""
        named = {
            f"encoder.layers.{number}.{name}": tensor
            for number, layer in enumerate(self.layers)
            for name, tensor in layer.items()
        }
        parts = {"embedding": self.embed, "decoder": self.unembed, "encoder.norm": self.final_norm}
        for stem, part in parts.items():
            named |= {f"{stem}.{kind}": tensor for kind, tensor in (part or {}).items()}
        return named


def recognise(state: Mapping[str, Tensor], d_vocab: int = SortTask().d_vocab_out) -> Published:
    """What the tensors of a published ``state_dict`` are.

    Args:
        d_vocab: how many tokens it knows.

    Raises:
        UserError: naming the first that is unknown, missing, or of a shape that does not fit.
    """
    prefix, layers, rest = _split_layers(state)
    if layers[0]["linear1.weight"].ndim != 2:
        raise UserError("linear1.weight is not a matrix")
    d_mlp, d_model = layers[0]["linear1.weight"].shape
    for layer in layers:
        _check_layer_shapes(layer, d_model, d_mlp)
    embed, unembed = _take_linears(rest, d_model, d_vocab)
    norm = _take_norm(rest, f"{prefix}norm", d_model)
    tables = [name for name, tensor in rest.items() if _is_table(tensor, d_model)]
    table = rest.pop(tables[0]).reshape(-1, d_model) if tables else None
    if rest:
        raise UserError(f"it holds a tensor that is no part of the published network: {min(rest)}")
    return Published(layers, embed, unembed, norm, table)


def copy_weights(model: SortTransformer, state: Mapping[str, Tensor]) -> None:
    """Copy a published ``state_dict`` into a ``model`` of the same sizes."""
    pad = model.task.pad
    published = recognise(state, model.task.d_vocab_out)
    embed, unembed = published.embed, published.unembed
    with torch.no_grad():
        model.embed.W_E[pad] = 0.0
        model.embed.W_E[:pad] = embed["weight"].T
        if model.embed.b_E is None:
            model.embed.W_E[:pad] += embed["bias"]
        else:
            model.embed.b_E.copy_(embed["bias"])
        for block, layer in zip(model.blocks, published.layers, strict=True):
            _copy_layer(block, layer, model.cfg.n_heads)
        if published.final_norm is not None:
            model.ln_final.w.copy_(published.final_norm["weight"])
            model.ln_final.b.copy_(published.final_norm["bias"])
        model.unembed.W_U.copy_(unembed["weight"].T)
        model.unembed.b_U.copy_(unembed["bias"])


def _copy_layer(block: Any, layer: Mapping[str, Tensor], n_heads: int) -> None:
    attn, split = block.attn, "(head d_head) d_model -> head d_model d_head"
    weights = layer["self_attn.in_proj_weight"].chunk(3)
    biases = layer["self_attn.in_proj_bias"].chunk(3)
    for name, weight, bias in zip("QKV", weights, biases, strict=True):
        getattr(attn, f"W_{name}").copy_(rearrange(weight, split, head=n_heads))
        getattr(attn, f"b_{name}").copy_(rearrange(bias, "(head d) -> head d", head=n_heads))
    merged = layer["self_attn.out_proj.weight"]
    attn.W_O.copy_(rearrange(merged, "d_model (head d_head) -> head d_head d_model", head=n_heads))
    attn.b_O.copy_(layer["self_attn.out_proj.bias"])
    for ours, theirs in (("in", "linear1"), ("out", "linear2")):
        getattr(block.mlp, f"W_{ours}").copy_(layer[f"{theirs}.weight"].T)
        getattr(block.mlp, f"b_{ours}").copy_(layer[f"{theirs}.bias"])
    for norm, theirs in ((block.ln1, "norm1"), (block.ln2, "norm2")):
        norm.w.copy_(layer[f"{theirs}.weight"])
        norm.b.copy_(layer[f"{theirs}.bias"])


def _split_layers(
    state: Mapping[str, Tensor],
) -> tuple[str, list[dict[str, Tensor]], dict[str, Tensor]]:
    """What precedes the encoder's keys, its layers in order, and everything else."""
    stacks: dict[str, dict[int, dict[str, Tensor]]] = {}
    rest: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if match := _LAYER_KEY.fullmatch(key):
            stacks.setdefault(match[1], {}).setdefault(int(match[2]), {})[match[3]] = tensor
        else:
            rest[key] = tensor
    if not stacks:
        raise UserError("it has no keys like layers.0.self_attn.in_proj_weight")
    if len(stacks) > 1:
        raise UserError(f"it has more than one stack of layers: {', '.join(sorted(stacks))}")
    prefix, layers = next(iter(stacks.items()))
    if sorted(layers) != list(range(len(layers))):
        raise UserError(f"its layers are numbered {sorted(layers)}")
    for number, layer in layers.items():
        if odd := sorted(_LAYER_PARTS ^ set(layer)):
            verb = "lacks" if odd[0] in _LAYER_PARTS else "has an unknown"
            raise UserError(f"layer {number} {verb} {odd[0]}")
    return prefix, [layers[i] for i in sorted(layers)], rest


def _check_layer_shapes(layer: Mapping[str, Tensor], d_model: int, d_mlp: int) -> None:
    wanted = {
        "self_attn.in_proj_weight": (3 * d_model, d_model),
        "self_attn.in_proj_bias": (3 * d_model,),
        "self_attn.out_proj.weight": (d_model, d_model),
        "linear1.weight": (d_mlp, d_model),
        "linear1.bias": (d_mlp,),
        "linear2.weight": (d_model, d_mlp),
    }
    for name, tensor in layer.items():
        shape = wanted.get(name, (d_model,))
        if tuple(tensor.shape) != shape:
            raise UserError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")


def _take_linears(
    rest: dict[str, Tensor], d_model: int, d_vocab: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The input and the output Linear, told apart by which side has the vocabulary."""
    found: dict[str, str] = {}
    for key, weight in rest.items():
        stem, _, kind = key.rpartition(".")
        if kind != "weight" or weight.ndim != 2 or f"{stem}.bias" not in rest:
            continue
        if d_vocab not in weight.shape:
            continue  # unknown, and refused as such
        if rest[f"{stem}.bias"].shape != weight.shape[:1]:
            raise UserError(f"{stem} has a weight and a bias of different sizes")
        side = "in" if weight.shape[1] == d_vocab else "out"
        if side in found or weight.shape[0] == weight.shape[1]:
            raise UserError(f"it has more than one Linear layer that {stem}.weight could be")
        found[side] = stem
        if sorted(weight.shape) != sorted((d_model, d_vocab)):
            shape = tuple(weight.shape)
            raise UserError(f"{stem}.weight of shape {shape} does not fit its width of {d_model}")
    if set(found) != {"in", "out"}:
        raise UserError(f"it has no pair of Linear layers for a vocabulary of {d_vocab}")
    embed, unembed = (
        {kind: rest.pop(f"{found[side]}.{kind}") for kind in _LINEAR} for side in ("in", "out")
    )
    return embed, unembed


def _take_norm(rest: dict[str, Tensor], stem: str, d_model: int) -> dict[str, Tensor] | None:
    """The LayerNorm after the last layer, as ``nn.TransformerEncoder`` names it."""
    names = [f"{stem}.{kind}" for kind in _LINEAR]
    if not all(name in rest and rest[name].shape == (d_model,) for name in names):
        return None
    return {kind: rest.pop(f"{stem}.{kind}") for kind in _LINEAR}


def _is_table(tensor: Tensor, d_model: int) -> bool:
    rows = [size for size in tensor.shape[:-1] if size != 1]
    return tensor.shape[-1:] == (d_model,) and len(rows) == 1 and tensor.ndim in (2, 3)


def offset_of(table: Float[Tensor, "row d_model"] | None) -> int:
    """The shift of positions after SEP that is built into saved sinusoids (0: none, or not known).

    Raises:
        UserError: if they are not the published sinusoids.
    """
    if table is None:
        return 0  # some versions do not save the buffer
    positions, rounding = torch.arange(len(table)), rounding_of(table)
    plain = _close(table, sinusoids(positions, table.shape[1]), rounding)
    if plain.all():
        return 0
    offset = int(plain.int().argmin())
    shifted = sinusoids(positions + offset * (positions >= offset), table.shape[1])
    if offset < 2 or not _close(table, shifted, rounding).all():
        raise UserError("its table of positions is not the published sinusoids")
    return offset


def rounding_of(table: Float[Tensor, "row d_model"]) -> float:
    """By how much a table of sinusoids that was kept in a coarse type may be off; 0 of float32."""
    for dtype in (torch.bfloat16, torch.float16):  # most of the first's numbers are the second's
        if torch.equal(table, table.to(dtype).float()):
            return torch.finfo(dtype).eps / 2  # of numbers up to 1
    return 0.0


def _close(a: Float[Tensor, "pos d_model"], b: Tensor, rounding: float) -> Bool[Tensor, " pos"]:
    return ((a - b).abs() < _TABLE_TOLERANCE + rounding).all(1)
