"""Ways to take something away from positions, and what to compare the damage with.

Five kinds, which differ in what goes: what the positions *hold*, or also the attention that
*rests* on them. Only the first kind takes away the second as well, and only comparing them tells a
position that is read from one that is merely leaned on.

All act on what output rows can read from the positions: their keys and values, or the attention
paid to them. The positions' own streams go on as they were, so the last blank, which is also the
first output row, can be ablated as a blank without silencing it as an output.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from interp.answers.kinds import Kind
from interp.answers.trials import Chunk
from interp.interventions import Intervention, Mask, Mean, Positions, Transplant, Zero
from interp.sites import Component, Site
from interp.support.seeds import stream
from interp.task import Region, SortTask


def ablate(kind: Kind, chunk: Chunk, positions: Positions) -> Sequence[Intervention]:
    """The interventions that ablate ``positions`` for the output rows of a chunk.

    In layer 0 keys and values are functions of token and position alone; at a blank they are the
    same for every list, so that means and resamples act from layer 1 on.
    """
    n_layers = chunk.model.cfg.n_layers
    later = tuple(range(1, n_layers))
    if kind.way.masks:
        return [Mask(chunk.rows, positions, renormalise=kind is Kind.MASK)]
    if kind is Kind.RESAMPLE:
        return [Transplant(chunk.own_donor(), positions, layers=later)]
    sites = [
        Site(component, layer, positions=positions)
        for layer in (range(n_layers) if kind is Kind.ZERO else later)
        for component in (Component.K, Component.V)
    ]
    if kind is Kind.ZERO:
        return [Zero(site) for site in sites]
    return [Mean(site, chunk.reference) for site in sites]


def published_mask(task: SortTask, last_blank_too: bool = False) -> list[Mask]:
    """Outputs after the first may not attend to any blank: the published ``--mask-blanks``.

    The first sorted digit is emitted by the last blank itself, whose row the published test
    leaves alone. ``last_blank_too`` closes it to every blank but itself.

    It takes away what the blanks hold *and* the attention they draw (the softmax spreads it over
    what is left), so a drop alone does not show that their content is used.
    """
    if not task.n_blanks:
        return []
    first = task.first_output_row
    blanks = range(task.sep_pos + 1, first + 1)
    masks = [Mask(range(first + 1, task.n_ctx), blanks)]
    return [*masks, Mask((first,), blanks[:-1])] if last_blank_too else masks


def control_positions(task: SortTask, length: int, wanted: int, seed: int) -> tuple[int, ...]:
    """As many random positions that are no blanks: digits of the list, and outputs given back.

    Fewer, if a list of that length has fewer.
    """
    others = [*task.region(Region.DIGITS, length), *task.region(Region.OUTPUTS, length)]
    order = torch.randperm(len(others), generator=stream("control", seed, length)).tolist()
    return tuple(sorted(others[i] for i in order[:wanted]))


def nested_subsets(
    positions: Sequence[int], sizes: Sequence[int], seed: int
) -> list[tuple[int, ...]]:
    """Random subsets of growing size, each containing the one before."""
    order = torch.randperm(len(positions), generator=stream("subsets", seed)).tolist()
    return [tuple(sorted(positions[i] for i in order[:size])) for size in sizes]


def doses(most: int) -> list[int]:
    """1, 2, 4, 8, ... and ``most`` itself."""
    powers = [2**k for k in range(most.bit_length()) if 2**k < most]
    return [*powers, most]
