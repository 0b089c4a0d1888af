"""The tensors of a ``HookedTransformer``, by their names: which there must be, and what sizes they
tell. What is unknown or missing is refused by name, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.config import Activation, Norm
from interp.elsewhere.facts import Facts, Positions
from interp.elsewhere.files import numbers
from interp.support.errors import UserError

Shapes = dict[str, tuple[int, ...]]
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_FIRST = "blocks.0.attn.W_Q"
_ELSEWHERE = {
    r"blocks\.\d+\.attn\.rotary_(sin|cos)": "rotary positions",
    r"blocks\.\d+\.attn\._[Wb]_[KV]": "keys and values that several heads share",
    r"blocks\.\d+\.attn\.[qk]_norm\..+": "norms of queries and keys",
    r"blocks\.\d+\.mlp\.W_gate": "gated MLPs",
    r"blocks\.\d+\.mlp\.(experts\..+|W_gate\.weight)": "mixtures of experts",
    r"blocks\.\d+\.ln[12]_post\..+": "norms after each part beside those before it",
    r"embed\.ln\..+": "norms of the embedding",
}
"""Tensors of models that TransformerLens has, and that cannot be held here: what they are of."""


def is_bias(name: str) -> bool:
    """Whether a tensor is one that a model without biases does not have."""
    last = name.rpartition(".")[2]
    return last == "b" or last.startswith("b_")


def sorted_out(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters in float32, without TransformerLens's buffers.

    Raises:
        UserError: if they are of another kind of model, or a buffer says that attention is not
            causal.
    """
    _check_kind(state)
    found = {}
    for name, tensor in state.items():
        match = _BLOCK.fullmatch(name)
        if match and match[2] == "attn.mask":
            _check_causal(name, tensor)
        elif not (match and match[2] == "attn.IGNORE"):  # what a closed score becomes
            found[name] = numbers(name, tensor)
    return found


def _check_kind(state: Mapping[str, Tensor]) -> None:
    """Whether a name tells that it is a model of another kind."""
    for name in state:
        for pattern, what in _ELSEWHERE.items():
            if re.fullmatch(pattern, name):
                raise UserError(f"it has {what} ({name[:80]}), which are not supported here")
    for norm in ("blocks.0.ln1", "ln_final"):
        if f"{norm}.w" in state and f"{norm}.b" not in state:
            raise UserError(f"{norm} has no bias: it is an RMSNorm, which is not supported here")


def _check_causal(name: str, mask: Tensor) -> None:
    if mask.ndim != 2 or not torch.equal(mask.bool(), torch.ones_like(mask.bool()).tril()):
        raise UserError(f"{name} is no causal mask: a position may see what comes later, or less")


@dataclass(frozen=True)
class Sizes:
    """What shapes tell."""

    n_layers: int
    d_model: int
    n_heads: int
    d_head: int
    d_mlp: int
    """0: there is no MLP."""
    d_vocab: int
    d_vocab_out: int
    n_ctx: int | None
    """None: there is no table of positions."""

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Sizes:
        """Of a state dict.

        Raises:
            UserError: naming what is missing, or has not the axes that it should have.
        """
        for name, n_axes in {"embed.W_E": 2, "unembed.W_U": 2, _FIRST: 3}.items():
            if name not in state:
                raise UserError(f"it lacks {name}: it is no state dict of a HookedTransformer")
            if state[name].ndim != n_axes or not state[name].numel():
                shape = tuple(state[name].shape)
                raise UserError(f"{name} has shape {shape}; it should have {n_axes} axes")
        n_heads, d_model, d_head = state[_FIRST].shape
        w_in, table = state.get("blocks.0.mlp.W_in"), state.get("pos_embed.W_pos")
        numbered = [int(match[1]) for name in state if (match := _BLOCK.fullmatch(name))]
        return cls(
            max(numbered) + 1,
            d_model,
            n_heads,
            d_head,
            0 if w_in is None or not w_in.ndim else w_in.shape[-1],
            state["embed.W_E"].shape[0],
            state["unembed.W_U"].shape[1],
            None if table is None or not table.ndim else table.shape[0],
        )

    def check(self, facts: Facts) -> None:
        """Whether a config speaks of these weights.

        Raises:
            UserError: naming the size that differs.
        """
        for name, size in facts.sizes:
            if (mine := getattr(self, name)) not in (None, size):
                raise UserError(f"the config says {name} {size}, and the weights have {mine}")


