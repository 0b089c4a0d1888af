"""Activation patching between two lists that differ in one digit: where does the answer come from?

    python -m analyses.patch_blanks
    python -m analyses.patch_blanks --model no-blanks
    python -m analyses.patch_blanks --list 3,1,4,1,5 --corrupt 3,1,4,1,9

The clean list 3 1 4 1 5 sorts to 1 1 3 4 5, the corrupted 3 1 4 1 9 to 1 1 3 4 9. Both are given
the outputs they share (1 1 3 4), so the two inputs differ in one digit of the list only, and the
model is asked for the first output in which the answers differ: here ``out 3`` emits 5 or 9. The
*logit difference* of those two digits says which answer the model gives. Then one place at a time
is exchanged between the two runs, in both directions:

- denoising, clean into corrupted: 1 means the place alone brings the clean answer back;
- noising, corrupted into clean: 1 means that without the clean values there the answer is lost.

Both are normalised by the difference between the runs, per pair of lists, then averaged; intervals
are bootstraps over pairs. What it does not show: a place with no effect by itself may still matter
together with others, and one that matters may only pass on what was computed before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Float, Int

from analyses.common import (
    CommonArgs,
    Stopwatch,
    open_model,
    progress_bar,
    result_folder,
    save_result,
)
from interp import figures
from interp.cli import run_command
from interp.errors import UserError
from interp.lazy import lazy_import
from interp.sites import Component, Site, all_sites
from interp.task import Region, SortTask

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import torch

    from interp.model import SortTransformer
    from interp.packed import Window
    from interp.pairs import Pairs
    from interp.stats import Estimate
else:
    go = lazy_import("plotly.graph_objects")
    torch = lazy_import("torch")

DIRECTIONS = ("denoising", "noising")
PLACES = (
    "changed digit",
    "other digits",
    "SEP",
    "blanks",
    "last blank",
    "earlier outputs",
    "answer row",
)
"""Positions patched together. ``blanks`` are all but the last, which emits the first output and so
is kept apart; ``answer row`` is the position whose logits are read."""


@dataclass(frozen=True)
class PatchConfig:
    """How many pairs of lists, and which."""

    pairs: int = 48  # enough for intervals of a few percent
    length: int = 12  # digits per list: one for all, so that positions mean the same in every pair

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise UserError(f"--pairs must be at least 1, not {self.pairs}")


@dataclass(frozen=True)
class PatchResult:
    """Effects per example: 1 is the whole difference between the two runs, 0 none of it."""

    pairs: Pairs
    sites: list[Site]
    positions: list[int]
    """Absolute positions of ``by_position``."""
    by_position: Float[torch.Tensor, "direction pair site position"]
    by_place: Float[torch.Tensor, "direction pair site place"]
    """NaN where a pair has no such place."""
    difference: Float[torch.Tensor, "pair 2"]
    """Logit of the clean answer minus the corrupted one's, in the clean and the corrupted run."""
    seed: int

    @property
    def understood(self) -> Bool[torch.Tensor, " pair"]:
        """Pairs of which the model gets both answers right; only these are averaged."""
        return (self.difference[:, 0] > 0) & (self.difference[:, 1] < 0)

    def place_estimate(self, direction: int, site: int, place: int) -> Estimate | None:
        """Mean effect over understood pairs that have the place, with its interval."""
        return self._place_estimates[direction][site][place]

    @cached_property
    def _place_estimates(self) -> list[list[list[Estimate | None]]]:
        from interp.stats import bootstrap_mean

        def estimate(values: torch.Tensor) -> Estimate | None:
            values = values[~values.isnan()]
            return bootstrap_mean(values, self.seed) if len(values) else None

        return [
            [[estimate(place) for place in site.T] for site in sites.unbind(1)]
            for sites in self.by_place[:, self.understood]
        ]


