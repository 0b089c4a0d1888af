"""Activation patching between one list and another, a map: what does each place carry by itself?

    python -m analyses.one_list.patch --list 3,1,4,1,5 --corrupt 3,1,4,1,9
    python -m analyses.one_list.patch --rows v --direction noising --method gradient

The clean list 3 1 4 1 5 sorts to 1 1 3 4 5, the corrupted 3 1 4 1 9 to 1 1 3 4 9: they part at
``out 4``. Both are given the outputs they share, and one place at a time (a row of the map) is
exchanged at one position (a column):

- denoising puts the clean value into the corrupted run: 1 means it alone brings the answer back;
- noising puts the corrupted value into the clean run: 1 means that without it the answer is lost.

A cell is the change of the logit difference (clean answer minus corrupted one) as a share of that
between the two runs. Positions after the one that is read are left out: nothing there is seen.
``--method exact`` patches every cell in turn; the others guess all of them from gradients
(attribution patching, see :mod:`interp.methods.attribution_patching`), at once and with errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from jaxtyping import Bool, Float

from analyses.common import progress_bar
from analyses.one_list.command import OneListArgs, Seen, run_one_list
from interp.sites import Component, Site, all_sites
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.support.progress import SILENT, Progress
from interp.task import N_DIGITS, TOKEN_LABELS, Region

if TYPE_CHECKING:
    import torch

    from interp.answers.pairs import Pairs
    from interp.answers.treatment import Treatment
    from interp.config import ModelConfig
    from interp.methods.attribution_patching import PairRuns
    from interp.model import SortTransformer
else:
    torch = lazy_import("torch")

Direction = Literal["denoising", "noising"]
"""As in :mod:`interp.methods.attribution_patching`, which imports torch."""
Rows = Literal["stream", "z", "q", "k", "v"]
"""What the rows of a map are: the residual stream and what is added to it; or the outputs,
queries, keys or values of the heads, together and one by one."""
ROWS: tuple[Rows, ...] = get_args(Rows)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
Method = Literal["exact", "gradient", "integrated", "integrated inputs"]

_SHORT = {
    Component.RESID_PRE: "stream",
    Component.ATTN_OUT: "attention",
    Component.MLP_OUT: "MLP",
    Component.Z: "output",
    Component.Q: "queries",
    Component.K: "keys",
    Component.V: "values",
}
FAINTEST = 0.05  # the colours reach to the largest share, but never blow up mere noise


@dataclass(frozen=True)
class PatchMap:
    """What each place carries between two lists, in one direction."""

    pairs: Pairs
    """One pair."""
    direction: Direction
    method: Method
    sites: tuple[Site, ...]
    """Rows; their positions are the columns."""
    positions: range
    """Absolute, from the list's first digit to the position that is read."""
    effects: Float[torch.Tensor, "site position"]
    """Change of the logit difference, in logits."""
    possible: Bool[torch.Tensor, "site position"]
    """Where a patch alters anything that can be seen; all others are exactly 0."""
    difference: tuple[float, float]
    """Logit of the clean answer minus that of the corrupted one: in the clean run, and in the
    corrupted."""

    @property
    def understood(self) -> bool:
        """Whether the model prefers the right answer of the two in both runs; else there is no
        effect to share."""
        return self.difference[0] > 0 > self.difference[1]

    @property
    def shares(self) -> Float[torch.Tensor, "site position"]:
        """Effects as a share of the difference between the runs."""
        gap = self.difference[0] - self.difference[1]
        return self.effects / (gap if self.direction == "denoising" else -gap) + 0.0  # never -0

    @property
    def limit(self) -> float:
        """Where the colours end, on either side of zero."""
        return max(FAINTEST, float(self.shares.abs().max()))

    @property
    def labels(self) -> list[str]:
        """Of the columns: ``in 3``, ``SEP``, ``blank 4``, ``out 0``."""
        names = self.pairs.task.labels(self.pairs.length)
        return [names[position] for position in self.positions]

    @property
    def holds(self) -> list[str]:
        """What stands at each column, of both lists where that differs: ``in 3: 1``, ``SEP``."""
        named = (Region.DIGITS, Region.OUTPUTS)
        task, length = self.pairs.task, self.pairs.length
        tokens = [side[0].tolist() for side in (self.pairs.clean, self.pairs.corrupt)]

        def value(position: int) -> str:
            if task.region_of(position, length) not in named:
                return ""
            ours, theirs = (TOKEN_LABELS[side[position]] for side in tokens)
            return f": {ours}" if ours == theirs else f": {ours}, corrupted {theirs}"

        return [name + value(p) for name, p in zip(self.labels, self.positions, strict=True)]

    @property
    def names(self) -> list[str]:
        """Of the rows."""
        return [short_name(site) for site in self.sites]

    @property
    def edges(self) -> list[int]:
        """Columns at which a new region begins."""
        later = (Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)
        spans = (self.pairs.task.region(region, self.pairs.length) for region in later)
        return [s.start - self.positions[0] for s in spans if s and s.start in self.positions]


