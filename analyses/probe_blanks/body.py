"""Fits and scores all probes of a model and of its untrained twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.experiment.given import own_or
from analyses.probe_blanks import ProbeConfig
from interp import figures
from interp.methods import probes
from interp.methods.probes import ProbeSet, probe, probed_blanks, probing_lists
from interp.sites import Component, Site
from interp.stats import Estimate
from interp.support.progress import SILENT, Progress
from interp.transformer import Transformer

NO_USE = "A probe shows what could be read, not that anything reads it."


@dataclass(frozen=True)
class ProbeResult:
    """Probes on lists of any length, and on lists of one."""

    any_length: ProbeSet
    one_length: ProbeSet
    length: int
    """Of the latter."""
    n_blanks: int
    least: float

    @property
    def sets(self) -> dict[str, ProbeSet]:
        return {"any length": self.any_length, f"{self.length} digits": self.one_length}

    @property
    def site(self) -> Site:
        """What the last layer reads: all that can reach an answer through the blanks."""
        return self.any_length.key_site


def compute(
    model: Transformer, settings: ProbeConfig, seed: int, progress: Progress
) -> ProbeResult:
    """Fit and score all probes of a model and of its untrained twin."""
    return _probed(model, settings, seed, progress)


def quick_verdicts(model: Transformer, settings: ProbeConfig, seed: int) -> dict[str, bool]:
    """:func:`verdicts`, without the sites that they do not rest on."""
    last = Site(Component.RESID_PRE, model.cfg.n_layers - 1)
    return verdicts(_probed(model, settings, seed, SILENT, [last]))


def _probed(
    model: Transformer,
    settings: ProbeConfig,
    seed: int,
    progress: Progress,
    sites: Sequence[Site] = (),
) -> ProbeResult:
    task = model.task
    blanks, length = probed_blanks(task, settings.blanks), task.nearest_length(settings.length)
    mixed = own_or(task, lambda: probing_lists(task, settings.lists_any_length, seed))
    alike = probing_lists(task, settings.lists_one_length, seed, length)
    return ProbeResult(
        probe(model, mixed, blanks, seed, progress, "probes, any length", sites),
        probe(model, alike, blanks, seed, progress, f"probes, {length} digits", sites),
        length,
        task.n_blanks,
        settings.least,
    )


# -- words and JSON -----------------------------------------------------------------------------


def verdicts(result: ProbeResult) -> dict[str, bool]:
    """What is readable; see the top of this file. The length only on lists of any length."""
    both = (result.any_length, result.one_length)

    def readable(what: str, sets: tuple[ProbeSet, ...]) -> bool:
        return all(one.readable(what, result.site, result.least) for one in sets)

    return {
        "sorted": readable("sorted", both),
        "counts": readable("counts", both),
        "length": readable("length", both[:1]),
    }


_NAMES = {"sorted": "sorted[j]", "counts": "the counts", "length": "the length"}


def summary(result: ProbeResult) -> list[str]:
    """Every score beside what it must be compared with, then what that means."""
    n_fitted = int(result.any_length.fitted.max())
    lines = [
        f"Probes at {len(result.any_length.blanks)} of {result.n_blanks} blanks, of the "
        f"{result.site.words}; fitted on up to {n_fitted} lists, scored on others. "
        "Accuracy for sorted[j], variance explained for the rest; means over blanks:"
    ]
    for words, found in result.sets.items():
        for what, name in _NAMES.items():
            if (score := _scores(found, what, result.site)) is not None:
                lines.append(f"  {name}, {words}: {score}")
    return [*lines, _finding(result)]


def _scores(found: ProbeSet, what: str, site: Site) -> str | None:
    """``the model 82.0 % [81.0, 83.1], control task 48.6 % [...], ...``; None if undefined."""
    estimates = {kind: found.score(what, kind, site) for kind in probes.Kind}
    if any(estimate is None for estimate in estimates.values()):
        return None
    return ", ".join(f"{kind} {e.percent()}" for kind, e in estimates.items() if e is not None)


def _finding(result: ProbeResult) -> str:
    said = verdicts(result)
    parts = [
        f"{_NAMES[what]} {_verdict(result, what, said[what])}" for what in ("sorted", "counts")
    ]
    n = int((~result.any_length.errors[0, 0, 0].isnan()).any(1).sum())
    return f"Before the last layer, {'; '.join(parts)} (n = {n} lists). {NO_USE}"


def _verdict(result: ProbeResult, what: str, readable: bool) -> str:
    """The verdict in words, with the share of the best guess's error that the probe removes."""
    found, site = result.any_length, result.site
    skill = found.skill(what, site)
    above = found.beyond(what, probes.Kind.UNTRAINED, site)
    if skill is None or above is None or skill.low <= 0:
        return "cannot be read from the blanks any better than guessed from the length"
    removed = f"a probe removes {skill.percent()} of the error of the best guess from the length"
    if readable:
        return f"can be read from the blanks: {removed}"
    if above.low > 0:
        return f"can be read in part: {removed}"
    twin = found.skill(what, site, probes.Kind.UNTRAINED)
    beside = "" if twin is None else f", one of an untrained twin {twin.percent()}"
    return f"can be read, but no better than without training: {removed}{beside}"


