"""Weights trained with the original code, as PyTorch modules and as a ``SortTransformer``.

The published network is ``nn.Linear`` (one-hot tokens in), a buffer of sinusoids, an
``nn.TransformerEncoder`` and ``nn.Linear``. :class:`ReferenceModel` is that network, built from
the same PyTorch modules: the source of its initialisation, the yardstick of the parity tests, and
the plain training step that ``benchmarks.training`` compares with.

An import takes for granted only the keys of ``nn.TransformerEncoderLayer``; the other tensors are
recognised by their shapes, whatever they are called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from interp.config import ModelConfig
from interp.model import SortTransformer, sinusoids
from interp.support.errors import UserError
from interp.task import D_VOCAB_OUT, PAD, SortTask

N_HEADS = 5  # the one size that the shapes of the published weights do not tell
_LAYER_KEY = re.compile(r"(?:.*\.)?layers\.(\d+)\.(.+)")
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
    """The published network, from PyTorch's own modules. Post-norm, sinusoidal positions only."""

    def __init__(self, config: ModelConfig, dropout: float = 0.1) -> None:
        super().__init__()
        if config.norm != "post" or config.positions != "sinusoidal":
            raise UserError("the published network is post-norm with sinusoidal positions")
        self.task = config.task
        self.n_heads = config.n_heads
        self.embedding = nn.Linear(D_VOCAB_OUT, config.d_model)
        layer = nn.TransformerEncoderLayer(
            config.d_model, config.n_heads, config.d_mlp, dropout, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.n_layers, enable_nested_tensor=False)
        self.decoder = nn.Linear(config.d_model, D_VOCAB_OUT)
        self.dropout = nn.Dropout(dropout)
        self.pe: Tensor
        self.register_buffer("pe", sinusoids(config.task.position_ids(), config.d_model))

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab_out"]:
        """Log-probabilities. Left padding is token 0 with its key masked, as published."""
        one_hot = F.one_hot(tokens.where(tokens != PAD, 0), D_VOCAB_OUT).float()
        x = self.dropout(self.embedding(one_hot) + self.pe[: tokens.shape[1]])
        x = self.encoder(x, mask=self._mask(tokens))
        return self.decoder(x).log_softmax(-1)

    def _mask(self, tokens: Int[Tensor, "batch pos"]) -> Bool[Tensor, "batch_head query key"]:
        """True where attention is forbidden, for every head of every list."""
        n_pos = tokens.shape[1]
        future = torch.ones(n_pos, n_pos, dtype=torch.bool, device=tokens.device).triu(1)
        left = (tokens == PAD) & (torch.arange(n_pos, device=tokens.device) < self.task.sep_pos)
        mask = future | (left[:, None, :] & ~left[:, :, None])
        return mask.repeat_interleave(self.n_heads, 0)


def copy_weights(model: SortTransformer, state: Mapping[str, Tensor]) -> None:
    """Copy a published ``state_dict`` into a post-norm ``model`` of the same sizes."""
    layers, rest = _split_layers(state)
    embed, unembed = _find_linears(rest)
    with torch.no_grad():
        model.embed.W_E[PAD] = 0.0
        model.embed.W_E[:PAD] = embed["weight"].T
        if model.embed.b_E is None:
            model.embed.W_E[:PAD] += embed["bias"]
        else:
            model.embed.b_E.copy_(embed["bias"])
        for block, layer in zip(model.blocks, layers, strict=True):
            _copy_layer(block, layer, model.cfg.n_heads)
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


def import_weights(
    path: Path, n_blanks: int | None = None, max_len: int | None = None
) -> SortTransformer:
    """A ``SortTransformer`` from a file saved by the original code (``torch.save(state_dict)``).

    The file is read with ``weights_only=True``: nothing in it is executed. Whether positions were
    offset is read off the saved table of sinusoids; whether there were blanks cannot be, so say so
    with ``n_blanks`` (default: ``max_len + 1``, and 0 with an offset).

    Raises:
        UserError: naming the file and why it is not such weights.
    """
    state = _read_state(path)
    try:
        config = _config_of(state, n_blanks, max_len)
        model = SortTransformer(config)
        copy_weights(model, state)
    except UserError as error:
        raise UserError(f"{path} is not a set of Algoformer weights: {error}") from None
    return model


