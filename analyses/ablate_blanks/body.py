"""Runs every ablation of blanks, beside its control, and says what survives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.ablate_blanks import AblateConfig
from analyses.experiment.given import own_or
from interp import figures
from interp.answers.ablation import (
    ablate,
    control_positions,
    doses,
    nested_subsets,
    published_mask,
)
from interp.answers.kinds import Kind
from interp.answers.trials import (
    AS_IT_IS,
    Chunk,
    Condition,
    Trials,
    donors_for,
    nothing,
    run_trials,
    stratified,
)
from interp.interventions import Intervention
from interp.rule import Rule
from interp.stats import Estimate
from interp.support.progress import SILENT, Progress
from interp.task import Region, SortBatch
from interp.transformer import Transformer

PUBLISHED = "published mask"
SETS = ("all but the last", "the last", "all")
ALL = SETS[2]  # what is read as a verdict: any one blank left may hold what all of them hold


@dataclass(frozen=True)
class AblateResult:
    """Answers under every ablation, list by list."""

    together: Trials
    """``as it is``, ``published mask``, and ``KIND: SET`` or ``KIND: control``."""
    each: Trials
    """``as it is``, and ``KIND: blank 7`` for each blank alone."""
    dose: Trials
    """``KIND: blanks 8`` and ``KIND: control 8`` for growing subsets."""
    kinds: tuple[str, ...]
    n_blanks: int
    doses: tuple[int, ...]

    @property
    def rule(self) -> Rule:
        return self.together.task.rule

    def exact(self, kind: str, which: str) -> Estimate:
        """Lists exact when a set of ``SETS``, or the ``control``, is ablated."""
        return self.together.exact_match(f"{kind}: {which}")


def compute(
    model: Transformer, settings: AblateConfig, seed: int, progress: Progress
) -> AblateResult:
    """Run every ablation on held-out lists, as many of every length."""
    task = model.task
    blanks = (*task.region(Region.BLANKS), *task.region(Region.LAST_BLANK))
    sizes = doses(max(1, len(blanks) - 1))
    every_length = own_or(task, lambda: task.held_out(settings.lists, seed)).to(model.W_U.device)
    n_each, device = settings.lists_each, model.W_U.device
    few_lengths = own_or(task, lambda: stratified(model, n_each, seed), n_each).to(device)

    def run(conditions: dict[str, Condition], batch: SortBatch, words: str) -> Trials:
        donors = donors_for(model, batch, seed)
        return run_trials(
            model, batch, conditions, donors=donors, seed=seed, progress=progress, words=words
        )

    return AblateResult(
        run(_together(blanks, seed), every_length, "all blanks"),
        run(_each(blanks), few_lengths, "each blank"),
        run(_dose(blanks, sizes, seed), few_lengths, "dose curve"),
        tuple(kind.value for kind in Kind),
        len(blanks),
        tuple(sizes),
    )


def _together(blanks: tuple[int, ...], seed: int) -> dict[str, Condition]:
    """Every set of blanks, in every way, and as many other positions."""
    sets = dict(zip(SETS, (blanks[:-1], blanks[-1:], blanks), strict=True))
    conditions: dict[str, Condition] = {AS_IT_IS: nothing, PUBLISHED: _published}
    for kind in Kind:
        for name, positions in sets.items():
            if positions:
                conditions[f"{kind}: {name}"] = partial(_at, kind, positions)
        conditions[f"{kind}: control"] = partial(_control, kind, len(blanks), seed)
    return conditions


def _each(blanks: tuple[int, ...]) -> dict[str, Condition]:
    """Every blank alone, in every way."""
    alone: dict[str, Condition] = {
        f"{kind}: blank {number}": partial(_at, kind, (blank,))
        for kind in Kind
        for number, blank in enumerate(blanks)
    }
    return {AS_IT_IS: nothing, **alone}


def _dose(blanks: tuple[int, ...], sizes: list[int], seed: int) -> dict[str, Condition]:
    """Growing subsets of the blanks but the last, in every way, and as many other positions."""
    subsets = nested_subsets(blanks[:-1] or blanks, sizes, seed)
    conditions: dict[str, Condition] = {AS_IT_IS: nothing}
    for kind in Kind:
        for size, subset in zip(sizes, subsets, strict=True):
            conditions[f"{kind}: blanks {size}"] = partial(_at, kind, subset)
            conditions[f"{kind}: control {size}"] = partial(_control, kind, size, seed)
    return conditions


def _at(kind: Kind, positions: tuple[int, ...], chunk: Chunk) -> Sequence[Intervention]:
    return ablate(kind, chunk, positions)


def _control(kind: Kind, wanted: int, seed: int, chunk: Chunk) -> Sequence[Intervention]:
    return ablate(kind, chunk, control_positions(chunk.model.task, chunk.length, wanted, seed))


def _published(chunk: Chunk) -> Sequence[Intervention]:
    return published_mask(chunk.model.task)


# -- words and JSON -----------------------------------------------------------------------------


def verdicts(result: AblateResult) -> dict[str, bool]:
    """Which ablations of all blanks destroy the answer: for certain, less than half survives of
    what the model has right above chance."""
    return _destroyed(result.together, result.kinds)


def quick_verdicts(
    model: Transformer, config: AblateConfig, seed: int = 0, progress: Progress = SILENT
) -> dict[str, bool]:
    """:func:`verdicts`, of lists of a few lengths, without the ablations that they do not rest on.

    Most of the work is the lists behind means, which each length has its own of.
    """
    task, batch = model.task, stratified(model, config.lists, seed)
    kinds = tuple(kind.value for kind in Kind)
    wanted = {AS_IT_IS, *(f"{kind}: {ALL}" for kind in kinds)}
    every = _together((*task.region(Region.BLANKS), *task.region(Region.LAST_BLANK)), seed)
    conditions = {name: condition for name, condition in every.items() if name in wanted}
    donors = donors_for(model, batch, seed)
    trials = run_trials(
        model, batch, conditions, donors=donors, seed=seed, progress=progress, words="all blanks"
    )
    return _destroyed(trials, kinds)


def _destroyed(together: Trials, kinds: Sequence[str]) -> dict[str, bool]:
    half = (together.exact_match(AS_IT_IS).value + together.chance()) / 2
    return {kind: together.exact_match(f"{kind}: {ALL}").high < half for kind in kinds}


def summary(result: AblateResult) -> list[str]:
    """Exact match under every ablation, then what that means."""
    plain, published = (result.together.exact_match(name) for name in (AS_IT_IS, PUBLISHED))
    lines = [
        f"{plain.n} held-out lists; {result.rule.verb[1]} without a mistake: as they are "
        f"{plain.percent()}, under the published mask {published.percent()}.",
        "Exact match when blanks are ablated, beside as many digits and outputs:",
    ]
    for kind in result.kinds:
        parts = [
            f"{which} {result.exact(kind, which).percent()}"
            for which in (*SETS, "control")
            if f"{kind}: {which}" in result.together.names
        ]
        lines.append(f"  {kind}: " + "; ".join(parts))
    return [*lines, _finding(result)]


def _finding(result: AblateResult) -> str:
    said = verdicts(result)
    rates = [result.exact(kind, ALL) for kind in ("mask", "mask, weights kept", "resample")]
    masked, kept, swapped = (rate.percent() for rate in rates)
    plain = result.together.exact_match(AS_IT_IS)
    in_part = rates[2].high < plain.low  # other lists' blanks cost something, for certain
    special = "only in part" if in_part else "not"
    numbers = (
        f"as they are {plain.percent()} of lists come out exact, with the blanks masked {masked}, "
        f"masked with the other weights kept {kept}, with another list's blanks {swapped} "
        f"(n = {plain.n})"
    )
    if plain.value < 0.05:
        hardly = f"The model hardly {result.rule.verb[0]} at all"
        return f"{hardly}, so nothing can be taken from it: {numbers}."
    if said["resample"]:
        return f"The answer needs what is in the blanks: {numbers}."
    if said["mask"] and said["mask, weights kept"]:
        return (
            f"The answer needs what the blanks of all lists have in common, and {special} what is "
            f"special to a list: {numbers}."
        )
    if said["mask"]:
        return (
            f"The answer needs the attention that rests on the blanks (a sink), and {special} what "
            f"is in them: {numbers}."
        )
    return f"The answer does without the blanks: {numbers}."


def to_json(result: AblateResult) -> dict[str, Any]:
    """Every rate with its interval."""

    def rates(trials: Trials) -> dict[str, dict[str, dict[str, float | int]]]:
        return {
            name: {
                "exact_match": trials.exact_match(name).to_dict(),
                "digit_accuracy": trials.digit_accuracy(name).to_dict(),
            }
            for name in trials.names
        }

    return {
        "together": rates(result.together),
        "each": rates(result.each),
        "dose": rates(result.dose),
        "destroys": verdicts(result),
    }


def rows(result: AblateResult) -> list[dict[str, Any]]:
    """A row for each rate."""
    return table(to_json(result))


def table(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of :func:`to_json`."""
    return [
        {"part": part, "condition": condition, "measure": measure, **rate}
        for part in ("together", "each", "dose")
        for condition, rates in data[part].items()
        for measure, rate in rates.items()
    ]


