"""Direct logit attribution: which part of the model writes the answer (Elhage et al. 2021).

    target = against_other_digits(batch.tokens, view)   # sorted digit minus the mean of the others
    paths = direct_paths(model, batch.tokens, view, target)
    parts = paths.parts()
    parts.values.sum(-1)                # == parts.total, the model's own logits, to rounding

A logit is a linear function of the residual stream at its row, and the stream is a sum of what the
embedding, every head and every MLP put there. So the logit (or any weighted sum of logits, such as
a difference: ``target``) is a sum of what each contributes *along the stream, directly*. What a
part does through a later head or MLP is counted as theirs.

LayerNorm is linear but for its scale. How each kind of model is made linear:

- ``none``: there is nothing to freeze; the sum is exact, and so is each part.
- ``pre``: the scale of the final LayerNorm is frozen at its value in this run. A part's share is
  what its vector gives through the centred, scaled map; the norm's bias goes to ``constant``.
- ``post``: the stream passes 2 LayerNorms a layer, so *every* one that lies after a part is frozen
  at its scale in this run, and their linear maps are chained. Contributions are thus relative to
  this run's scales; a part that makes a later scale larger shrinks all that came before, which no
  part is charged with. For such a model this is all that can be given.

The parts sum to the run's logits exactly, to rounding, in all three.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interp.passes.forward import Place, Run, forward
from interp.passes.packed import Window
from interp.passes.untouched import refuse_touched
from interp.sites import Component
from interp.task import SortTask
from interp.transformer import Transformer


class Kind(StrEnum):
    """What adds to the residual stream."""

    TOKEN = "token"
    """The embedding of the row's own token, with the embedding's bias where there is one."""
    POSITION = "position"
    """The embedding of the row's position."""
    HEAD = "head"
    """One attention head, the bias of its values included."""
    ATTENTION_BIAS = "attention bias"
    """b_O of a layer."""
    MLP = "MLP"
    """All neurons of a layer."""
    MLP_BIAS = "MLP bias"
    """b_out of a layer."""
    CONSTANT = "constant"
    """The unembedding's bias and those of the LayerNorms on the way."""


@dataclass(frozen=True)
class Part:
    """One term of the sum."""

    kind: Kind
    layer: int | None = None
    head: int | None = None

    @property
    def words(self) -> str:
        """``token``, ``MLP 1``, ``head 1.4`` (layer 1, head 4)."""
        numbers = [str(n) for n in (self.layer, self.head) if n is not None]
        return " ".join([self.kind.value, ".".join(numbers)]).strip()


@dataclass(frozen=True)
class Attribution:
    """What each part adds to the target, in logits."""

    names: tuple[Part, ...]
    values: Float[Tensor, "batch row part"]
    total: Float[Tensor, "batch row"]
    """The target of the model's own logits; the parts sum to it."""


@dataclass(frozen=True)
class DirectPaths:
    """A run and the directions that its target reads in what each part writes."""

    model: Transformer
    run: Run
    tokens: Int[Tensor, "batch pos"]
    target: Float[Tensor, "batch row d_vocab_out"]
    embedding: Float[Tensor, "batch row d_model"]
    attention: tuple[Float[Tensor, "batch row d_model"], ...]
    """By layer, as ``mlp``: the target is the sum of (direction . what is written), plus biases."""
    mlp: tuple[Float[Tensor, "batch row d_model"], ...]
    constant: Float[Tensor, "batch row"]

    @torch.no_grad()
    def parts(self) -> Attribution:
        """Every part of every layer, and the biases."""
        model, rows = self.model, self.run.view.rows
        values: dict[Part, Tensor] = {
            Part(Kind.TOKEN): _dot(model.embed.effective()[self.tokens[:, rows]], self.embedding),
            Part(Kind.POSITION): _dot(model.pos_embed.W_pos[rows], self.embedding),
        }
        for layer, block in enumerate(model.blocks):
            heads = _dot(_rows(self.run, Component.Z, layer), self._into_heads[layer])
            values |= {Part(Kind.HEAD, layer, h): each for h, each in enumerate(heads.unbind(-1))}
            values[Part(Kind.ATTENTION_BIAS, layer)] = self.attention[layer] @ block.attn.b_O
            written = _rows(self.run, Component.MLP_OUT, layer) - block.mlp.b_out
            values[Part(Kind.MLP, layer)] = _dot(written, self.mlp[layer])
            values[Part(Kind.MLP_BIAS, layer)] = self.mlp[layer] @ block.mlp.b_out
        values[Part(Kind.CONSTANT)] = self.constant
        total = (self.run.logits * self.target).sum(-1)
        return Attribution(tuple(values), torch.stack(list(values.values()), -1), total)

    @torch.no_grad()
    def by_source(self, layer: int) -> Float[Tensor, "batch row head key"]:
        """A layer's heads by the position that they read; keys count from the window's start.

        Sums over keys to the heads of :meth:`parts`.
        """
        values = self.run.at(Component.V, layer)
        read = einsum(self._into_heads[layer], values, "b row h d, b key h d -> b row h key")
        n_rows = self.target.shape[1]
        return read * self.run.at(Component.PATTERN, layer)[:, :, -n_rows:].transpose(1, 2)

    @torch.no_grad()
    def by_neuron(self, layer: int) -> Float[Tensor, "batch row neuron"]:
        """A layer's MLP by neuron; needs a run with ``neurons=True``. Sums to ``mlp`` of parts."""
        activations = _rows(self.run, Component.NEURONS, layer)
        return activations * (self.mlp[layer] @ self.model.blocks[layer].mlp.W_out.T)

    @cached_property
    def _into_heads(self) -> list[Float[Tensor, "batch row head d_head"]]:
        return [
            einsum(direction, block.attn.W_O, "b row m, h d m -> b row h d")
            for direction, block in zip(self.attention, self.model.blocks, strict=True)
        ]


