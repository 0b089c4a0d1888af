"""What a set of weights computes, by a model that has nothing of ours: the yardstick of imports.

A plain ``HookedTransformer`` holds the file's own tensors, in its own vocabulary. Of post-norm
blocks, which it does not have, there is literal code. Only this file and those that build models
know TransformerLens by name.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from transformer_lens import HookedTransformer, HookedTransformerConfig

from interp.config import ModelConfig
from interp.passes.bare import sinusoids
from interp.support.errors import UserError

_SAME = 1e-3  # relative to 1 + the size; 1e-6 is common, and a wrong flag gives more than 0.1
_CLOSED = -1e9  # finite: a padded row that sees nothing else must not become NaN


def check_same(ours: Float[Tensor, "*any"], theirs: Float[Tensor, "*any"], what: str) -> None:
    """Whether two models say the same.

    Raises:
        UserError: saying how far they are apart.
    """
    off = float(((ours - theirs).abs() / (1 + theirs.abs())).max())
    if not off < _SAME:
        raise UserError(f"it could not be imported truly: its {what} would be off by {off:.2g}")


@torch.no_grad()
def reference_logits(
    tensors: Mapping[str, Tensor],
    config: ModelConfig,
    folded: bool,
    scales: Sequence[float],
    tokens: Int[Tensor, "batch pos"],
    hidden: Bool[Tensor, "batch pos"],
    **otherwise: Any,
) -> Float[Tensor, "batch pos d_vocab_theirs"]:
    """The logits of a file's own tensors.

    Args:
        tensors: of a ``HookedTransformer``, biases included.
        config: of what is imported, for its sizes.
        folded: whether the LayerNorms have no weights of their own.
        scales: what each layer's scores are divided by.
        tokens: in the file's own vocabulary.
        hidden: positions that nothing attends to.
        otherwise: what the plain model's config has otherwise than ours.
    """
    given = dict(tensors)
    bias = given.pop("embed.b_E", None)
    if bias is not None:
        given["embed.W_E"] = given["embed.W_E"] + bias
    if "pos_embed.W_pos" not in given:
        given["pos_embed.W_pos"] = sinusoids(config.task.position_ids(), config.d_model)
    for layer, scale in enumerate(scales):  # so that the plain model need not scale anything
        for name in (f"blocks.{layer}.attn.W_Q", f"blocks.{layer}.attn.b_Q"):
            given[name] = given[name] / scale
    if config.norm == "post":
        return _post_norm(given, config, tokens, hidden)
    return _hooked(given, config, folded, tokens, hidden, otherwise)


def _hooked(
    given: Mapping[str, Tensor],
    config: ModelConfig,
    folded: bool,
    tokens: Int[Tensor, "batch pos"],
    hidden: Bool[Tensor, "batch pos"],
    otherwise: Mapping[str, Any],
) -> Float[Tensor, "batch pos d_vocab_theirs"]:
    kind = None if config.norm == "none" else "LNPre" if folded else "LN"
    usual: dict[str, Any] = {
        "n_layers": config.n_layers,
        "d_model": config.d_model,
        "n_ctx": len(given["pos_embed.W_pos"]),
        "n_heads": config.n_heads,
        "d_head": config.d_head,
        "d_mlp": config.d_mlp or None,
        "attn_only": not config.d_mlp,
        "act_fn": config.activation,
        "d_vocab": len(given["embed.W_E"]),
        "d_vocab_out": len(given["unembed.b_U"]),
        "normalization_type": kind,
        "eps": config.ln_eps,
        "use_attn_scale": False,
        "init_weights": False,
        "device": "cpu",
    }
    cfg = HookedTransformerConfig(**{**usual, **otherwise})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "HookedTransformer is deprecated", DeprecationWarning)
        model = HookedTransformer(cfg, move_to_device=False).eval()
    buffers = {name: t for name, t in model.state_dict().items() if ".attn." in name}
    model.load_state_dict({**buffers, **given})

    def close(scores: Tensor, hook: Any) -> Tensor:
        return scores.masked_fill(hidden[:, None, None], _CLOSED)

    hooks: Any = [(f"blocks.{n}.attn.hook_attn_scores", close) for n in range(config.n_layers)]
    found: Any = model.run_with_hooks(tokens, fwd_hooks=hooks)
    return found


def _post_norm(
    given: Mapping[str, Tensor],
    config: ModelConfig,
    tokens: Int[Tensor, "batch pos"],
    hidden: Bool[Tensor, "batch pos"],
) -> Float[Tensor, "batch pos d_vocab_theirs"]:
    """``x = LN(x + attention(x)); x = LN(x + mlp(x))``, as PyTorch's own layer has it."""
    n_pos, eps = tokens.shape[1], config.ln_eps
    future = torch.ones(n_pos, n_pos, dtype=torch.bool).triu(1)
    x = given["embed.W_E"][tokens] + given["pos_embed.W_pos"][:n_pos]
    for layer in range(config.n_layers):
        own = {k.removeprefix(f"blocks.{layer}."): t for k, t in given.items()}

        def norm(y: Tensor, name: str, own: Mapping[str, Tensor] = own) -> Tensor:
            return F.layer_norm(y, y.shape[-1:], own[f"{name}.w"], own[f"{name}.b"], eps)

        q, k, v = (
            torch.einsum("bpd,hdk->bhpk", x, own[f"attn.W_{n}"]) + own[f"attn.b_{n}"][:, None]
            for n in "QKV"
        )
        scores = (q @ k.mT).masked_fill(future | hidden[:, None, None], _CLOSED)
        heads = torch.einsum("bhpk,hkd->bpd", scores.softmax(-1) @ v, own["attn.W_O"])
        x = norm(x + heads + own["attn.b_O"], "ln1")
        before = x @ own["mlp.W_in"] + own["mlp.b_in"]
        after = _activation(before, config, own)
        x = norm(x + after @ own["mlp.W_out"] + own["mlp.b_out"], "ln2")
    return x @ given["unembed.W_U"] + given["unembed.b_U"]


def _activation(x: Tensor, config: ModelConfig, own: Mapping[str, Tensor]) -> Tensor:
    from transformer_lens.utilities.activation_functions import SUPPORTED_ACTIVATIONS, XIELU

    if config.activation == "xielu":
        module = XIELU()
        module.load_state_dict({n: own[f"mlp.act_fn.{n}"] for n in module.state_dict()})
        return module(x)
    found = SUPPORTED_ACTIVATIONS[config.activation](x)
    if config.activation == "solu_ln":
        return F.layer_norm(
            found, found.shape[-1:], own["mlp.ln.w"], own["mlp.ln.b"], config.ln_eps
        )
    return found
