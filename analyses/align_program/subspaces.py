"""The part of ``analyses.align_program`` that searches subspaces of the row's stream.

Pairs of both kinds, ``alike`` and ``any``, are taken together; directions are found on one half and
judged on the other. Beside each subspace: random ones of its size, and the same search in an
untrained twin of the model and for a variable of another program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from interp.methods.interchange import Rows, record
from interp.methods.subspaces import exchanged_in, random_subspace, search_subspace
from interp.model import SortTransformer
from interp.programs.pairing import Pairs, pair_up
from interp.programs.prompts import Prompts, digits_said
from interp.sites import Component
from interp.stats import Estimate, wilson

if TYPE_CHECKING:
    from analyses.align_program import AlignConfig
    from interp.passes.forward import Place
    from interp.programs.program import Program
    from interp.support.progress import Progress
    from interp.transformer import Transformer

FOUND, RANDOM, TWIN, FOREIGN = "found", "random", "untrained twin", "another program's variable"
_RANDOM_DRAWS = 5


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
    twin = SortTransformer(model.config, seed=seed + 1).to(model.W_U.device).eval()
    twin_rows = record(twin, pool)
    places = _places(model.cfg.n_layers)
    found: list[Subspace] = []
    progress.begin(len(program.names) * len(places) * len(config.directions), "subspaces")
    for name in program.names:
        pairs = _pairs(program, name, pool, usable, config.pairs, seed)
        if len(pairs) < 4:
            continue
        for component, layer, k in ((c, n, k) for c, n in places for k in config.directions):
            blank = Subspace(name, component, layer, k, FOUND, wilson(0, 1))
            found += _with_controls(model, twin, rows, twin_rows, pairs, blank, seed)
            progress.step()
    owner, name = foreign
    pairs = _pairs(owner, name, pool, usable, config.pairs, seed)
    for component, layer, k in ((c, n, k) for c, n in places for k in config.directions):
        blank = Subspace(f"{owner.name}.{name}", component, layer, k, FOREIGN, wilson(0, 1))
        found.append(replace(blank, accuracy=_searched(model, rows, pairs, blank, seed)))
    return found


def _places(n_layers: int) -> list[tuple[Component, int]]:
    both = (Component.RESID_MID, Component.RESID_POST)
    return [(component, layer) for layer in range(n_layers) for component in both]


def _pairs(
    program: Program, name: str, pool: Prompts, usable: torch.Tensor, n: int, seed: int
) -> Pairs:
    """Both kinds together. Bases of even number are for the search, odd ones held out: what is
    found must hold for prompts that were not seen."""
    kinds = [pair_up(program, name, pool, n, seed, kind, usable) for kind in ("alike", "any")]
    joined = {
        field: torch.cat([getattr(pairs, field) for pairs in kinds])
        for field in ("base", "source", "answer", "counterfactual")
    }
    return Pairs(**joined)


def _with_controls(
    model: Transformer,
    twin: Transformer,
    rows: Rows,
    twin_rows: Rows,
    pairs: Pairs,
    blank: Subspace,
    seed: int,
) -> Iterator[Subspace]:
    yield replace(blank, accuracy=_searched(model, rows, pairs, blank, seed))
    yield replace(blank, what=TWIN, accuracy=_searched(twin, twin_rows, pairs, blank, seed))
    held = pairs.take(pairs.base % 2 == 1)
    hits = [
        _hits(model, rows, held, _place(blank), random_subspace(model.cfg.d_model, blank.k, s))
        for s in range(_RANDOM_DRAWS)
    ]
    mean = round(sum(hits) / len(hits))
    yield replace(blank, what=RANDOM, accuracy=wilson(mean, len(held)))


def _place(blank: Subspace) -> Place:
    return blank.component, blank.layer


def _searched(model: Transformer, rows: Rows, pairs: Pairs, blank: Subspace, seed: int) -> Estimate:
    """Directions found on one half of the bases; the share of the other half they get right."""
    sayable = pairs.counterfactual >= 0
    train, held = pairs.take(sayable & (pairs.base % 2 == 0)), pairs.take(pairs.base % 2 == 1)
    base, source = rows.pick(train.base), rows.pick(train.source)
    directions = search_subspace(
        model, base, source, train.counterfactual, _place(blank), blank.k, seed
    )
    return wilson(_hits(model, rows, held, _place(blank), directions), len(held))


@torch.no_grad()
def _hits(
    model: Transformer, rows: Rows, held: Pairs, place: Place, directions: torch.Tensor
) -> int:
    base, source = rows.pick(held.base), rows.pick(held.source)
    logits = exchanged_in(model, base, source, place, directions.to(base.logits.device))
    return int((digits_said(logits).cpu() == held.counterfactual).sum())