@dataclass(frozen=True)
class Kind:
    """What the weights are of, once all is known."""

    norm: Norm
    folded: bool
    """Whether the LayerNorms' own weights are in what follows them (TransformerLens's LNPre)."""
    activation: Activation
    positions: Positions


def kind_of(state: Mapping[str, Tensor], facts: Facts) -> Kind:
    """What was said and what the tensors tell, together.

    Raises:
        UserError: naming every flag that is missing.
    """
    has_norms = any(re.fullmatch(r"blocks\.\d+\.ln1\.w", name) for name in state)
    has_mlp = any(name.startswith("blocks.0.mlp.") for name in state)
    norm = facts.norm or ("pre" if has_norms and "ln_final.w" in state else None)
    activation = facts.activation or (None if has_mlp else "relu")
    positions = facts.positions or ("learned" if "pos_embed.W_pos" in state else None)
    known = {"--norm": norm, "--activation": activation, "--positions": positions}
    if missing := [flag for flag, value in known.items() if value is None]:
        raise UserError(f"weights do not tell everything: give {', '.join(missing)}, or --config")
    assert norm and activation and positions  # for type checkers
    if not has_mlp and facts.activation not in (None, "relu"):
        raise UserError(f"it has no MLP that could be of --activation {facts.activation}")
    return Kind(norm, norm == "pre" and not has_norms, activation, positions)


def check_tensors(state: Mapping[str, Tensor], sizes: Sizes, kind: Kind, no_biases: bool) -> None:
    """Whether these are the tensors of such a model, in its shapes.

    Raises:
        UserError: naming the first that is unknown, missing, or of another shape.
    """
    wanted = shapes_of(sizes, kind)
    if unknown := sorted(set(state) - set(wanted) - {"embed.b_E"}):
        what = f"norm {kind.norm}, activation {kind.activation}, {kind.positions} positions"
        raise UserError(f"it holds {unknown[0][:80]}, which is no part of such a model ({what})")
    for name, shape in wanted.items():
        if name not in state and not (no_biases and is_bias(name)):
            hint = "; --no-biases, if it has none" if is_bias(name) else ""
            raise UserError(f"it lacks {name}{hint}")
        if name in state and tuple(state[name].shape) != shape:
            raise UserError(f"{name} has shape {tuple(state[name].shape)}, expected {shape}")


def shapes_of(sizes: Sizes, kind: Kind) -> Shapes:
    """Every tensor of such a ``HookedTransformer``, and its shape."""
    d, h, k, m = sizes.d_model, sizes.n_heads, sizes.d_head, sizes.d_mlp
    norms = {} if kind.folded or kind.norm == "none" else {"w": (d,), "b": (d,)}
    block: Shapes = {f"ln1.{part}": shape for part, shape in norms.items()}
    block |= {f"attn.W_{name}": (h, d, k) for name in "QKV"}
    block |= {f"attn.b_{name}": (h, k) for name in "QKV"}
    block |= {"attn.W_O": (h, k, d), "attn.b_O": (d,)}
    if m:
        block |= {f"ln2.{part}": shape for part, shape in norms.items()}
        block |= {"mlp.W_in": (d, m), "mlp.b_in": (m,), "mlp.W_out": (m, d), "mlp.b_out": (d,)}
    if m and kind.activation == "solu_ln":
        block |= {f"mlp.ln.{part}": (m,) for part in norms}
    if m and kind.activation == "xielu":
        block |= {f"mlp.act_fn.{name}": () for name in ("alpha_p", "alpha_n", "beta", "eps")}
    found: Shapes = {"embed.W_E": (sizes.d_vocab, d)}
    if kind.positions == "learned":
        found["pos_embed.W_pos"] = (sizes.n_ctx or 0, d)
    for layer in range(sizes.n_layers):
        found |= {f"blocks.{layer}.{name}": shape for name, shape in block.items()}
    if kind.norm == "pre":
        found |= {f"ln_final.{part}": shape for part, shape in norms.items()}
    return found | {
        "unembed.W_U": (d, sizes.d_vocab_out),
        "unembed.b_U": (sizes.d_vocab_out,),
    }
