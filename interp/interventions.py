"""Interventions as values: what to change, and where, in a forward pass.

    with intervene(model, [Mask(queries=range(98, 145), keys=range(49, 98))]):
        model(tokens)                       # also run_with_cache, greedy decoding, ...

    forward(model, tokens, view, edits_of(model, [Transplant(other, range(49, 97), layers=(1,))]))

The same list of values runs in two ways: on the hooked model, inside ``with intervene(...)``, and
through :func:`interp.passes.forward.forward`, which computes only what can change. They compose in
the order in which they are given. Whatever does not exist (a layer, a head, a position) is refused
before anything runs.

``intervene`` acts in the thread that entered it and in no other, and takes its hooks away again
whatever happens inside: threads may share a model. All that computes what a model does obeys it
there, as it obeys any other hook (see :mod:`interp.passes.untouched`), or refuses.

Vocabulary: *patching* puts in activations of another run (Vig et al. 2020; Meng et al. 2022);
*ablation* puts in zeros, the mean over a reference set, or the activation of a random other example
(*resample*; Chan et al. 2022); *attention knockout* masks edges (Geva et al. 2023); a *transplant*
exchanges keys and values, as in a spliced KV cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from interp.passes.forward import Edit, Edits, Run, axis_of_positions
from interp.passes.hooked import Change, acting
from interp.sites import ATTENTION, PER_HEAD, WHOLE, Component, Frame, Site, first_position, spans
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.transformer import Transformer

if TYPE_CHECKING:
    from interp.model import SortTransformer

Positions = tuple[int, ...] | range
LIST_BY_LIST = "list_by_list"
"""An intervention with this attribute true does to a list what follows from that list alone, so
that lists may run in any groups and order. Of the others it is found out from their edits."""


@runtime_checkable
class Intervention(Protocol):
    """What the classes below have in common."""

    @property
    def words(self) -> str:
        """For people: what is done, and where."""
        ...

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        """The edit of each site that it touches."""
        ...


@dataclass(frozen=True, eq=False)
class Set:
    """Put a given tensor in place of what the site holds."""

    site: Site
    value: Tensor
    """Axes as ``Component`` documents; those of size 1 (or missing in front) are broadcast."""
    frame: Frame = WHOLE
    """The positions that ``value`` holds; outside them nothing changes."""

    @property
    def words(self) -> str:
        return f"{self.site.words}: set"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        return [(self.site, self._edit)]

    def _edit(self, current: Tensor, here: Frame) -> Tensor:
        component = self.site.component
        chosen = self.site.mask(current, here)
        axis = axis_of_positions(component)
        value, covered = _aligned(self.value, axis, self.frame.position, here.position, current)
        chosen = chosen & covered
        if component in ATTENTION:
            value, covered = _aligned(value, -1, self.frame.key, here.key, current)
            chosen = chosen & covered
        if value.ndim == current.ndim and len(value) not in (1, len(current)):
            raise UserError(
                f"{self.site.words}: the values to put in are of {len(value)} lists, "
                f"the run has {len(current)}"
            )
        return torch.where(chosen, value, current)


def _aligned(value: Tensor, axis: int, have: int, want: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """``value`` over the positions of ``like`` on one axis, and where it has something to give."""
    size = like.shape[axis]
    shape = [1] * -axis
    shape[axis] = size
    if value.ndim < -axis or value.shape[axis] == 1:
        return value, torch.ones(shape, dtype=torch.bool, device=like.device)
    low, high = max(have, want), min(have + value.shape[axis], want + size)
    length = max(0, high - low)
    part = value.narrow(axis, low - have if length else 0, length)
    covered = torch.zeros(size, dtype=torch.bool, device=like.device)
    covered[low - want : low - want + length] = True
    if length < size:
        pad = [0] * (2 * -axis)
        pad[-2:] = [low - want, size - length - (low - want)] if length else [0, size]
        part = nn.functional.pad(part, pad)
    return part, covered.view(shape)


@dataclass(frozen=True, eq=False)
class Patch:
    """Activation patching: what the site held in another run, list by list."""

    site: Site
    run: Run

    @property
    def words(self) -> str:
        return f"{self.site.words}: from the other run"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        component, layer = self.site.component, self.site.layer
        _check_task(self.run, model)
        value, frame = self.run.at(component, layer), self.run.frame(component, layer)
        _check_covered(self.site, frame, value)
        return Set(self.site, value, frame).changes(model)


def _check_task(run: Run, model: Transformer) -> None:
    """Positions mean the same in both."""
    if run.view.task != model.task:
        raise UserError(
            f"the run to take values from is of {run.view.task}, and this model's is {model.task}"
        )


def _check_covered(site: Site, frame: Frame, value: Tensor) -> None:
    size = value.shape[axis_of_positions(site.component)]
    if missing := [
        p for p in site.positions or () if not frame.position <= p < frame.position + size
    ]:
        raise UserError(
            f"the run to take the {site.words} from did not compute position {missing[0]}; "
            f"it has {spans(range(frame.position, frame.position + size))}"
        )


@dataclass(frozen=True, eq=False)
class Zero:
    """Zero ablation."""

    site: Site

    @property
    def words(self) -> str:
        return f"{self.site.words}: zero"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        return Set(self.site, torch.zeros((), device=model.W_U.device)).changes(model)


@dataclass(frozen=True, eq=False)
class Mean:
    """Mean ablation: the mean over a reference run's lists, position by position."""

    site: Site
    reference: Run

    @property
    def words(self) -> str:
        return f"{self.site.words}: mean over other lists"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        _check_task(self.reference, model)
        component, layer = self.site.component, self.site.layer
        frame = self.reference.frame(component, layer)
        value = self.reference.at(component, layer).mean(0, keepdim=True)
        _check_covered(self.site, frame, value)
        return Set(self.site, value, frame).changes(model)