def to_json(result: ProbeResult) -> dict[str, Any]:
    """Every estimate, by set of lists, target, site and blank."""
    return {
        "sets": {words: _set_json(found) for words, found in result.sets.items()},
        "readable": verdicts(result),
        "readable_rule": "before the last layer, on both sets of lists, in the low ends of the "
        f"intervals: removes {result.least} of the baseline's error, scores above the control task "
        "and above the untrained twin",
        "does_not_show": NO_USE,
    }


def _set_json(found: ProbeSet) -> dict[str, Any]:
    key, kinds = found.key_site, list(probes.Kind)

    def data(estimate: Estimate | None) -> dict[str, float | int] | None:
        return None if estimate is None else estimate.to_dict()

    def by_kind(what: str, site: Site, blank: int | None = None) -> dict[str, Any]:
        return {kind.value: data(found.score(what, kind, site, blank)) for kind in kinds}

    def by_site(what: str, site: Site) -> dict[str, Any]:
        return {
            "scores": by_kind(what, site),
            "selectivity": data(found.beyond(what, probes.Kind.CONTROL, site)),
            "above_untrained": data(found.beyond(what, probes.Kind.UNTRAINED, site)),
            "skill": data(found.skill(what, site)),
        }

    return {
        "blanks": list(found.blanks),
        "lists_fitted": found.fitted.tolist(),
        "by_site": {
            what: {site.hook_name: by_site(what, site) for site in found.sites}
            for what in probes.GROUPS
        },
        "by_blank": {
            what: {blank: by_kind(what, key, blank) for blank in found.blanks}
            for what in probes.GROUPS
        },
        "by_count": {what: by_kind(what, key) for what in found.counts},
    }


# -- figure -------------------------------------------------------------------------------------

_MARKS = (
    (figures.BLUE, "circle", "solid"),
    (figures.GREY, "x", "dot"),
    (figures.ORANGE, "square", "dash"),
    (figures.GREEN, "diamond", "dashdot"),
)  # of every kind, in its order
_FLOOR = -25  # percent: a probe may do much worse than the mean, of which no more is shown


def figure(result: ProbeResult) -> go.Figure:
    """Each score by blank for both sets of lists; by layer; by the count asked for."""
    one = f"lists of {result.length} {'digit' if result.length == 1 else 'digits'}"
    fig = subplots.make_subplots(
        rows=3,
        cols=2,
        vertical_spacing=0.12,
        horizontal_spacing=0.1,
        subplot_titles=[
            "sorted[j], lists of any length",
            f"sorted[j], {one}",
            "Counts C(≤v), mean over v, any length",
            f"Counts C(≤v), mean over v, {one}",
            "sorted[j] by layer, any length",
            "Each count, any length",
        ],
    )
    key = result.site
    for column, found in enumerate(result.sets.values(), 1):
        blanks = list(found.blanks)
        for row, what in enumerate(("sorted", "counts"), 1):
            cells = [(what, key, blank) for blank in blanks]
            _draw(fig, found, row, column, blanks, cells)
            fig.update_xaxes(title="blank j", row=row, col=column)
    sites, counts = result.any_length.sites, result.any_length.counts
    names = [f"before {site.layer}" for site in sites[:-1]] + ["after the last"]
    _draw(fig, result.any_length, 3, 1, names, [("sorted", site, None) for site in sites])
    values = list(range(len(counts)))
    _draw(fig, result.any_length, 3, 2, values, [(what, key, None) for what in counts])
    fig.update_xaxes(title="layer", row=3, col=1)
    fig.update_xaxes(title="v", dtick=1, row=3, col=2)
    for row, column in ((1, 1), (1, 2), (3, 1)):
        fig.update_yaxes(title="accuracy, %", range=[0, 104], row=row, col=column)
    for row, column in ((2, 1), (2, 2), (3, 2)):
        fig.update_yaxes(title="R², %", range=[_FLOOR, 106], row=row, col=column)
    title = f"Linear probes at the blanks, before the last layer · {NO_USE[:-1].lower()}"
    figures.style(fig, title.replace("· a ", "· A "), height=1000)
    return fig.update_layout(legend={"y": -0.08}, margin={"t": 90})


def _draw(
    fig: go.Figure,
    found: ProbeSet,
    row: int,
    column: int,
    x: list[Any],
    cells: Sequence[tuple[str, Site, int | None]],
) -> None:
    """One line for each kind of score, where it is defined."""
    for kind, (colour, symbol, dash) in zip(probes.Kind, _MARKS, strict=True):
        rates = [found.score(what, kind, site, blank) for what, site, blank in cells]
        there = [(at, rate) for at, rate in zip(x, rates, strict=True) if rate is not None]
        trace = figures.rate_points(
            [at for at, _ in there], [rate for _, rate in there], kind.value, colour, symbol
        )
        trace.mode, trace.line.dash = "lines+markers", dash
        trace.showlegend = (row, column) == (1, 1)
        fig.add_trace(trace, row=row, col=column)
