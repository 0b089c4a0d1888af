"""Path patching: the effect along chosen paths, everything beside them held still.

    view = window(task, batch, digits_only=True)
    base, donor = (record_run(model, tokens, view) for tokens in (corrupt, clean))
    senders = [Site(Component.MLP_OUT, 0, positions=range(49, 97))]
    receivers = [Site(part, 1, heads=(2,), positions=range(49, 97)) for part in "kv"]
    path_patch(model, corrupt, base, donor, senders, receivers)     # logits at view.rows

Definition (Wang et al. 2022, section 3.1; Goldowsky-Dill et al. 2023). Two passes over the base
lists, after the base and the donor were recorded:

1. *Direct effect.* What the senders write is the donor's; what every other head and every other MLP
   writes is the base's, whatever it reads. So the receivers read the base's residual stream plus
   what the senders write differently, and nothing that was computed from it on the way.
2. *What follows.* A free run of the base, in which the receivers have the values that they had in
   pass 1. Without receivers the logits of pass 1 are the result: the direct effect on them.

MLPs are held still as heads are (as Goldowsky-Dill et al. do; Wang et al. let them run freely).

Normalisation is never frozen. Without norms, pass 1 is exact addition: the receivers read base plus
the senders' differences. In a pre-norm model the same sum goes through the receivers' own LayerNorm
(or the final one), computed anew. In a post-norm model the stream itself goes through the
LayerNorms of every block between, each computed anew on a sum of which only the residual part has
changed; they are part of the direct path, for no path of such a model avoids them.

What it does not show: effects of several paths need not add up to that of all of them together, for
attention and MLPs are no linear functions of what they read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.interventions import Intervention, Patch, edits_of
from interp.passes.forward import Edit, Run, axis_of_positions, forward
from interp.passes.packed import Window
from interp.sites import ATTENTION, PER_HEAD, STREAM, Component, Frame, Site
from interp.support.errors import UserError
from interp.transformer import Transformer

SENDERS = (Component.Z, Component.ATTN_OUT, Component.MLP_OUT)
"""What one part of the model writes. The embeddings, ``RESID_PRE`` of layer 0, can send too."""
RECEIVERS = (Component.Q, Component.K, Component.V, Component.NEURONS)
"""What is computed from the residual stream alone: all that heads and MLPs make of their input."""
_KEPT = (*STREAM, *PER_HEAD, Component.RESID_POST)  # neurons are many, and not needed
_ORDER = list(Component)


@torch.no_grad()
def record_run(model: Transformer, tokens: Int[Tensor, "batch pos"], view: Window) -> Run:
    """A run that can be base or donor of :func:`path_patch`, and of patches and transplants."""
    keep = [(component, layer) for layer in range(model.cfg.n_layers) for component in _KEPT]
    return forward(model, tokens, view, keep=keep)


@torch.no_grad()
def path_patch(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    base: Run,
    donor: Run,
    senders: Sequence[Site],
    receivers: Sequence[Site] = (),
) -> Float[Tensor, "batch row d_vocab_out"]:
    """Logits at ``base.view.rows`` after patching the direct paths from senders to receivers.

    Args:
        tokens: the base's lists.
        base: of :func:`record_run` on ``tokens``; ``donor`` of as many other lists.
        senders: places of ``SENDERS``, or the embeddings; taken from ``donor``.
        receivers: places of ``RECEIVERS``, each after all senders; none stands for the logits.

    Raises:
        UserError: for a site that the model has not, cannot send or receive, or comes too early.
    """
    for receiver in receivers:
        if receiver.component not in RECEIVERS:
            raise UserError(f"the {receiver.words} cannot receive; {_names(RECEIVERS)} can")
        for sender in senders:
            if _order(sender) >= _order(receiver):
                raise UserError(f"nothing goes from the {sender.words} to the {receiver.words}")
    places = [(receiver.component, receiver.layer) for receiver in receivers]
    direct = direct_effect(model, tokens, base, donor, senders, places)
    if not receivers:
        return direct.logits
    return after_receivers(model, tokens, base, direct, receivers)


@torch.no_grad()
def direct_effect(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    base: Run,
    donor: Run,
    senders: Sequence[Site],
    keep: Collection[tuple[Component, int]],
) -> Run:
    """Pass 1: senders from the donor, every other head and MLP as in the base."""
    for sender in senders:
        if sender.component not in SENDERS and sender != _embeddings(sender):
            raise UserError(
                f"the {sender.words} cannot send; {_names(SENDERS)} can, "
                "and the residual stream before layer 0, which is the embeddings"
            )
    still = [
        Patch(Site(component, layer), base)
        for layer in range(model.cfg.n_layers)
        for component in (Component.Z, Component.MLP_OUT)
    ]
    edits = edits_of(model, [*still, *(Patch(sender, donor) for sender in senders)])
    return forward(model, tokens, base.view, edits, keep=keep)


@torch.no_grad()
def after_receivers(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    base: Run,
    direct: Run,
    receivers: Sequence[Site],
) -> Float[Tensor, "batch row d_vocab_out"]:
    """Pass 2: the base, but the receivers as in pass 1. Many sets of them can follow one pass 1.

    A list none of whose heads' queries, keys and values have changed keeps the base's logits, bit
    for bit.
    """
    edits = edits_of(model, [Patch(receiver, direct) for receiver in receivers])
    logits = forward(model, tokens, base.view, edits, base=base).logits
    changed = torch.stack([_changed(base, direct, site) for site in receivers]).any(0)
    return torch.where(changed[:, None, None], logits, base.logits)


def _changed(base: Run, direct: Run, site: Site) -> Bool[Tensor, " batch"]:
    """The lists in which a receiver has another value than in the base, as far as that is known."""
    place = (site.component, site.layer)
    value, frame = direct.at(*place), direct.frame(*place)
    if place not in base.values:
        return torch.ones(len(value), dtype=torch.bool, device=value.device)
    return ((value != base.at(*place)) & site.mask(value, frame)).flatten(1).any(1)


def _embeddings(site: Site) -> Site:
    return Site(Component.RESID_PRE, 0, positions=site.positions)


def _order(site: Site) -> tuple[int, int]:
    return site.layer, _ORDER.index(site.component)


def _names(components: Sequence[Component]) -> str:
    return ", ".join(components)


@dataclass(frozen=True, eq=False)
class Where:
    """An intervention at some positions, which may differ from list to list."""

    intervention: Intervention
    chosen: Bool[Tensor, "batch pos"]
    """Over all positions of the sequence; of keys and values, those that are attended to."""

    @property
    def words(self) -> str:
        return f"{self.intervention.words} (in each list at positions of its own)"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        return [
            (site, self._limited(site, edit)) for site, edit in self.intervention.changes(model)
        ]

    def _limited(self, site: Site, edit: Edit) -> Edit:
        if site.component in ATTENTION:
            raise UserError(f"the {site.words} cannot be chosen list by list")
        axis = axis_of_positions(site.component)

        def limited(current: Tensor, here: Frame) -> Tensor:
            size = current.shape[axis]
            chosen = self.chosen[:, here.position : here.position + size]
            chosen = chosen.view(*chosen.shape, *[1] * (-axis - 1))
            return torch.where(chosen, edit(current, here), current)

        return limited