@dataclass(frozen=True, eq=False)
class Resample:
    """Resample ablation: the activation of a random list of a reference run.

    Every list draws one other list, and takes all positions of the site from it. The reference
    should hold lists of the lengths that are run, or padding will be put where digits are.
    """

    site: Site
    reference: Run
    seed: int = 0

    @property
    def words(self) -> str:
        return f"{self.site.words}: of a random other list"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        _check_task(self.reference, model)
        component, layer = self.site.component, self.site.layer
        source, frame = self.reference.at(component, layer), self.reference.frame(component, layer)
        _check_covered(self.site, frame, source)

        def edit(current: Tensor, here: Frame) -> Tensor:
            drawn = torch.randint(
                len(source), (len(current),), generator=stream("resample", self.seed)
            )
            chosen = Set(self.site, source[drawn.to(source.device)], frame)
            return chosen._edit(current, here)

        return [(self.site, edit)]


@dataclass(frozen=True)
class Mask:
    """Attention knockout: queries at some positions may not attend to keys at others.

    With ``renormalise`` the scores become -inf, and the softmax spreads the attention over what is
    left: it takes away the content *and* the place where attention rested. Without, the weights
    become zero and the others stay as they were: it takes away the content alone. A row with
    nothing left to attend to gathers nothing.
    """

    queries: Positions
    keys: Positions
    layers: tuple[int, ...] | None = None  # None: all
    heads: tuple[int, ...] | None = None
    renormalise: bool = True

    @property
    def words(self) -> str:
        where = "" if self.layers is None else f" in layer {spans(self.layers)}"
        where += "" if self.heads is None else f", head {spans(self.heads)}"
        how = "" if self.renormalise else ", the other weights left as they were"
        return f"{spans(self.queries)} may not attend to {spans(self.keys)}{where}{how}"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        component = Component.SCORES if self.renormalise else Component.PATTERN
        fill = torch.full((), -torch.inf if self.renormalise else 0.0, device=model.W_U.device)
        return [
            change
            for layer in _layers(model, self.layers)
            for change in Set(
                Site(component, layer, self.heads, self.queries, self.keys), fill
            ).changes(model)
        ]