# -- figure -------------------------------------------------------------------------------------


def figure(result: AblateResult) -> go.Figure:
    """All blanks with their controls; each blank alone; the dose curve."""
    fig = subplots.make_subplots(
        rows=3,
        cols=1,
        vertical_spacing=0.13,
        subplot_titles=[
            "Blanks together, and as many other positions",
            "Each blank alone",
            "Growing random subsets: blanks (solid) and other positions (dashed)",
        ],
    )
    for kind in result.kinds:
        _draw_together(fig, result, kind)
        _draw_each(fig, result, kind)
        _draw_dose(fig, result, kind)
    plain = 100 * result.together.exact_match(AS_IT_IS).value
    fig.add_hline(y=plain, line_dash="dot", line_color=figures.GREY, row=1, col=1)
    fig.update_yaxes(title="lists exact, %", range=[-4, 104])
    fig.update_xaxes(title="blank", row=2, col=1)
    fig.update_xaxes(title="positions ablated", type="category", row=3, col=1)
    n, few = len(result.together.lengths), len(result.each.lengths)
    title = f"Lists {result.rule.verb[1]} without a mistake, by ablation"
    figures.style(fig, f"{title} · {n} lists, {few} below", 980)
    fig.update_layout(legend={"y": -0.07})
    return fig


