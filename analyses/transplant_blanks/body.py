"""Runs every combination of two lists' digits, blanks and prefix, and says whose answer comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import plotly.graph_objects as go
import torch
from jaxtyping import Bool, Int
from plotly import subplots

from analyses.experiment.given import own_or
from analyses.transplant_blanks import TransplantConfig
from interp import figures
from interp.answers.trials import Chunk, Condition, chunks, donors_for, run_trials, sorted_digits
from interp.interventions import Intervention, Transplant, edits_of
from interp.passes.forward import forward
from interp.stats import Estimate, clustered_rate, wilson
from interp.support.progress import Progress
from interp.task import Region, SortBatch
from interp.transformer import Transformer

FOLLOWS = ("A", "B", "neither")
NOTHING = "nothing"
BLANKS_ALONE = "blanks"
FACTORS = ("digits", "blanks", "prefix")
EXTRAS = ("blanks with the last", "keys of the blanks", "values of the blanks")


@dataclass(frozen=True)
class TransplantResult:
    """Whose answer each output gave, under every transplant."""

    names: tuple[str, ...]
    """What came from B: ``nothing``, ``blanks``, ``digits + prefix``, ..., and ``EXTRAS``."""
    lengths: Int[torch.Tensor, " pair"]
    follows: Int[torch.Tensor, "condition pair row"]
    """An index of ``FOLLOWS``; -1 where the answers do not differ or the lists have ended."""
    self_change: float
    """The largest change of any logit when the blanks come from the list's own run."""
    seed: int

    @property
    def counted(self) -> Bool[torch.Tensor, "pair row"]:
        """Outputs in which the two answers differ."""
        return self.follows[0] >= 0

    def rate(self, name: str, whose: str = "B") -> Estimate | None:
        """The share of outputs that follow A, B or neither, with a bootstrap over pairs.

        None if no two answers differ.
        """
        if not self.counted.any():
            return None
        chosen = self.follows[self.names.index(name)] == FOLLOWS.index(whose)
        return clustered_rate(chosen, self.counted, self.seed)

    def by_output(self, name: str) -> list[Estimate | None]:
        """The share that follows B, output by output, with Wilson intervals."""
        chosen = self.follows[self.names.index(name)] == FOLLOWS.index("B")
        numbers = zip(chosen.sum(0).tolist(), self.counted.sum(0).tolist(), strict=True)
        return [wilson(k, n) if n else None for k, n in numbers]


def compute(
    model: Transformer, settings: TransplantConfig, seed: int, progress: Progress
) -> TransplantResult:
    """Run every combination of sources on random pairs of lists, as many of every length."""
    own = own_or(model.task, lambda: model.task.held_out(settings.pairs, seed)).to(model.W_U.device)
    other = donors_for(model, own, seed)
    with_other_prefix = _exchange_answers(model, own, other)
    last_layers = _conditions()
    extras: dict[str, Condition] = {
        EXTRAS[0]: partial(_transplant, ("blanks", "last blank"), True, True),
        EXTRAS[1]: partial(_transplant, ("blanks",), True, False),
        EXTRAS[2]: partial(_transplant, ("blanks",), False, True),
    }
    first, second = (
        run_trials(model, batch, conditions, donors=other, seed=seed, progress=progress, words=w)
        for batch, conditions, w in (
            (own, {**last_layers, **extras}, "prefix of A"),
            (with_other_prefix, last_layers, "prefix of B"),
        )
    )
    theirs = sorted_digits(model.task, other).cpu()
    names = [*first.names, *(_join(name, "prefix") for name in second.names)]
    predicted = torch.cat([first.predicted, second.predicted])
    order = sorted(range(len(names)), key=lambda i: names[i] in EXTRAS)  # the factorial first
    predicted = predicted[order]
    return TransplantResult(
        tuple(names[i] for i in order),
        own.lengths.cpu(),
        _follows(predicted, first.answers, theirs),
        _self_change(model, own, seed),
        seed,
    )


def _join(name: str, factor: str) -> str:
    return factor if name == NOTHING else f"{name} + {factor}"


