"""Path patching of minimal pairs: how much of the answer passes through the blanks?

    python -m analyses.path_blanks
    python -m analyses.path_blanks --model compiled:slots       # 100 %
    python -m analyses.path_blanks --model compiled:direct      # 0 %

Two lists differ in one digit (see ``analyses.minimal_pairs``). In a model of two layers the change
can reach the row that emits the answer along these routes only, and each is patched by itself:

    digits -> blanks -> answer row        layer 1 reads keys and values of the blanks
    digits -> last blank -> answer row    the same of the blank that emits the first output
    digits -> answer row                  layer 1 reads keys and values of the digits themselves,
                                          of SEP, or of the outputs before
    digits -> the row itself              the answer row reads the digits in layer 0

*Mediated* by the blanks is the share of the total effect that the first two carry together
(denoising: they alone bring the clean answer back; noising: without them it is lost), as a natural
indirect effect (Pearl 2001; Vig et al. 2020). Two more routes cannot carry anything, and are
patched to see that they carry exactly nothing: what the last layer writes at the blanks, and the
blanks' embeddings, keys and values in layer 0, for BLANK is the same token in both lists.

A table takes the blanks' route apart (path patching: see ``interp.methods.paths``): which heads and
MLPs write what the blanks hold, and which heads read it.

With more than two layers, a route is the keys and values of its place in all layers but the first,
for whoever reads them, so that routes overlap.

What it does not show: shares need not add up to 100 %, for the routes meet in one softmax and one
MLP; and changing one digit tests only what the blanks say of that digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Bool, Float

from analyses.common import Analysis, CommonArgs, run_analysis
from analyses.minimal_pairs import (
    DIRECTIONS,
    PLACES,
    PairConfig,
    Swap,
    choose_pairs,
    place_masks,
    understood,
)
from analyses.path_blanks import words as path_words
from analyses.path_blanks.sites import impossible_sites, readers_of, writers_of
from analyses.path_blanks.words import IMPOSSIBLE, ROUTES
from interp.sites import Component, Site
from interp.support.lazy import lazy_import
from interp.support.progress import SILENT, Progress

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import torch

    from interp.answers.pairs import Pairs
    from interp.interventions import Intervention
    from interp.model import SortTransformer
    from interp.stats import Estimate
else:
    torch = lazy_import("torch")


@dataclass(frozen=True)
class PathConfig(PairConfig):
    """How many pairs of lists, and which."""


@dataclass(frozen=True)
class PathResult:
    """Effects per pair: 1 is the whole difference between the two runs, 0 none of it."""

    pairs: Pairs
    n_layers: int
    by_route: Float[torch.Tensor, "direction pair route"]
    """Of ``ROUTES``; NaN where a pair has no such place."""
    impossible: Float[torch.Tensor, "direction pair impossible"]
    """Of ``IMPOSSIBLE``."""
    altered: tuple[float, ...]
    """The largest difference between the runs that each impossible route was given to carry."""
    writers: list[str]
    readers: list[str]
    by_path: Float[torch.Tensor, "direction pair writer reader"]
    """Through the blanks but the last; NaN where a writer comes after a reader."""
    difference: Float[torch.Tensor, "pair 2"]
    """Logit of the clean answer minus the corrupted one's, in the clean and the corrupted run."""
    seed: int

    @property
    def understood(self) -> Bool[torch.Tensor, " pair"]:
        """Pairs of which the model gets both answers right; only these are averaged."""
        return understood(self.difference)

    def route(self, direction: int, name: str) -> Estimate | None:
        """Mean effect over understood pairs that have the route, with its interval."""
        return self._mean(self.by_route[direction, :, list(ROUTES).index(name)])

    def path(self, direction: int, writer: int, reader: int) -> Estimate | None:
        """The same of one path through the blanks."""
        return self._mean(self.by_path[direction, :, writer, reader])

    def _mean(self, effects: Float[torch.Tensor, " pair"]) -> Estimate | None:
        from interp.stats import bootstrap_mean

        values = effects[self.understood]
        values = values[~values.isnan()]
        return bootstrap_mean(values, self.seed) if len(values) else None

    @property
    def impossible_is_zero(self) -> bool:
        """Whether what cannot carry anything changed no logit difference by a single bit."""
        return bool((self.impossible == 0).all())


def compute(
    model: SortTransformer,
    config: PathConfig = PathConfig(),
    seed: int = 0,
    progress: Progress = SILENT,
) -> PathResult:
    """Patch every route of random pairs, or of the pair that ``config`` asks for, both ways."""
    from interp.methods.paths import record_run
    from interp.passes.packed import Window

    pairs = choose_pairs(model.task, config, seed)

    def swap(first_row: int) -> Swap:
        view = Window(model.task, pairs.length, first_row)
        return Swap.of(model, pairs, lambda tokens: record_run(model, tokens, view))

    # In the last layer only rows that emit digits are run, but to see that the others do nothing.
    answers, whole = swap(model.task.first_output_row), swap(model.task.max_len - pairs.length)
    writers, readers = writers_of(model), readers_of(model)
    steps = len(ROUTES) + len(IMPOSSIBLE) + len(writers) * (1 + len(readers))
    progress.begin(len(DIRECTIONS) * steps, "path patching")
    both = range(len(DIRECTIONS))
    return PathResult(
        pairs,
        model.cfg.n_layers,
        torch.stack([_routes(answers, d, progress) for d in both]).cpu(),
        torch.stack([_impossible(whole, d, progress) for d in both]).cpu(),
        tuple(_altered(whole, sites) for sites in impossible_sites(model).values()),
        list(writers),
        list(readers),
        torch.stack([_paths(answers, d, writers, readers, progress) for d in both]).cpu(),
        answers.differences.cpu(),
        seed,
    )