def _draw_together(fig: go.Figure, result: AblateResult, kind: str) -> None:
    sets = [s for s in (*SETS, "control") if f"{kind}: {s}" in result.together.names]
    names = {"control": "as many digits and outputs"}
    rates = [result.exact(kind, which) for which in sets]
    trace = figures.rate_points(
        [names.get(s, f"blanks: {s}") for s in sets], rates, kind, *Kind(kind).way.mark
    )
    trace.showlegend = True
    fig.add_trace(trace, row=1, col=1)
    fig.update_layout(scattermode="group", scattergap=0.6)


def _draw_each(fig: go.Figure, result: AblateResult, kind: str) -> None:
    numbers = list(range(result.n_blanks))
    rates = [result.each.exact_match(f"{kind}: blank {number}") for number in numbers]
    trace = figures.rate_points(numbers, rates, kind, *Kind(kind).way.mark)
    trace.mode, trace.error_y.visible = "lines+markers", False
    fig.add_trace(trace, row=2, col=1)


def _draw_dose(fig: go.Figure, result: AblateResult, kind: str) -> None:
    for what, dash in (("blanks", "solid"), ("control", "dash")):
        rates = [result.dose.exact_match(f"{kind}: {what} {size}") for size in result.doses]
        trace = figures.rate_points(list(result.doses), rates, kind, *Kind(kind).way.mark)
        trace.mode, trace.line.dash = "lines+markers", dash
        trace.error_y.thickness = 0.7
        fig.add_trace(trace, row=3, col=1)
