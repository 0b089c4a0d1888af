"""What neurons do to their input: the activations that TransformerLens has, without it.

    neurons(y, block.mlp)       # [..., d_mlp], as the MLP's hook_post has them

``BareTransformer`` has no modules to call, and hooks must not be called by passes that know none;
so these are plain functions of the parameters. The tests hold each against TransformerLens's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _solu(x: Tensor) -> Tensor:
    """Elhage et al. 2022: x * softmax(x), over the neurons of a layer."""
    return x * x.softmax(-1)


def _relu2(x: Tensor) -> Tensor:
    return F.relu(x).square()


_PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "silu": F.silu,
    "solu": _solu,
    "solu_ln": _solu,
    "relu2": _relu2,
}


def activate(x: Float[Tensor, "*rows d_mlp"], module: Any) -> Float[Tensor, "*rows d_mlp"]:
    """Neurons' activations, of what they read.

    Args:
        module: the MLP. Its ``cfg.act_fn`` names the activation, and it has the parameters that
            some of these need: the LayerNorm of ``solu_ln``, the two numbers of ``xielu``.
    """
    activation = module.cfg.act_fn
    if activation == "xielu":
        return _xielu(x, module.act_fn)
    hidden = _PLAIN[activation](x)
    if activation != "solu_ln":
        return hidden
    norm = module.ln  # without parameters where the model has no LayerNorms
    weight, bias = getattr(norm, "w", None), getattr(norm, "b", None)
    return F.layer_norm(hidden, hidden.shape[-1:], weight, bias, norm.eps)


def neurons(y: Float[Tensor, "*rows d_model"], module: Any) -> Float[Tensor, "*rows d_mlp"]:
    """The neurons of an MLP, given what it reads."""
    return activate(F.linear(y, module.W_in.T, module.b_in), module)


def is_relu(module: Any) -> bool:
    """Whether an MLP is one of ReLU neurons, and has any: what faster products are made for."""
    return module.cfg.act_fn == "relu" and module.W_in.shape[1] > 0


def _xielu(x: Tensor, numbers: Any) -> Tensor:
    """Huang and Schlag 2024: a parabola above 0, an integral of ELU below, both slopes trained."""
    above, below = F.softplus(numbers.alpha_p), numbers.beta + F.softplus(numbers.alpha_n)
    falling = (torch.expm1(torch.minimum(x, numbers.eps)) - x) * below
    return torch.where(x > 0, above * x * x, falling) + numbers.beta * x
