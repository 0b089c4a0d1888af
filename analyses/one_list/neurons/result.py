"""Neurons by their effect on one output: every neuron of a layer set to zero in turn, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from analyses.one_list.margin import AnsweredList, Margin, UpTo, margin
from interp.interventions import Set
from interp.methods.attribution import paths_of, places_read
from interp.passes.forward import Edits, Run, forward
from interp.passes.packed import norm_after, unembed
from interp.passes.untouched import refuse_touched
from interp.sites import Component, Frame, Site
from interp.support.errors import UserError
from interp.support.progress import SILENT, Progress

_NEURONS_AT_ONCE = 64  # copies of the sequence: more would leave the processor's cache


@dataclass(frozen=True)
class ListNeurons:
    """What each neuron of a layer does for the margin of one output."""

    layer: int
    last: bool
    """Whether it is the last layer, where neurons at other positions reach nothing."""
    margin: Margin
    total: float
    """The margin as it is."""
    neurons: Int[Tensor, " active"]
    """Those that are active somewhere; the others have no effect at all."""
    n_neurons: int
    lost: Float[Tensor, " active"]
    """How much smaller the margin is with the neuron zero at every position, in logits."""
    direct: Float[Tensor, " active"]
    """What the neuron adds to the margin directly, along the stream at the output's own row."""
    here: Float[Tensor, " active"]
    """Its activation at the output's own row."""
    most: Float[Tensor, " active"]
    """Its largest activation at any position that reaches the output."""
    where: tuple[str, ...]
    """The label of that position."""


@torch.no_grad()
def ablate_neurons(
    answered: AnsweredList, output: int, layer: int, progress: Progress = SILENT
) -> ListNeurons:
    """Zero ablation of every neuron of a layer by itself, at all positions at once.

    Exact: the pass is run again from the layer's MLP on, without the neuron.

    Raises:
        UserError: if there is no such layer or output, or something acts on the model.
    """
    model, row = answered.model, answered.row(output)
    refuse_touched(model, "the ablation of every single neuron")
    n_layers = model.config.n_layers
    if not 0 <= layer < n_layers:
        raise UserError(f"there is no layer {layer}: this model has 0 to {n_layers - 1}")
    view = UpTo(answered.task, len(answered.digits), row)
    keep = places_read(n_layers, True)
    run = forward(model, answered.tokens, view, answered.edits, keep=keep)
    compared = margin(answered, output, run.logits)
    hidden = run.at(Component.NEURONS, layer)[0]  # [pos, neuron]; the row alone in the last layer
    active = (hidden != 0).any(0).nonzero()[:, 0]
    progress.begin(len(active), "neurons")
    lost = [torch.zeros(0, device=hidden.device)]
    total = compared.of(run.logits)[0, 0]
    for some in active.split(_NEURONS_AT_ONCE) if len(active) else ():
        lost.append(total - compared.of(_without(answered, run, layer, some))[:, 0])
        progress.step(len(some))
    direct = paths_of(model, run, answered.tokens, compared.target).by_neuron(layer)[0, 0]
    most = hidden[:, active].max(0) if len(active) else hidden[:1, active].max(0)
    first = run.frame(Component.NEURONS, layer).position
    labels = answered.task.labels(len(answered.digits))[first:]
    return ListNeurons(
        layer=layer,
        last=layer == n_layers - 1,
        margin=compared,
        total=float(total),
        neurons=active.cpu(),
        n_neurons=hidden.shape[1],
        lost=torch.cat(lost).cpu(),
        direct=direct[active].cpu(),
        here=hidden[-1, active].cpu(),
        most=most.values.cpu(),
        where=tuple(labels[i] for i in most.indices.tolist()),
    )


def _without(
    answered: AnsweredList, run: Run, layer: int, neurons: Int[Tensor, " some"]
) -> Float[Tensor, "some 1 d_vocab_out"]:
    """Logits of the row, with each of some neurons zero in turn."""
    model, block = answered.model, answered.model.blocks[layer]

    def edited(component: Component, value: Tensor) -> Tensor:
        for edit in answered.edits.get((component, layer), ()):
            value = edit(value, run.frame(component, layer))
        return value

    hidden = run.at(Component.NEURONS, layer)[0]
    whole = F.linear(hidden, block.mlp.W_out.T, block.mlp.b_out)
    removed = hidden.T[neurons, :, None] * block.mlp.W_out[neurons, None]  # [some, pos, d_model]
    added = edited(Component.MLP_OUT, whole - removed)
    middle = run.at(Component.RESID_MID, layer)
    x = edited(Component.RESID_POST, norm_after(middle + added, block.ln2, model.config.norm))
    if layer == model.config.n_layers - 1:
        return unembed(model, x)
    place, opens = (Component.RESID_PRE, layer + 1), answered.edits.opens
    stream = Set(Site(*place), x, Frame(run.view.start)).changes(model)[0][1]

    def put_in(value: Tensor, here: Frame) -> Tensor:
        return stream(value.expand(len(x), -1, -1), here)

    # Where attention may be opened, the pass begins at the beginning, with all edits.
    later = Edits({p: e for p, e in answered.edits.items() if opens or p[1] > layer})
    later[place] = (put_in, *later.get(place, ()))
    later.since, later.opens = run.view.start, opens
    tokens = answered.tokens.expand(len(neurons), -1)
    return forward(model, tokens, run.view, later, base=run).logits