@dataclass(frozen=True, eq=False)
class Freeze:
    """Attention patterns as they were in another run, whatever queries and keys say."""

    run: Run
    layers: tuple[int, ...] | None = None  # None: all
    heads: tuple[int, ...] | None = None

    @property
    def words(self) -> str:
        where = "" if self.layers is None else f" of layer {spans(self.layers)}"
        return f"attention patterns{where}: frozen"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        return [
            change
            for layer in _layers(model, self.layers)
            for change in Patch(Site(Component.PATTERN, layer, self.heads), self.run).changes(model)
        ]


@dataclass(frozen=True, eq=False)
class Transplant:
    """Keys and values at some positions as they were in another run, as in a spliced KV cache."""

    run: Run
    positions: Positions
    layers: tuple[int, ...] | None = None  # None: all
    heads: tuple[int, ...] | None = None
    keys: bool = True
    values: bool = True

    @property
    def words(self) -> str:
        names = [name for name, on in (("keys", self.keys), ("values", self.values)) if on]
        where = "" if self.layers is None else f" of layer {spans(self.layers)}"
        return f"{' and '.join(names)}{where} at {spans(self.positions)}: from the other run"

    def changes(self, model: Transformer) -> list[tuple[Site, Edit]]:
        parts = [c for c, on in ((Component.K, self.keys), (Component.V, self.values)) if on]
        return [
            change
            for layer in _layers(model, self.layers)
            for part in parts
            for change in Patch(Site(part, layer, self.heads, self.positions), self.run).changes(
                model
            )
        ]


def _layers(model: Transformer, layers: tuple[int, ...] | None) -> Sequence[int]:
    return range(model.cfg.n_layers) if layers is None else layers


def edits_of(model: Transformer, interventions: Sequence[Intervention]) -> Edits:
    """What :func:`interp.passes.forward.forward` takes.

    Raises:
        UserError: if a site is not in this model.
    """
    edits = Edits()
    sites = []
    for intervention in interventions:
        for site, edit in intervention.changes(model):
            site.check(model.config)
            sites.append(site)
            place = (site.component, site.layer)
            edits[place] = (*edits.get(place, ()), edit)
            edits.opens |= site.component in ATTENTION and not _closes(edit, site)
            edits.per_list |= not getattr(intervention, LIST_BY_LIST, False) and (
                _is_per_list(edit, site)
            )
    edits.since = min((site.first_position for site in sites), default=model.task.n_ctx)
    return edits


def _closes(edit: Edit, site: Site) -> bool:
    """Whether an edit of attention closes what it touches, and opens nothing."""
    closed = -torch.inf if site.component is Component.SCORES else 0.0
    value = _value_of(edit)
    return value is not None and bool((value == closed).all())


def _is_per_list(edit: Edit, site: Site) -> bool:
    axes = 3 if site.component not in (*PER_HEAD, *ATTENTION) else 4
    value = _value_of(edit)
    return value is None or (value.ndim == axes and len(value) > 1)


def _value_of(edit: Edit) -> Tensor | None:
    """What an edit puts in, where that is the same for all that it may meet."""
    owner = getattr(edit, "__self__", None)
    return owner.value if isinstance(owner, Set) else None


@contextmanager
def intervene(
    model: SortTransformer, interventions: Sequence[Intervention]
) -> Iterator[SortTransformer]:
    """Inside the block every forward pass of this thread on ``model`` is intervened on.

    Blocks may be nested; the outer ones act first. Positions are absolute, also with a KV cache.

    Raises:
        UserError: before anything runs, if a site is not in this model.
    """
    edits = edits_of(model, interventions)
    changes = {place: [_whole(edit) for edit in several] for place, several in edits.items()}
    with acting(model, changes):
        yield model


def _whole(edit: Edit) -> Change:
    # With a KV cache the axis of positions holds the new ones only, that of keys all.
    return lambda value: edit(value, Frame(first_position(), 0))