def compute(
    model: SortTransformer,
    pairs: Pairs,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> PatchResult:
    """Patch every site at every position, and every site at every place, in both directions.

    Args:
        seed: of the bootstrap intervals of the result.
        progress: called with the number of patched runs done since the last call.
    """
    from interp.packed import Window
    from interp.patching import logits_at, patched_logits, record

    task, device = model.task, model.cfg.device
    view = Window(task, pairs.length, task.first_output_row)
    runs = {
        "clean": record(model, pairs.clean.to(device), view),
        "corrupt": record(model, pairs.corrupt.to(device), view),
    }
    rows = (pairs.rows - view.start).to(device)
    single, joint = _single_positions(pairs, view), _joint_places(pairs, view)
    masks = torch.cat([single, joint], 1).to(device)
    answers = pairs.answers.to(device)
    clean, corrupt = (_difference(logits_at(model, run, rows), answers) for run in runs.values())
    gap = (clean - corrupt)[:, None]
    sites = all_sites(model.cfg.n_layers)

    def effect(site: Site, base: str, donor: str, start: torch.Tensor) -> torch.Tensor:
        logits = patched_logits(model, site, runs[base], runs[donor], masks, rows, progress)
        moved = _difference(logits, answers) - start[:, None]
        return (moved if donor == "clean" else -moved) / gap  # [pair, place]

    effects = [
        torch.stack([effect(site, *direction) for site in sites], 1)
        for direction in (("corrupt", "clean", corrupt), ("clean", "corrupt", clean))
    ]
    both = torch.stack(effects).cpu()
    by_place = both[..., single.shape[1] :]
    absent = ~joint.any(-1)[None, :, None, :].expand_as(by_place)
    return PatchResult(
        pairs,
        sites,
        list(range(view.start, view.stop)),
        both[..., : single.shape[1]],
        by_place.masked_fill(absent, torch.nan),
        torch.stack([clean, corrupt], 1).cpu(),
        seed,
    )


def _difference(
    logits: Float[torch.Tensor, "pair ... d_vocab_out"], answers: Int[torch.Tensor, "pair 2"]
) -> Float[torch.Tensor, "pair ..."]:
    """The logit of the clean answer minus that of the corrupted one."""
    index = answers.view(-1, *[1] * (logits.ndim - 2), 2).expand(*logits.shape[:-1], 2)
    picked = logits.gather(-1, index)
    return picked[..., 0] - picked[..., 1]


def n_patches(pairs: Pairs, model: SortTransformer) -> int:
    """How many patched runs :func:`compute` reports to its ``progress``."""
    width = pairs.task.n_blanks + 2 * pairs.length  # the window of the lists
    sites = len(all_sites(model.cfg.n_layers))
    return len(DIRECTIONS) * len(pairs) * sites * (width + len(PLACES))


def _single_positions(pairs: Pairs, view: Window) -> Bool[torch.Tensor, "pair place here"]:
    size = view.stop - view.start
    return torch.eye(size, dtype=torch.bool).expand(len(pairs), size, size)


def _joint_places(pairs: Pairs, view: Window) -> Bool[torch.Tensor, "pair place here"]:
    """The positions of each of ``PLACES``; an answer row is that and nothing else."""
    task, positions = pairs.task, torch.arange(view.start, view.stop)

    def within(region: Region) -> Bool[torch.Tensor, "1 here"]:
        span = task.region(region, pairs.length)
        return ((positions >= span.start) & (positions < span.stop))[None]

    answer = positions == pairs.rows[:, None]
    changed = (pairs.clean != pairs.corrupt)[:, view.start : view.stop]
    before = (positions < pairs.rows[:, None]) & ~answer
    places = {
        "changed digit": changed & within(Region.DIGITS),
        "other digits": ~changed & within(Region.DIGITS),
        "SEP": within(Region.SEP) & before,
        "blanks": within(Region.BLANKS) & before,
        "last blank": within(Region.LAST_BLANK) & before,
        "earlier outputs": within(Region.OUTPUTS) & before,
        "answer row": answer,
    }
    return torch.stack([places[name] for name in PLACES], 1)


# -- words, JSON and figure ---------------------------------------------------------------------


def summary(result: PatchResult) -> list[str]:
    """The finding, in a few lines."""
    kept, n = int(result.understood.sum()), len(result.pairs)
    lines = [
        f"{n} pairs of lists of {result.pairs.length} digits that differ in one; "
        f"the model gets both answers of {kept} right, which are averaged."
    ]
    if not kept:
        return [*lines, "With none right there is no effect to share out."]
    for direction, name in enumerate(DIRECTIONS):
        lines.append(f"{name.capitalize()}, share of the effect that each place carries by itself:")
        for number, site in enumerate(result.sites):
            found = []
            for place, words in enumerate(PLACES):
                estimate = result.place_estimate(direction, number, place)
                if estimate and abs(estimate.value) >= 0.005:
                    found.append((estimate.value, f"{words} {estimate.percent(0)}"))
            ranked = ", ".join(text for _, text in sorted(found, reverse=True)) or "nothing"
            lines.append(f"  {site.words}: {ranked}")
    return [*lines, _finding(result)]


def _finding(result: PatchResult) -> str:
    """What the blanks carry into the last layer, against the digits: the question of the page."""
    last = result.sites.index(Site(Component.RESID_PRE, result.sites[-1].layer))

    def carried(direction: int, place: str) -> str:
        estimate = result.place_estimate(direction, last, PLACES.index(place))
        return "nothing" if estimate is None else estimate.percent(0)

    if not result.pairs.task.region(Region.BLANKS):
        return (
            "No blanks here. Before the last layer the changed digit's own position still carries "
            f"{carried(0, 'changed digit')} of the effect."
        )
    return (
        "Before the last layer, the blanks (all but the last, together) bring back "
        f"{carried(0, 'blanks')} of the clean answer, and corrupting them loses "
        f"{carried(1, 'blanks')}."
    )


def to_json(result: PatchResult, hash_: str) -> dict[str, Any]:
    """The result as data: estimates by place, and the mean of every position."""
    task = result.pairs.task
    kept = result.understood
    labels = task.labels(result.pairs.length)
    estimates = [
        {
            "direction": direction,
            "site": site.hook_name,
            "place": place,
            **({} if estimate is None else estimate.to_dict()),
        }
        for d, direction in enumerate(DIRECTIONS)
        for s, site in enumerate(result.sites)
        for p, place in enumerate(PLACES)
        if (estimate := result.place_estimate(d, s, p)) is not None
    ]
    means = result.by_position[:, kept].mean(1) if kept.any() else None
    return {
        "model_hash": hash_,
        "seed": result.seed,
        "pairs": len(result.pairs),
        "pairs_understood": int(kept.sum()),
        "length": result.pairs.length,
        "lists": [
            {"clean": list(task.decode_list(a)), "corrupt": list(task.decode_list(b))}
            for a, b in zip(result.pairs.clean, result.pairs.corrupt, strict=True)
        ],
        "by_place": estimates,
        "by_position": {
            "positions": result.positions,
            "labels": [labels[p] for p in result.positions],
            "sites": [site.hook_name for site in result.sites],
            **{
                direction: None if means is None else means[d].tolist()
                for d, direction in enumerate(DIRECTIONS)
            },
        },
        "finding": summary(result),
    }


def figure(result: PatchResult) -> go.Figure:
    """Effects by position in each direction, then by place with their intervals."""
    subplots = lazy_import("plotly.subplots")
    kept = int(result.understood.sum())
    if not kept:
        return figures.style(go.Figure(), "The model gets none of these pairs right: no effect")
    fig = subplots.make_subplots(
        rows=3,
        cols=2,
        specs=[[{"colspan": 2}, None], [{"colspan": 2}, None], [{}, {}]],
        row_heights=[0.3, 0.3, 0.4],
        vertical_spacing=0.13,
        horizontal_spacing=0.16,
        subplot_titles=[
            "Denoising: one clean position into the corrupted run",
            "Noising: one corrupted position into the clean run",
            "Denoising: places as a whole",
            "Noising: places as a whole",
        ],
    )
    for direction in range(2):
        _draw_positions(fig, result, direction)
        _draw_places(fig, result, direction)
    of = f"{kept} pairs of lists, mean" if kept > 1 else "one pair of lists"
    title = (
        f"Share of the answer's change that a patch carries · {of}, {result.pairs.length} digits"
    )
    return figures.style(fig, title, height=1050).update_layout(margin={"l": 150, "t": 90})


def _site_labels(result: PatchResult) -> list[str]:
    return [f"{site.component.value} {site.layer}" for site in result.sites]


def _draw_positions(fig: go.Figure, result: PatchResult, direction: int) -> None:
    labels = result.pairs.task.labels(result.pairs.length)
    shown = [labels[p] for p in result.positions]
    means = result.by_position[:, result.understood].mean(1)
    # One position of many carries little on average: the scale is that of the largest mean.
    cells = figures.heatmap(
        means[direction].tolist(),
        shown,
        _site_labels(result),
        name="effect",
        signed=True,
        limit=max(0.05, float(means.abs().max())),
    )
    cells.showscale = direction == 0
    cells.colorbar.update(len=0.55, y=0.75)
    fig.add_trace(cells, row=direction + 1, col=1)
    fig.update_xaxes(tickangle=-90, **figures.label_axis(shown), row=direction + 1, col=1)
    _label_sites(fig, result, direction + 1, 1)
    for region in (Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS):
        span = result.pairs.task.region(region, result.pairs.length)
        if span:
            edge = span.start - result.positions[0] - 0.5
            fig.add_vline(edge, line_width=1, line_color=figures.GREY, row=direction + 1, col=1)


def _draw_places(fig: go.Figure, result: PatchResult, direction: int) -> None:
    present = [
        place
        for place in range(len(PLACES))
        if result.place_estimate(direction, 0, place) is not None
    ]
    table = [
        [e for place in present if (e := result.place_estimate(direction, site, place))]
        for site in range(len(result.sites))
    ]
    names = [PLACES[place] for place in present]
    cells = figures.heatmap(
        [[e.value for e in row] for row in table],
        names,
        _site_labels(result),
        name="effect",
        signed=True,
    )
    cells.showscale = False
    cells.text = [[e.percent(0).replace(" [", "<br>[") for e in row] for row in table]
    cells.texttemplate = "%{text}"
    cells.textfont = {"size": 10}
    fig.add_trace(cells, row=3, col=direction + 1)
    fig.update_xaxes(tickangle=-35, **figures.label_axis(names), row=3, col=direction + 1)
    _label_sites(fig, result, 3, direction + 1)


def _label_sites(fig: go.Figure, result: PatchResult, row: int, col: int) -> None:
    labels = figures.label_axis(_site_labels(result))
    fig.update_yaxes(autorange="reversed", showgrid=False, **labels, row=row, col=col)


# -- command line -------------------------------------------------------------------------------

PROG = "python -m analyses.patch_blanks"


@dataclass(frozen=True)
class PatchArgs(CommonArgs):
    """Activation patching between pairs of lists that differ in one digit."""

    config: PatchConfig = PatchConfig()
    list: str | None = None  # a clean list of your own, like 3,1,4,1,5 (with --corrupt)
    corrupt: str | None = None  # the corrupted list, of the same length


def main(argv: Sequence[str] | None = None) -> None:
    run_command(PatchArgs, patch_command, PROG, argv)


def patch_command(args: PatchArgs) -> None:
    if (args.list is None) != (args.corrupt is None):
        raise UserError("--list and --corrupt go together: a pair of lists of the same length")
    watch, loaded = Stopwatch(), open_model(args)
    pairs = _pairs_of(args, loaded.model.task)
    with progress_bar(n_patches(pairs, loaded.model), "patching") as progress:
        result = compute(loaded.model, pairs, args.seed, progress)
    data = to_json(result, loaded.hash)
    own = [args.list, "to", args.corrupt] if args.list and args.corrupt else []
    folder = result_folder(args.out, "patch_blanks", loaded, *own)
    save_result(folder, figure(result), data, loaded, watch.seconds())
    print(json.dumps(data) if args.json else "\n".join(data["finding"]))


def _pairs_of(args: PatchArgs, task: SortTask) -> Pairs:
    from interp.pairs import make_pairs, sample_pairs

    if args.list is not None and args.corrupt is not None:
        return make_pairs(task, [task.parse(args.list)], [task.parse(args.corrupt)])
    return sample_pairs(task, args.config.pairs, args.config.length, args.seed)


if __name__ == "__main__":
    main()
