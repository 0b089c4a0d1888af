"""What weights do not tell of a model, and where it is said: in flags, or in TransformerLens's own
config as JSON (``json.dump(model.cfg.to_dict(), file, default=str)``).

Free of torch: command lines read their flags with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from interp.config import Activation, Norm
from interp.support import files
from interp.support.errors import UserError
from interp.support.fields import fits
from interp.support.strict_json import short

Positions = Literal["learned", "sinusoidal"]
"""``learned``: the table in the file, whatever is in it. ``sinusoidal``: Vaswani et al. 2017, of
which nothing is saved."""


@dataclass(frozen=True)
class Facts:
    """What was said; None where nothing was."""

    norm: Norm | None = None
    activation: Activation | None = None
    positions: Positions | None = None
    no_biases: bool = False
    """Whether biases that are not there are 0."""
    ln_eps: float | None = None
    attn_scale: float | None = None
    """What scores are divided by (None: the root of a head's width)."""
    scale_by_layer: bool = False
    """Whether they are also divided by their layer's number, from 1."""
    sizes: tuple[tuple[str, int], ...] = ()
    """Of a config, to be held against the weights."""


# -- TransformerLens's config -------------------------------------------------------------------

_SIZES = ("n_layers", "d_model", "n_heads", "d_head", "d_mlp", "d_vocab", "d_vocab_out", "n_ctx")
_NORMS: dict[str | None, Norm] = {"LN": "pre", "LNPre": "pre", None: "none"}
_READ = {
    *_SIZES,
    *("act_fn", "normalization_type", "eps", "positional_embedding_type", "attn_only"),
    *("use_attn_scale", "attn_scale", "scale_attn_by_inverse_layer_idx", "d_vocab_out"),
}
_IDLE = {  # nothing of what a model of this family computes depends on these
    *("model_name", "tokenizer_name", "tokenizer_prepends_bos", "default_prepend_bos", "seed"),
    *("device", "n_devices", "dtype", "init_mode", "init_weights", "initializer_range", "n_params"),
    *("use_attn_result", "use_attn_in", "use_split_qkv_input", "use_hook_mlp_in"),
    *("use_hook_tokens", "ungroup_grouped_query_attention", "trust_remote_code"),
    *("from_checkpoint", "checkpoint_index", "checkpoint_label_type", "checkpoint_value"),
    *("original_architecture", "layer_norm_folding", "rotary_base", "rotary_dim"),
    *("decoder_start_token_id", "window_size", "attn_types", "train_seq_length"),
}


def read_config(path: Path) -> Facts:
    """What TransformerLens's config says.

    Raises:
        UserError: naming the file, and what in it is unknown or asks for another kind of model.
    """
    data = files.read_object(path)
    try:
        return facts_of(data)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def facts_of(data: Mapping[str, Any]) -> Facts:
    """As :func:`read_config`, of what was read."""
    _check_others(data)
    sizes = {name: data[name] for name in _SIZES if data.get(name) not in (None, -1)}
    if data.get("attn_only") is True:
        sizes["d_mlp"] = 0
    for name, size in sizes.items():
        if type(size) is not int:
            raise UserError(f"{name} cannot be {short(size)}: it must be a whole number")
    if data.get("positional_embedding_type", "standard") != "standard":
        kind = short(data["positional_embedding_type"])
        raise UserError(f"positional_embedding_type {kind} cannot be held here, only 'standard'")
    scale = _number(data, "attn_scale", -1.0)
    if data.get("use_attn_scale", True) is not True:
        scale = 1.0
    return Facts(
        norm=_norm(data),
        activation=None if data.get("attn_only") is True else _activation(data),
        ln_eps=_number(data, "eps", 1e-5),
        attn_scale=None if scale == -1.0 else scale,
        scale_by_layer=data.get("scale_attn_by_inverse_layer_idx", False) is True,
        sizes=tuple(sizes.items()),
    )


def _check_others(data: Mapping[str, Any]) -> None:
    """Whether all that is not read here is as TransformerLens has it where nothing is said."""
    from transformer_lens import HookedTransformerConfig

    usual = {field.name: field.default for field in fields(HookedTransformerConfig)}
    for name, value in data.items():
        if name not in usual and name not in _IDLE:
            raise UserError(f"{short(name)} is no field of a HookedTransformerConfig")
        if name not in _READ | _IDLE and value != usual[name]:
            raise UserError(f"{name} {short(value)} cannot be held here, only {usual[name]!r}")


def _norm(data: Mapping[str, Any]) -> Norm:
    kind = data.get("normalization_type", "LN")
    if not (kind is None or isinstance(kind, str)) or kind not in _NORMS:
        raise UserError(f"normalization_type {short(kind)} cannot be held here, only LN and LNPre")
    return _NORMS[kind]


def _activation(data: Mapping[str, Any]) -> Any:
    name = data.get("act_fn", "relu")
    if name not in get_args(Activation):
        raise UserError(f"act_fn {short(name)} is none of {', '.join(get_args(Activation))}")
    return name


def _number(data: Mapping[str, Any], name: str, usual: float) -> float:
    value = data.get(name, usual)
    if not fits(value, float):
        raise UserError(f"{name} cannot be {short(value)}: it must be a number")
    return float(value)


# -- both ---------------------------------------------------------------------------------------


def agreed(said: Facts, config: Facts) -> Facts:
    """Flags and config together.

    A norm that is said to be ``post`` stands: TransformerLens's config has no word for it.

    Raises:
        UserError: naming the flag that the config contradicts.
    """
    for name in ("norm", "activation", "ln_eps", "attn_scale"):
        mine, theirs = getattr(said, name), getattr(config, name)
        post = name == "norm" and mine == "post" and theirs == "pre"
        if mine is not None and theirs is not None and mine != theirs and not post:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} {mine} contradicts the config, which says {theirs}")
    given = {field.name: getattr(said, field.name) for field in fields(said)}
    return replace(config, **{k: v for k, v in given.items() if v not in (None, False, ())})