@torch.no_grad()
def direct_paths(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    view: Window,
    target: Float[Tensor, "batch row d_vocab_out"],
    *,
    neurons: bool = False,
) -> DirectPaths:
    """Run full sequences, and find what ``target`` reads in the stream at each of ``view.rows``.

    Args:
        target: weights on the logits of each row: 1 for a logit, 1 and -1 for a difference.
        neurons: keep what :meth:`DirectPaths.by_neuron` needs (d_mlp numbers a row).

    Raises:
        UserError: if something acts on the model.
    """
    run = forward(model, tokens, view, keep=places_read(model.cfg.n_layers, neurons))
    return paths_of(model, run, tokens, target)


@torch.no_grad()
def paths_of(
    model: Transformer,
    run: Run,
    tokens: Int[Tensor, "batch pos"],
    target: Float[Tensor, "batch row d_vocab_out"],
) -> DirectPaths:
    """As :func:`direct_paths`, of a run that is there already, edited or not.

    It must have kept ``places_read``.

    Raises:
        UserError: if something acts on the model beside those edits: its parts would not sum up.
    """
    refuse_touched(model, "direct logit attribution")
    norm, last = model.config.norm, model.cfg.n_layers - 1
    direction, constant = target @ model.W_U.T, target @ model.b_U
    if norm == "pre":
        final = _rows(run, Component.RESID_POST, last)
        direction, constant = _through(model.ln_final, final, direction, constant)
    attention, mlp = [], []
    for layer in reversed(range(model.cfg.n_layers)):
        block = model.blocks[layer]
        if norm == "post":
            summed = _rows(run, Component.RESID_MID, layer) + _rows(run, Component.MLP_OUT, layer)
            direction, constant = _through(block.ln2, summed, direction, constant)
        mlp.append(direction)
        if norm == "post":
            summed = _rows(run, Component.RESID_PRE, layer) + _rows(run, Component.ATTN_OUT, layer)
            direction, constant = _through(block.ln1, summed, direction, constant)
        attention.append(direction)
    return DirectPaths(
        model, run, tokens, target, direction, tuple(attention[::-1]), tuple(mlp[::-1]), constant
    )


def places_read(n_layers: int, neurons: bool = False) -> Collection[Place]:
    """What a run must keep for :func:`paths_of`, and with ``neurons`` for ``by_neuron``."""
    kept = [
        Component.RESID_PRE,
        Component.V,
        Component.PATTERN,
        Component.Z,
        Component.ATTN_OUT,
        Component.RESID_MID,
        Component.MLP_OUT,
        Component.RESID_POST,
    ]
    kept += [Component.NEURONS] if neurons else []
    return [(component, layer) for layer in range(n_layers) for component in kept]


def _through(
    layer_norm: Any, x: Tensor, direction: Tensor, constant: Tensor
) -> tuple[Tensor, Tensor]:
    """What is read before a LayerNorm whose scale is frozen, and what its bias adds."""
    scale = (x.var(-1, unbiased=False, keepdim=True) + layer_norm.eps).sqrt()
    weighted = direction * layer_norm.w
    # Centring is symmetric: to read centred vectors is to read along the centred direction.
    before = (weighted - weighted.mean(-1, keepdim=True)) / scale
    return before, constant + direction @ layer_norm.b


def _rows(run: Run, component: Component, layer: int) -> Tensor:
    """An activation at the rows whose logits are read; positions are its second axis."""
    return run.at(component, layer)[:, run.view.first_row - run.view.stop :]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)


# -- targets ------------------------------------------------------------------------------------


def logit_of(
    task: SortTask,
    answers: Int[Tensor, "batch row"],
) -> Float[Tensor, "batch row d_vocab_out"]:
    """The logit of one token a row; nothing where it is PAD."""
    return torch.nn.functional.one_hot(answers, task.d_vocab)[..., : task.pad].float()


def difference(
    task: SortTask, answers: Int[Tensor, "batch row"], others: Int[Tensor, "batch row"]
) -> Float[Tensor, "batch row d_vocab_out"]:
    """The logit of one token minus that of another; nothing where either is PAD."""
    counted = ((answers != task.pad) & (others != task.pad))[..., None]
    return (logit_of(task, answers) - logit_of(task, others)) * counted


def against_other_digits(
    tokens: Int[Tensor, "batch pos"], view: Window
) -> Float[Tensor, "batch row d_vocab_out"]:
    """The logit of the sorted digit minus the mean of the nine others, at the output rows.

    What adds the same to all ten digits adds nothing to this, as it adds nothing to the choice.
    """
    task, n = view.task, view.task.n_symbols
    answers = task.targets(tokens)[:, view.rows]
    emits = torch.arange(view.first_row, view.stop, device=tokens.device)
    counted = (answers < n) & (emits >= task.first_output_row)
    weights = logit_of(task, answers) * (n / (n - 1))
    weights[..., :n] -= 1 / (n - 1)
    return weights * counted[..., None]
