"""The part of ``analyses.align_program`` that searches subspaces of the row's stream.

Pairs of both kinds, ``alike`` and ``any``, are taken together. Directions are found on one half of
the lists, every base with several sources, and judged on the other: with few pairs a search gets
all of those right that it sees and few others. Beside each subspace: random ones of its size, and
the same search in an untrained twin of the model and for a variable of another program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool

from analyses.align_program import AlignConfig
from interp.methods.interchange import Rows, record
from interp.methods.subspaces import exchanged_in, random_subspace, search_subspace
from interp.model import SortTransformer
from interp.passes.forward import Place
from interp.programs.pairing import GROUP, Pairs, Sources, pair_up
from interp.programs.program import Program
from interp.programs.prompts import Prompts, digits_said
from interp.sites import Component
from interp.stats import Estimate, wilson
from interp.support.progress import Progress
from interp.transformer import Transformer

KINDS: tuple[Sources, ...] = ("alike", "any")
FOUND, RANDOM, TWIN, FOREIGN = "found", "random", "untrained twin", "another program's variable"
_RANDOM_DRAWS = 5
_SOURCES = 6  # of each base that directions are found on


@dataclass(frozen=True)
class Subspace:
    """IIA on held-out pairs of one search, or of a control."""

    variable: str
    component: Component
    layer: int
    k: int
    what: str
    """``FOUND`` or the name of a control."""
    accuracy: Estimate


def search_all(
    model: Transformer,
    pool: Prompts,
    rows: Rows,
    usable: torch.Tensor,
    program: Program,
    foreign: tuple[Program, str],
    config: AlignConfig,
    seed: int,
    progress: Progress,
) -> list[Subspace]:
    """Every variable, stream and size, with the controls; nothing if no sizes are asked for."""
    if not config.directions:
        return []
    twin = SortTransformer(model.config, seed + 1, model.W_U.device).eval()
    twin_rows = record(twin, pool)
    places = [(*place, k) for place in _places(model.cfg.n_layers) for k in config.directions]
    found: list[Subspace] = []
    progress.begin((len(program.names) + 1) * len(places), "subspaces")
    for owner, name in (*((program, name) for name in program.names), foreign):
        pairs = halves(owner, name, pool, usable, config.pairs, seed)
        own = owner is program
        for component, layer, k in places if min(map(len, pairs)) > 1 else ():
            blank = Subspace(
                name if own else f"{owner.name}.{name}",
                component, layer, k, FOUND if own else FOREIGN, wilson(0, 1),
            )  # fmt: skip
            found.append(replace(blank, accuracy=searched(model, rows, pairs, blank, seed)))
            if own:
                twins = searched(twin, twin_rows, pairs, blank, seed)
                found.append(replace(blank, what=TWIN, accuracy=twins))
                at_random = drawn(model, rows, pairs[1], blank)
                found.append(replace(blank, what=RANDOM, accuracy=at_random))
            progress.step()
    return found


def _places(n_layers: int) -> list[tuple[Component, int]]:
    both = (Component.RESID_MID, Component.RESID_POST)
    return [(component, layer) for layer in range(n_layers) for component in both]


def halves(
    program: Program, name: str, pool: Prompts, usable: torch.Tensor, n: int, seed: int
) -> tuple[Pairs, Pairs]:
    """Pairs to find directions on and pairs to judge them on: no list is in both."""
    search = usable & _every_other_list(pool)
    draws = [
        pair_up(program, name, pool, n, seed + draw, kind, search)
        for draw in range(_SOURCES)
        for kind in KINDS
    ]
    held = [pair_up(program, name, pool, n, seed, kind, usable & ~search) for kind in KINDS]
    found = _joined(draws)
    return found.take(found.counterfactual >= 0), _joined(held)


def _every_other_list(pool: Prompts) -> Bool[torch.Tensor, " prompt"]:
    """Lists that are nearly equal come in one group: all are in one half."""
    group: dict[tuple[int, ...], int] = {}
    for n, values in enumerate(pool.lists):
        group.setdefault(values, n // GROUP)
    return torch.tensor([group[values] % 2 == 0 for values in pool.lists])


def _joined(parts: Sequence[Pairs]) -> Pairs:
    fields = ("base", "source", "answer", "counterfactual")
    return Pairs(*(torch.cat([getattr(pairs, field) for pairs in parts]) for field in fields))


def drawn(model: Transformer, rows: Rows, held: Pairs, blank: Subspace) -> Estimate:
    """The mean share that random directions get right."""
    hits = [
        _hits(model, rows, held, _place(blank), random_subspace(model.cfg.d_model, blank.k, s))
        for s in range(_RANDOM_DRAWS)
    ]
    return wilson(round(sum(hits) / len(hits)), len(held))


def _place(blank: Subspace) -> Place:
    return blank.component, blank.layer


def searched(
    model: Transformer, rows: Rows, pairs: tuple[Pairs, Pairs], blank: Subspace, seed: int
) -> Estimate:
    """Directions found on the first pairs; the share of the second that they get right."""
    train, held = pairs
    directions = search_subspace(
        model,
        rows.pick(train.base),
        rows.pick(train.source),
        train.counterfactual,
        _place(blank),
        blank.k,
        seed,
    )
    return wilson(_hits(model, rows, held, _place(blank), directions), len(held))


@torch.no_grad()
def _hits(
    model: Transformer, rows: Rows, held: Pairs, place: Place, directions: torch.Tensor
) -> int:
    base, source = rows.pick(held.base), rows.pick(held.source)
    logits = exchanged_in(model, base, source, place, directions.to(base.logits.device))
    return int((digits_said(logits).cpu() == held.counterfactual).sum())