def _read_state(path: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # torch raises many kinds for a file that is not what it expects
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else repr(error)
        raise UserError(
            f"{path} cannot be opened as PyTorch weights (truncated, corrupted, or a pickle that "
            f"would run code): {reason}"
        ) from None
    if not isinstance(state, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise UserError(f"{path} is not a set of Algoformer weights: it holds no state_dict")
    return state


def _config_of(
    state: Mapping[str, Tensor], n_blanks: int | None, max_len: int | None
) -> ModelConfig:
    layers, rest = _split_layers(state)
    if layers[0]["linear1.weight"].ndim != 2:
        raise UserError("linear1.weight is not a matrix")
    d_mlp, d_model = layers[0]["linear1.weight"].shape
    if d_model % N_HEADS or d_model % 2:
        raise UserError(f"its width of {d_model} is not even, or not {N_HEADS} heads wide")
    for layer in layers:
        _check_layer_shapes(layer, d_model, d_mlp)
    for linear in _find_linears(rest):
        if sorted(linear["weight"].shape) != sorted((d_model, D_VOCAB_OUT)):
            shape = tuple(linear["weight"].shape)
            raise UserError(f"a Linear layer of shape {shape} does not fit its width of {d_model}")
    offset = _read_offset(rest, d_model)
    max_len = max_len or (offset - 1 if offset else SortTask().max_len)
    if offset and offset != max_len + 1:
        raise UserError(f"its positions are shifted by {offset}, which fits lists of {offset - 1}")
    if n_blanks is None:
        n_blanks = 0 if offset else max_len + 1
    return ModelConfig(
        task=SortTask(max_len, n_blanks, offset),
        n_layers=len(layers),
        d_model=d_model,
        n_heads=N_HEADS,
        d_head=d_model // N_HEADS,
        d_mlp=d_mlp,
        norm="post",
        positions="sinusoidal",
        embed_bias=True,
    )


def _split_layers(
    state: Mapping[str, Tensor],
) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """The encoder layers, in order, and everything else."""
    layers: dict[int, dict[str, Tensor]] = {}
    rest: dict[str, Tensor] = {}
    for key, tensor in state.items():
        match = _LAYER_KEY.fullmatch(key)
        if match:
            layers.setdefault(int(match[1]), {})[match[2]] = tensor
        else:
            rest[key] = tensor
    if not layers:
        raise UserError("it has no keys like layers.0.self_attn.in_proj_weight")
    if sorted(layers) != list(range(len(layers))):
        raise UserError(f"its layers are numbered {sorted(layers)}")
    for number, layer in layers.items():
        odd = sorted(_LAYER_PARTS ^ set(layer))
        if odd:
            verb = "lacks" if odd[0] in _LAYER_PARTS else "has an unknown"
            raise UserError(f"layer {number} {verb} {odd[0]}")
    return [layers[i] for i in sorted(layers)], rest


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


def _find_linears(rest: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The input and the output Linear, told apart by which side has the vocabulary."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, weight in rest.items():
        stem, _, kind = key.rpartition(".")
        bias = rest.get(f"{stem}.bias")
        if kind != "weight" or weight.ndim != 2 or bias is None:
            continue
        if bias.shape != weight.shape[:1]:
            raise UserError(f"{stem} has a weight and a bias of different sizes")
        side = "in" if weight.shape[1] == D_VOCAB_OUT else "out"
        if D_VOCAB_OUT in weight.shape:
            found[side] = {"weight": weight, "bias": bias}
    if set(found) != {"in", "out"}:
        raise UserError(f"it has no pair of Linear layers for a vocabulary of {D_VOCAB_OUT}")
    return found["in"], found["out"]


def _read_offset(rest: Mapping[str, Tensor], d_model: int) -> int:
    """The shift of positions after SEP that is built into the saved sinusoids (0: none)."""
    tables = [t for t in rest.values() if t.shape[-1:] == (d_model,) and t.numel() > 64 * d_model]
    if not tables:
        return 0  # some versions do not save the buffer
    table = tables[0].reshape(-1, d_model).float()
    positions = torch.arange(len(table))
    plain = _close(table, sinusoids(positions, d_model))
    if plain.all():
        return 0
    offset = int(plain.int().argmin())
    shifted = sinusoids(positions + offset * (positions >= offset), d_model)
    if offset < 2 or not _close(table, shifted).all():
        raise UserError("its table of positions is not the published sinusoids")
    return offset


def _close(a: Float[Tensor, "pos d_model"], b: Tensor) -> Bool[Tensor, " pos"]:
    return ((a - b).abs() < _TABLE_TOLERANCE).all(1)
