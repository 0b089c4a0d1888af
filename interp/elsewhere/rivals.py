"""Whether other flags would suit a set of weights better: what accuracy alone may not show.

    rivals(model, batch, Read(), losses(model, batch))[0].words         # "--activation gelu"

Weights that are read with the wrong activation may still give every answer right. So their loss on
held-out lists is compared with that under every other value that their tensors allow. A much lower
one says that what was told is wrong. One that is near says that the weights do not tell: the last
steps of a training that was not slowed down leave noise in them, which another activation may well
suit a little better. Then it is said, and left to whoever knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from interp.config import Activation, ModelConfig, Norm
from interp.model import SortTransformer
from interp.passes.packed import Window, packed_logits, parts_of, window
from interp.task import SortBatch, Task

_AT_ONCE = 64  # lists; activations of more would leave the processor's cache
_OWN_TENSORS = ("solu_ln", "xielu")
"""Activations with parameters: which they are, the tensors tell."""
_TWINS = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh")
"""One function and its approximations, which differ by less than a thousandth."""
_FAR = 2.0
"""A loss of so many times another is no noise of training."""
SEEN = "padding that is attended to, so give --min-len as --max-len"
"""That cannot be held here, but lists of one length have no padding."""
_SURE = 2.58  # standard errors of the mean difference: 99 %


@dataclass(frozen=True)
class Read:
    """How weights were read, where it leaves no trace in the model."""

    folded: bool = False
    """Whether the LayerNorms have no weights of their own: then there may be none."""
    attn_scale: float | None = None
    """What scores are divided by (None: the root of a head's width)."""
    unlike: Mapping[str, Callable[[SortBatch], Tensor]] = field(default_factory=dict)
    """What cannot be held here, and leaves no trace in the tensors either: in words, and the logits
    [batch, pos, d_vocab_out] if it were so."""


@dataclass(frozen=True)
class Rival:
    """The same weights, read otherwise."""

    words: str
    """The flag that would say so: ``--activation gelu``."""
    loss: float
    """In nats a token."""
    better: bool
    """Whether it clearly suits the weights better than what was told."""
    near: bool
    """Whether the weights hardly tell it from what was told."""


@torch.no_grad()
def losses(model: SortTransformer, batch: SortBatch) -> Float[Tensor, " batch"]:
    """Each list's mean loss over the tokens of its answer, in nats."""
    found = torch.zeros(len(batch))
    for index in parts_of(model, batch, _AT_ONCE):
        part = batch[index]
        view = window(model.task, part, digits_only=True)
        found[index] = _of_rows(model.task, part, packed_logits(model, part.tokens, view), view)
    return found


def _of_rows(
    task: Task, batch: SortBatch, logits: Float[Tensor, "batch row d_vocab_out"], view: Window
) -> Float[Tensor, " batch"]:
    wanted = task.targets(batch.tokens)[:, view.rows]
    scored = wanted != task.pad
    picked = logits.log_softmax(-1).gather(-1, wanted.masked_fill(~scored, 0)[..., None])
    return -picked[..., 0].masked_fill(~scored, 0.0).sum(1) / scored.sum(1)


def rivals(
    model: SortTransformer, batch: SortBatch, read: Read, told: Float[Tensor, " batch"]
) -> list[Rival]:
    """Every other way to read the weights, the best first.

    Args:
        told: the losses as they are read now, of the same lists.
    """
    others = [
        (words, losses(_variant(model, config, factor), batch))
        for words, config, factor in _others(model.config, read)
    ]
    view = window(model.task, batch, digits_only=True)
    others += [
        (words, _of_rows(model.task, batch, logits(batch)[:, view.rows], view))
        for words, logits in read.unlike.items()
    ]
    found = []
    for words, theirs in others:
        apart = told - theirs
        error = float(apart.std()) / math.sqrt(len(apart)) if len(apart) > 1 else math.inf
        sure = float(apart.mean()) > _SURE * error
        mine, other = float(told.mean()), float(theirs.mean())
        better = sure and _FAR * other < mine
        flags = words == SEEN or words not in read.unlike  # what could be said here
        near = flags and not better and other < _FAR * mine
        found.append(Rival(words, other, better, near))
    return sorted(found, key=lambda one: one.loss)


def _others(config: ModelConfig, read: Read) -> Iterator[tuple[str, ModelConfig, float]]:
    """Flags, what they make of the config, and what they multiply scores by."""
    if config.d_mlp and config.activation not in _OWN_TENSORS:
        for name in get_args(Activation):
            own = _TWINS if config.activation in _TWINS else (config.activation,)
            if name not in (*_OWN_TENSORS, *own, *_TWINS[1:]):
                yield f"--activation {name}", replace(config, activation=name), 1.0
    if read.folded or config.norm == "none":
        norm: Norm = "none" if read.folded else "pre"
        yield f"--norm {norm}", replace(config, norm=norm), 1.0
    root = math.sqrt(config.d_head)
    other = 1.0 if read.attn_scale is None else root
    yield f"--attn-scale {other:g}", config, (read.attn_scale or root) / other


def _variant(model: SortTransformer, config: ModelConfig, factor: float) -> SortTransformer:
    """The same weights under another config; LayerNorms that were none do the least they can."""
    other = SortTransformer(config)
    own = model.state_dict()
    for name, tensor in other.state_dict().items():
        if name in own:
            query = name.endswith((".attn.W_Q", ".attn.b_Q"))
            tensor.copy_(own[name] * factor if query else own[name])
    return other.eval()