def _exchange_answers(model: Transformer, own: SortBatch, other: SortBatch) -> SortBatch:
    """The lists of ``own`` with the answers of ``other`` given back as inputs."""
    prompt = model.task.prompt_len
    tokens = torch.cat([own.tokens[:, :prompt], other.tokens[:, prompt:]], 1)
    return SortBatch(tokens, own.lengths)


def _conditions() -> dict[str, Condition]:
    """What may come from B in the last layers: every subset of digits and blanks."""
    conditions: dict[str, Condition] = {}
    for chosen in product((False, True), repeat=2):
        factors = [name for name, on in zip(FACTORS, chosen, strict=False) if on]
        name = NOTHING
        for factor in factors:
            name = _join(name, factor)
        conditions[name] = partial(_transplant, tuple(factors), True, True)
    return conditions


def _positions(chunk: Chunk, factor: str) -> tuple[int, ...]:
    task, length = chunk.model.task, chunk.length
    regions = {
        "digits": (Region.DIGITS, Region.SEP),
        "blanks": (Region.BLANKS,),
        "last blank": (Region.LAST_BLANK,),
    }[factor]
    return tuple(p for region in regions for p in task.region(region, length))


def _transplant(
    factors: tuple[str, ...], keys: bool, values: bool, chunk: Chunk
) -> Sequence[Intervention]:
    later = tuple(range(1, chunk.model.cfg.n_layers))
    return [
        Transplant(chunk.own_donor(), _positions(chunk, factor), later, keys=keys, values=values)
        for factor in factors
    ]


def _follows(
    predicted: Int[torch.Tensor, "condition pair row"],
    ours: Int[torch.Tensor, "pair row"],
    theirs: Int[torch.Tensor, "pair row"],
) -> Int[torch.Tensor, "condition pair row"]:
    follows = torch.full_like(predicted, FOLLOWS.index("neither"))
    follows[predicted == theirs] = FOLLOWS.index("B")
    follows[predicted == ours] = FOLLOWS.index("A")
    return follows.masked_fill(ours == theirs, -1)


def _self_change(model: Transformer, batch: SortBatch, seed: int) -> float:
    """Transplant every list's blanks into its own run; in whole passes, so that bits compare."""
    most = 0.0
    with torch.no_grad():
        for chunk in chunks(model, batch, None, seed):
            blanks = model.task.region(Region.BLANKS)
            edits = edits_of(model, [Transplant(chunk.base, blanks)])
            again = forward(model, chunk.batch.tokens, chunk.base.view, edits).logits
            most = max(most, float((again - chunk.base.logits).abs().max()))
    return most


# -- words and JSON -----------------------------------------------------------------------------


def verdicts(result: TransplantResult) -> dict[str, Any]:
    """The share that follows the donor when the blanks alone are the donor's; and by its digits."""

    def value(name: str) -> float | None:
        rate = result.rate(name)
        return None if rate is None else round(rate.value, 4)

    return {name: value(name) for name in ("blanks", "digits", "prefix")}


def summary(result: TransplantResult) -> list[str]:
    """Follow-rates of every combination, then what the blanks alone did."""
    n = len(result.lengths)
    lines = [
        f"{n} pairs of lists; {int(result.counted.sum())} outputs in which their answers differ.",
        "Outputs that follow the other list's answer, by what was taken from it:",
    ]
    for name in result.names:
        to_b, to_a = (result.rate(name, whose) for whose in ("B", "A"))
        if to_a is not None and to_b is not None:
            lines.append(f"  {name}: {to_b.percent()} (stay with their own: {to_a.percent()})")
    exact = "changes no bit" if result.self_change == 0 else f"CHANGES {result.self_change:.2g}"
    lines.append(f"A transplant from the list's own run {exact}.")
    return [*lines, _finding(result)]


def _finding(result: TransplantResult) -> str:
    to_b, to_a = (result.rate(BLANKS_ALONE, whose) for whose in ("B", "A"))
    if to_a is None or to_b is None:
        return "No two answers differed, so nothing could be followed."
    rates = (
        f"with another list's blanks {to_b.percent()} of the outputs where the answers differ "
        f"follow that list and {to_a.percent()} stay (n = {to_b.n} pairs)"
    )
    if to_b.low > 0.5:
        return f"The answer is read from the blanks: {rates}."
    if to_a.low > 0.5:
        return f"The answer does not come from what is in the blanks: {rates}."
    alone = result.rate(NOTHING)
    assert alone is not None  # of the same outputs
    if to_b.low <= alone.value:
        return (
            f"The model is often wrong, and no more so with another list's blanks: {rates}; with "
            f"nothing exchanged {alone.percent()} say what the other list has there."
        )
    return f"The blanks' content matters in part: {rates}."