def short_name(site: Site) -> str:
    """For the rows of a map: ``stream 0``, ``values 1 (all heads)``, ``values 1.2``."""
    name = f"{_SHORT[site.component]} {site.layer}"
    if site.heads is not None:
        return f"{name}.{site.heads[0]}"
    return name if site.component in all_components("stream") else f"{name} (all heads)"


def all_components(rows: Rows) -> tuple[Component, ...]:
    """The components that are the rows of a map."""
    if rows == "stream":
        return (Component.RESID_PRE, Component.ATTN_OUT, Component.MLP_OUT)
    return (Component(rows),)


def rows_of(component: Component) -> Rows:
    """The map that a component is in."""
    return next(rows for rows in ROWS if component in all_components(rows))


def map_sites(config: ModelConfig, rows: Rows) -> tuple[Site, ...]:
    """The rows of a map, in the order in which a forward pass reaches them."""
    if rows == "stream":
        return tuple(all_sites(config.n_layers))
    heads = [None, *((head,) for head in range(config.n_heads))]
    return tuple(
        Site(Component(rows), layer, head) for layer in range(config.n_layers) for head in heads
    )


def one_digit_changed(digits: tuple[int, ...]) -> tuple[int, ...]:
    """The list with another last digit: a pair to compare it with."""
    return (*digits[:-1], (digits[-1] + N_DIGITS // 2) % N_DIGITS)


# -- numbers ------------------------------------------------------------------------------------


def both_runs(
    model: SortTransformer,
    clean: tuple[int, ...],
    corrupt: tuple[int, ...],
    direction: Direction = "denoising",
) -> PairRuns:
    """The two runs, given the outputs that their answers share.

    Raises:
        UserError: if the two lists cannot be compared.
    """
    from interp.answers.pairs import make_pairs
    from interp.methods.attribution_patching import pair_runs

    return pair_runs(model, make_pairs(model.task, [clean], [corrupt]), direction)


def compute(
    runs: PairRuns, rows: Rows, method: Method = "exact", progress: Progress = SILENT
) -> PatchMap:
    """The whole map.

    Args:
        runs: of :func:`both_runs`.
        progress: a step is one patched run.
    """
    from interp.methods.attribution_patching import (
        attributed_effects,
        exact_effects,
        possible_effects,
    )

    sites, view = map_sites(runs.model.config, rows), runs.view
    positions = range(view.start, int(runs.pairs.rows[0]) + 1)
    if method == "exact":
        progress.begin(len(sites) * (view.stop - view.start), "patching")
        effects = exact_effects(runs, sites, progress)
    else:
        effects = attributed_effects(runs, sites, method)
    seen = slice(len(positions))
    ends = [float(runs.metric(run)[0]) for run in (runs.base, runs.donor)]
    corrupted, clean = ends if runs.direction == "denoising" else ends[::-1]
    return PatchMap(
        runs.pairs,
        runs.direction,
        method,
        sites,
        positions,
        effects[0, :, seen].cpu(),
        possible_effects(runs, sites)[0, :, seen].cpu(),
        (clean, corrupted),
    )


def one_patch(runs: PairRuns, site: Site, position: int) -> float:
    """The logit difference under one patch, in logits."""
    from interp.methods.patching import patched_logits

    size = runs.view.stop - runs.view.start
    place = torch.arange(size, device=runs.rows.device) == position - runs.view.start
    logits = patched_logits(
        runs.model, replace(site, positions=None), runs.base, runs.donor, place[None, None],
        runs.rows,
    )  # fmt: skip
    return float(runs.difference(logits)[0, 0])


# -- command line -------------------------------------------------------------------------------


@dataclass(frozen=True)
class PatchArgs(OneListArgs):
    """Activation patching between one list and another, every place at every position."""

    corrupt: str = ""  # the list to exchange with, of the same length (the last digit changed)
    direction: Direction = "denoising"  # clean into corrupted, or the other way round
    rows: Rows = "stream"  # stream, or the heads' outputs z, queries q, keys k or values v
    method: Method = "exact"  # patch every cell, or guess them by gradients


def look(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, args: PatchArgs
) -> Seen:
    """The map that the flags ask for.

    Raises:
        UserError: if the lists cannot be compared, or something else is done to the model.
    """
    if treatment:
        raise UserError("patching is what is done here, to the model as it is; leave out --do")
    corrupt = model.task.parse(args.corrupt) if args.corrupt else one_digit_changed(digits)
    from analyses.one_list.patch.figure import figure, summary, table

    runs = both_runs(model, digits, corrupt, args.direction)
    with progress_bar() as progress:
        found = compute(runs, args.rows, args.method, progress)
    return Seen(figure(found), table(found), summary(found))


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    run_one_list(look, PatchArgs, "one_list_patch", argv)


if __name__ == "__main__":
    main()
