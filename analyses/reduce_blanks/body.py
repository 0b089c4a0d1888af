"""What ``analyses.reduce_blanks`` computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import plotly.graph_objects as go
import torch

from analyses.experiment.given import own_or
from analyses.reduce_blanks import ReduceConfig
from interp import figures
from interp.answers.trials import Chunk, Condition, Trials, nothing, run_trials, stratified
from interp.interventions import Intervention, Set
from interp.methods.reductions import Contribution, Merge, Replace, contribution
from interp.sites import Component, Frame, Site
from interp.support.progress import Progress
from interp.task import Region
from interp.transformer import Transformer

AS_IT_IS, ONE, MEANS, EQUAL = "as it is", "one blank", "mean keys, values", "one key and value"
KEY, FIXED = "one key, no value", "a fixed vector"
SHARE, BIAS, NOTHING = "a share and bias", "a bias", "nothing"
STEPS = (AS_IT_IS, ONE, MEANS, EQUAL, KEY, FIXED, SHARE, BIAS, NOTHING)
_REFERENCE_LISTS = 192  # for the means, other lists than those that are judged


@dataclass(frozen=True)
class ReduceResult:
    """Answers at every step, on the same lists."""

    trials: Trials
    contribution: Contribution
    config: ReduceConfig

    def kept(self, step: str) -> float:
        """Of the lists that come out as they are, the share that still does."""
        before = self.trials.exact(AS_IT_IS)
        both = before & self.trials.exact(step)
        return int(both.sum()) / max(1, int(before.sum()))

    @property
    def least(self) -> str:
        """The smallest replacement that is harmless."""
        kept = [step for step in STEPS if self.kept(step) >= self.config.bar]
        return kept[-1] if kept else STEPS[0]  # a model that sorts nothing keeps nothing


def compute(
    model: Transformer,
    settings: ReduceConfig,
    seed: int,
    progress: Progress,
) -> ReduceResult:
    """Answer the same lists at every step."""
    others = stratified(model, _REFERENCE_LISTS, seed)
    means = contribution(model, others)
    conditions: dict[str, Condition] = {
        AS_IT_IS: nothing,
        ONE: _one,
        MEANS: partial(_mean, MEANS),
        EQUAL: partial(_mean, EQUAL),
        KEY: partial(_mean, KEY),
        FIXED: partial(_replace, means, "weights"),
        SHARE: partial(_replace, means, "share"),
        BIAS: partial(_replace, means, "bias"),
        NOTHING: partial(_replace, means, "nothing"),
    }
    batch = own_or(model.task, lambda: model.task.held_out(settings.lists, seed)).to(
        model.W_U.device
    )
    trials = run_trials(model, batch, conditions, seed=seed, progress=progress, words="reducing")
    return ReduceResult(trials, means, settings)


def _blanks(chunk: Chunk) -> range:
    return chunk.model.task.region(Region.BLANKS)


def _one(chunk: Chunk) -> Sequence[Intervention]:

    blanks = _blanks(chunk)
    return [Merge(chunk.rows, blanks, blanks[len(blanks) // 2])] if blanks else ()


def _mean(step: str, chunk: Chunk) -> Sequence[Intervention]:
    """Keys and values of the blanks, from layer 1 on the mean of lists of this length.

    In layer 0 they are functions of token and position, the same for every list: there only the
    step to equal ones changes anything.
    """

    blanks, reference, found = _blanks(chunk), chunk.reference, []
    cut = slice(blanks.start - reference.view.start, blanks.stop - reference.view.start)
    for layer in range(chunk.model.cfg.n_layers):
        for component in (Component.K, Component.V):
            value = reference.at(component, layer)[:, cut].mean(0, keepdim=True)
            if step != MEANS:
                value = value.mean(1, keepdim=True).expand_as(value)
            if step == KEY and component is Component.V:
                value = torch.zeros_like(value)
            site = Site(component, layer, positions=blanks)
            found.append(Set(site, value, Frame(blanks.start)))
    return found


def _replace(means: Contribution, what: str, chunk: Chunk) -> Sequence[Intervention]:

    device = chunk.base.logits.device
    vectors = means.vectors if what != "nothing" else torch.zeros_like(means.vectors)
    share = {"weights": None, "share": means.rest}.get(what, torch.ones_like(means.rest))
    share = None if share is None else share.to(device)
    return [Replace(chunk.rows, _blanks(chunk), vectors.to(device), share)]


# -- words, JSON and figure ---------------------------------------------------------------------


def summary(result: ReduceResult) -> list[str]:
    """Exact match at every step, then the smallest replacement that is harmless."""
    trials = result.trials
    lines = [f"In place of the blanks, at the rows that answer (n = {len(trials.lengths)} lists):"]
    for step in STEPS:
        exact, digits = trials.exact_match(step), trials.digit_accuracy(step)
        lines.append(f"  {step}: {exact.percent()} of lists, {digits.percent()} of outputs")
    for layer, heads in enumerate(result.contribution.rest.tolist()):
        on = " ".join(f"{1 - rest:.2f}" for rest in heads)
        spread = " ".join(f"{s:.2f}" for s in result.contribution.spread[layer].tolist())
        lines.append(f"  layer {layer}, by head: attention on the blanks {on}; spread of what is "
                     f"gathered there, of its mean square {spread}")  # fmt: skip
    return [*lines, _finding(result)]


_MEANING = {
    AS_IT_IS: "No step is harmless: more than one blank is needed, as they are",
    ONE: "One blank would do, if it weighed as much as all; what it holds of the list matters",
    MEANS: "They hold nothing of the list that is used, but differ from place to place",
    EQUAL: "They are equal places without content: a constant vector, weighed by a share of the "
    "attention that varies with the rest",
    KEY: "They are equal places of which nothing is read: a share of attention is what they take",
    FIXED: "They give one vector for each head, and weight in the softmax that varies",
    SHARE: "They give each head a constant vector and a constant share of attention",
    BIAS: "They give a bias and nothing else",
    NOTHING: "Beside the last one, itself a row that answers, none is needed at those rows",
}


def _finding(result: ReduceResult) -> str:
    least = result.least
    exact = result.trials.exact_match(least)
    own = result.trials.exact_match(AS_IT_IS)
    return (
        f"{_MEANING[least]}: with {least} in their place {exact.percent()} of lists come out, "
        f"{own.percent()} as it is (n = {exact.n})."
        if least != AS_IT_IS
        else f"{_MEANING[least]} ({own.percent()} of lists, n = {own.n})."
    )


def verdicts(result: ReduceResult) -> dict[str, bool]:
    """``each``: whether no replacement is harmless."""
    return {"each": result.least == AS_IT_IS}


def to_json(result: ReduceResult) -> dict[str, Any]:
    """Exact match, digit accuracy and lists kept at every step; what the blanks contribute."""
    return {
        "steps": {
            step: {
                "exact": result.trials.exact_match(step).to_dict(),
                "digits": result.trials.digit_accuracy(step).to_dict(),
                "kept": result.kept(step),
            }
            for step in STEPS
        },
        "least": result.least,
        **verdicts(result),
        "attention_on_blanks": (1 - result.contribution.rest).tolist(),
        "spread": result.contribution.spread.tolist(),
    }


def figure(result: ReduceResult) -> go.Figure:
    """Exact match and digit accuracy, step by step."""
    fig = go.Figure()
    for words, colour, symbol, rate in (
        ("outputs that are right", figures.ORANGE, "diamond", result.trials.digit_accuracy),
        ("lists without a mistake", figures.BLUE, "circle", result.trials.exact_match),
    ):
        trace = figures.rate_points(list(STEPS), [rate(s) for s in STEPS], words, colour, symbol)
        fig.add_trace(trace.update(mode="lines+markers", showlegend=True))
    fig.update_xaxes(title="in place of the blanks")
    fig.update_yaxes(title="%", range=[-4, 104])
    n = len(result.trials.lengths)
    figures.style(fig, f"Less and less in place of the blanks · {n} lists", 460)
    fig.update_layout(legend={"y": -0.35})
    return fig