def to_json(result: TransplantResult) -> dict[str, Any]:
    """Every follow-rate with its interval, and those of the blanks output by output."""

    def rates(name: str) -> dict[str, Any]:
        found = {whose: result.rate(name, whose) for whose in FOLLOWS}
        return {whose: None if r is None else r.to_dict() for whose, r in found.items()}

    return {
        "follows": {name: rates(name) for name in result.names},
        "blanks_by_output": [
            None if r is None else r.to_dict() for r in result.by_output(BLANKS_ALONE)
        ],
        "self_transplant_change": result.self_change,
    }


def rows(result: TransplantResult) -> list[dict[str, Any]]:
    """A row for each follow-rate."""
    return table(to_json(result))


def table(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of :func:`to_json`."""
    together = [
        {"from_b": name, "output": "all", "follows": whose, **rate}
        for name, rates in data["follows"].items()
        for whose, rate in rates.items()
        if rate is not None
    ]
    by_output = [
        {"from_b": "blanks", "output": output, "follows": "B", **rate}
        for output, rate in enumerate(data["blanks_by_output"])
        if rate is not None
    ]
    return [*together, *by_output]


# -- figure -------------------------------------------------------------------------------------

_COLOURS = {"A": figures.BLUE, "B": figures.ORANGE, "neither": figures.GREY}
_PATTERNS = {"A": "", "B": "/", "neither": "."}


def figure(result: TransplantResult) -> go.Figure:
    """Whose answer is given under each transplant; below, by output for the blanks alone."""
    fig = subplots.make_subplots(
        rows=2,
        cols=1,
        row_heights=[0.62, 0.38],
        vertical_spacing=0.2,
        subplot_titles=[
            "Whose answer the outputs give, by what comes from B",
            "The blanks alone from B: share that follows B, by output",
        ],
    )
    if result.counted.any():
        for whose in FOLLOWS:
            _draw_shares(fig, result, whose)
        _draw_outputs(fig, result)
    fig.update_layout(barmode="stack")
    fig.update_xaxes(title="% of outputs where the answers differ", range=[0, 100], row=1, col=1)
    fig.update_yaxes(autorange="reversed", row=1, col=1)
    fig.update_xaxes(title="output", row=2, col=1)
    fig.update_yaxes(title="follow B, %", range=[-4, 104], row=2, col=1)
    figures.style(fig, f"Transplanted keys and values · {len(result.lengths)} pairs of lists", 780)
    fig.update_layout(legend={"y": -0.14, "traceorder": "normal"})
    return fig


def _draw_shares(fig: go.Figure, result: TransplantResult, whose: str) -> None:
    rates = [r for name in result.names if (r := result.rate(name, whose))]
    fig.add_trace(
        go.Bar(
            y=list(result.names),
            x=[100 * rate.value for rate in rates],
            orientation="h",
            name={"A": "A's answer", "B": "B's answer"}.get(whose, whose),
            marker={"color": _COLOURS[whose], "pattern": {"shape": _PATTERNS[whose]}},
            text=[f"{100 * r.value:.0f}" if r.value >= 0.04 else "" for r in rates],
            textposition="inside",
            insidetextanchor="middle",
            insidetextfont={"color": "black" if whose == "B" else "white"},
            textangle=0,
            customdata=[rate.percent() for rate in rates],
            hovertemplate="%{y}<br>%{customdata}<extra>%{fullData.name}</extra>",
        ),
        row=1,
        col=1,
    )


def _draw_outputs(fig: go.Figure, result: TransplantResult) -> None:
    found = [(i, r) for i, r in enumerate(result.by_output(BLANKS_ALONE)) if r is not None]
    trace = figures.rate_points(
        [i for i, _ in found], [r for _, r in found], "follows B", figures.ORANGE
    )
    fig.add_trace(trace, row=2, col=1)
