"""Linear probes at the blanks: what could be read there, and would it be there without training?

    python -m analyses.probe_blanks
    python -m analyses.probe_blanks --model compiled:direct
    python -m analyses.probe_blanks --lists-any-length 600 --blanks 4

At blank 3 of the list 3 1 4 1 5, a probe (a linear function of the residual stream, fitted on other
lists) must tell sorted[3] = 4, the counts C(<=0) = 0, C(<=1) = 2, ... of digits up to each value,
and the length 5. Beside each score stand what the best guess from j and the length alone gets, what
the same probe gets when asked for arbitrary labels (the control task), and what can be told from an
untrained twin of the model; see ``interp.methods.probes``. All of it for lists of any length, and
again for lists of one length, where the length can tell nothing.

**Something is called readable** if, before the last layer and on both sets of lists, its probe
removes at least ``--least`` of the best guess's error, and beats the control task and the untrained
twin, each with the low end of its 95 % interval.

What it does not show: *use*. ``compiled:direct`` holds sorted[j] at every blank, and nothing reads
it. ``ablate_blanks`` and ``transplant_blanks`` are about use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses.common import Analysis, CommonArgs, run_analysis
from interp import figures
from interp.support.errors import UserError, at_least
from interp.support.lazy import lazy_import
from interp.support.progress import SILENT, Progress

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from interp.methods import probes
    from interp.methods.probes import ProbeSet
    from interp.model import SortTransformer
    from interp.sites import Site
    from interp.stats import Estimate
else:
    go = lazy_import("plotly.graph_objects")
    probes = lazy_import("interp.methods.probes")

NO_USE = "A probe shows what could be read, not that anything reads it."


@dataclass(frozen=True)
class ProbeConfig:
    """How many lists and blanks, and what counts as readable."""

    lists_any_length: int = 2400  # two thirds to fit, a third to score
    lists_one_length: int = 1200  # every one of them reaches every blank, so fewer will do
    length: int = 48  # of those; the longest, so that every blank has a sorted digit
    blanks: int = 12  # probed, evenly spread: every fourth of 48
    least: float = 0.9  # of the best guess's error that a probe removes of what is readable

    def __post_init__(self) -> None:
        at_least(self, lists_any_length=1, lists_one_length=1, length=1, blanks=1)
        if not 0 < self.least < 1:
            raise UserError(f"--least must be between 0 and 1, not {self.least}")


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
    model: SortTransformer,
    config: ProbeConfig = ProbeConfig(),
    seed: int = 0,
    progress: Progress = SILENT,
) -> ProbeResult:
    """Fit and score all probes of a model and of its untrained twin."""
    from interp.methods.probes import probe, probed_blanks, probing_lists

    task = model.task
    blanks, length = probed_blanks(task, config.blanks), min(config.length, task.max_len)
    mixed = probing_lists(task, config.lists_any_length, seed)
    alike = probing_lists(task, config.lists_one_length, seed, length)
    return ProbeResult(
        probe(model, mixed, blanks, seed, progress, "probes, any length"),
        probe(model, alike, blanks, seed, progress, f"probes, {length} digits"),
        length,
        task.n_blanks,
        config.least,
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
        "by_count": {what: by_kind(what, key) for what in probes.COUNTS},
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
    subplots = lazy_import("plotly.subplots")
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
    sites, counts = result.any_length.sites, list(probes.COUNTS)
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


# -- command line -------------------------------------------------------------------------------

ANALYSIS = Analysis(
    name="probe_blanks",
    title="Probing the blanks",
    config=ProbeConfig(),
    compute=compute,
    figure=figure,
    summary=summary,
    to_json=to_json,
)


@dataclass(frozen=True)
class ProbeArgs(CommonArgs):
    """Ask what can be read linearly at the blanks, and compare it with what needs no training."""

    config: ProbeConfig = ProbeConfig()


def main(argv: Sequence[str] | None = None) -> None:
    run_analysis(ANALYSIS, ProbeArgs, argv)


if __name__ == "__main__":
    main()