def _intervened(
    swap: Swap, direction: int, interventions: Sequence[Intervention], restart: bool = True
) -> Float[torch.Tensor, " pair"]:
    """The effect of interventions on the base.

    Args:
        restart: compute from the first change on only. Rounding then differs from the base's.
    """
    from interp.interventions import edits_of
    from interp.passes.forward import forward

    base, edits = swap.base(direction), edits_of(swap.model, interventions)
    tokens, kept = swap.base_tokens(direction), base if restart else None
    with torch.no_grad():
        run = forward(swap.model, tokens, base.view, edits, base=kept) if edits else base
    return swap.share(direction, swap.at_rows(run.logits))


def _routes(swap: Swap, direction: int, progress: Progress) -> Float[torch.Tensor, "pair route"]:
    """Of ``ROUTES``: keys and values of their places, or the stream of the row itself."""
    from interp.interventions import Patch, Transplant
    from interp.methods.paths import Where

    donor, places = swap.donor(direction), place_masks(swap.pairs).to(swap.rows.device)
    later = tuple(range(1, swap.model.cfg.n_layers))
    window = range(donor.view.start, donor.view.stop)
    # What the row is after layer 0; with one layer that is the end.
    own = Patch(Site(Component.RESID_PRE, 1) if later else Site(Component.RESID_POST, 0), donor)
    effects = []
    for name, passes in ROUTES.items():
        chosen = places[:, [PLACES.index(place) for place in passes]].any(1)
        read = own if name == "answer row" else Transplant(donor, window, later)
        effect = _intervened(swap, direction, [Where(read, chosen)])
        effects.append(effect.masked_fill(~chosen.any(1), torch.nan))
        progress.step()
    return torch.stack(effects, 1)


def _impossible(
    swap: Swap, direction: int, progress: Progress
) -> Float[torch.Tensor, "pair impossible"]:
    """Of ``IMPOSSIBLE``."""
    from interp.interventions import Patch

    effects = []
    for sites in impossible_sites(swap.model).values():
        patches = [Patch(site, swap.donor(direction)) for site in sites]
        effects.append(_intervened(swap, direction, patches, restart=False))
        progress.step()
    return torch.stack(effects, 1)


def _altered(swap: Swap, sites: Sequence[Site]) -> float:
    """By how much the two runs differ there, at most."""
    gaps = []
    for site in sites:
        clean, corrupt = (run.at(site.component, site.layer) for run in swap.runs)
        chosen = site.mask(clean, swap.runs[0].frame(site.component, site.layer))
        gaps.append((clean - corrupt).abs().masked_fill(~chosen, 0.0).max())
    return float(torch.stack(gaps).max())


def _paths(
    swap: Swap,
    direction: int,
    writers: dict[str, list[Site]],
    readers: dict[str, list[Site]],
    progress: Progress,
) -> Float[torch.Tensor, "pair writer reader"]:
    """From each writer to each reader, through what the blanks hold."""
    from interp.methods.paths import after_receivers, direct_effect

    base, donor, tokens = swap.base(direction), swap.donor(direction), swap.base_tokens(direction)
    keep = {(site.component, site.layer) for sites in readers.values() for site in sites}
    effects = base.logits.new_full((len(tokens), len(writers), len(readers)), torch.nan)
    for i, sends in enumerate(writers.values()):
        direct = direct_effect(swap.model, tokens, base, donor, sends, keep)
        progress.step()
        for j, reads in enumerate(readers.values()):
            if min(site.layer for site in sends) < max(site.layer for site in reads):
                logits = after_receivers(swap.model, tokens, base, direct, reads)
                effects[:, i, j] = swap.share(direction, swap.at_rows(logits))
            progress.step()
    return effects


# -- command line -------------------------------------------------------------------------------

summary, verdicts, to_json = path_words.summary, path_words.verdicts, path_words.to_json


def figure(result: PathResult) -> go.Figure:
    """See :func:`analyses.path_blanks.figure.figure`."""
    from analyses.path_blanks import figure as path_figure

    return path_figure.figure(result)


ANALYSIS = Analysis(
    name="path_blanks",
    title="Path patching through the blanks",
    config=PathConfig(),
    compute=compute,
    figure=figure,
    summary=summary,
    to_json=to_json,
)


@dataclass(frozen=True)
class PathArgs(CommonArgs):
    """Path patching: the share of the answer that passes from the list through the blanks."""

    config: PathConfig = PathConfig()


def main(argv: Sequence[str] | None = None) -> None:
    run_analysis(ANALYSIS, PathArgs, argv)


if __name__ == "__main__":
    main()
