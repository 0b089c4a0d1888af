"""Ablates every head by itself, then the named ones and the others together."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from analyses.experiment.given import own_or
from analyses.heads.head_finder import HeadConfig
from analyses.heads.head_finder.figure import figure
from analyses.heads.head_finder.result import HeadResult, condition, named_heads, nats
from interp.answers.kinds import HEAD_KINDS, Kind
from interp.answers.trials import AS_IT_IS, Condition, Trials, donors_for, nothing, run_trials
from interp.methods.attention import attention_stats
from interp.methods.heads import (
    KINDS,
    OWN,
    Head,
    HeadOutputs,
    pattern_ranks,
)
from interp.sites import head_name
from interp.stats import Estimate
from interp.support.progress import Progress
from interp.support.seeds import stream
from interp.transformer import Transformer

__all__ = ["compute", "figure", "rows", "summary", "to_json", "verdicts"]  # see analyses.experiment


NAMED, OTHERS = "the named heads", "all other heads"


def compute(model: Transformer, settings: HeadConfig, seed: int, progress: Progress) -> HeadResult:
    """Ablate every head by itself, then the named ones and the others together."""
    task, device = model.task, model.W_U.device
    lengths = torch.full((settings.pattern_lists,), task.nearest_length(settings.length))
    lists = task.sample(settings.pattern_lists, stream("patterns", seed), lengths).to(device)
    stats = attention_stats(model, lists, seed)
    batch = own_or(task, lambda: task.held_out(settings.lists, seed)).to(device)
    outputs = HeadOutputs(donors_for(model, batch, seed), settings.reference, seed)

    def run(groups: dict[str, tuple[str, list[Head]]], words: str) -> Trials:
        conditions: dict[str, Condition] = {AS_IT_IS: nothing}
        conditions |= {name: partial(outputs.ablate, *group) for name, group in groups.items()}
        return run_trials(model, batch, conditions, seed=seed, progress=progress, words=words)

    single = {condition(kind, head): (kind, [head]) for head in stats.heads for kind in KINDS}
    trials = run(single, "each head")
    named = named_heads(trials, stats.heads, settings)
    together = {NAMED: named, OTHERS: [head for head in stats.heads if head not in named]}
    for layer in range(model.cfg.n_layers):
        together[_layer(layer)] = [head for head in stats.heads if head[0] == layer]
    joint = run(
        {name: (Kind.RESAMPLE, heads) for name, heads in together.items()}, "heads together"
    )
    return HeadResult(trials, joint, stats, settings)


def _layer(layer: int) -> str:
    return f"all heads of layer {layer}"


# -- words and JSON -----------------------------------------------------------------------------

_CONSPICUOUS = 0.1  # below this not even the first head of a ranking has the pattern


def on_top(result: HeadResult) -> dict[str, tuple[Head, float]]:
    """For each score of a pattern the first head and its score, where it has the pattern at all."""
    ranks = pattern_ranks(result.stats)
    return {name: ranks[name][0] for name in ranks if ranks[name][0][1] >= _CONSPICUOUS}


def verdicts(result: HeadResult) -> dict[str, Any]:
    """The named heads; for comparison, those that some pattern score alone would have named."""
    by_pattern = sorted({head for head, _ in on_top(result).values()})
    return {
        "heads": sorted([*head] for head in result.named),
        "by_pattern": [[*head] for head in by_pattern],
        "control_costs_nothing": all(
            abs(result.effect(OWN, head).value) < _ROUNDING for head in result.heads
        ),
    }


_ROUNDING = 1e-5  # nats: "as it is" may be computed in matrices of other sizes


def summary(result: HeadResult) -> list[str]:
    """Every head's cost, the conspicuous patterns, several heads together, and the finding."""
    by = result.config.ablation
    plain = result.joint.exact_match(AS_IT_IS)
    heads = sorted(result.heads, key=lambda head: -result.effect(by, head).value)
    lines = [
        f"{plain.n} held-out lists, {plain.percent()} {result.rule.verb[1]} without a mistake.",
        f"Nats per right digit that ablating a head loses, most costly by {by} first:",
    ]
    for head in heads:
        costs = "; ".join(f"{kind} {nats(result.effect(kind, head))}" for kind in HEAD_KINDS)
        lost = result.exact_lost(by, head).percent()
        lines.append(f"  head {head_name(head)}: {costs}; lists lost by {by} {lost}")
    lines.append("Most conspicuous patterns at the answer rows, and whether the head is named:")
    for name, (head, score) in on_top(result).items():
        said = "named" if head in result.named else f"not named, {by} {_cost(result, head)}"
        lines.append(f"  {name}: head {head_name(head)}, {score:.2f} ({said})")
    conspicuous = {head for head, _ in on_top(result).values()}
    wrong = len(conspicuous - set(result.named))
    lines.append(f"  By patterns alone: {len(conspicuous)} heads, of which {wrong} not named.")
    together = ", ".join(
        f"{name} {result.joint.exact_match(name).percent()}"
        for name in result.joint.names
        if name != AS_IT_IS
    )
    lines.append(f"Lists still exact with several heads resampled at once: {together}.")
    return [*lines, _finding(result, plain)]


def _cost(result: HeadResult, head: Head) -> str:
    return f"{nats(result.effect(result.config.ablation, head))} nats"


def _finding(result: HeadResult, plain: Estimate) -> str:
    if plain.value < 0.05:
        return (
            f"The model hardly {result.rule.verb[0]} at all ({plain.percent()} of lists, "
            f"n = {plain.n}), so no head carries an answer."
        )
    if not result.named:
        return f"No head carries the answer by itself (n = {plain.n} lists)."
    found = ", ".join(f"{head_name(head)} ({_cost(result, head)})" for head in result.named)
    one = len(result.named) == 1
    others = result.joint.exact_match(OTHERS)
    enough = others.low > 0.9 * plain.value
    rest = "and needs no other" if enough else f"but not by {'it' if one else 'them'} alone"
    return (
        f"The answer is carried by {'head' if one else 'heads'} {found}, {rest}: with all others "
        f"resampled at once {others.percent()} of lists stay exact (n = {others.n})."
    )


def to_json(result: HeadResult) -> dict[str, Any]:
    """Every effect with its interval, the rankings, and what ablating together leaves."""
    ranks = pattern_ranks(result.stats)
    return {
        "heads": [
            {
                "layer": head[0],
                "head": head[1],
                "named": head in result.named,
                **{
                    kind: {
                        "log_prob_lost": result.effect(kind, head).to_dict(),
                        "exact_lost": result.exact_lost(kind, head).to_dict(),
                    }
                    for kind in KINDS
                },
            }
            for head in result.heads
        ],
        "together": {n: result.joint.exact_match(n).to_dict() for n in result.joint.names},
        "by_pattern": {
            name: [{"layer": h[0], "head": h[1], "score": score} for h, score in ranked]
            for name, ranked in ranks.items()
        },
        "verdicts": verdicts(result),
    }


def rows(result: HeadResult) -> list[dict[str, Any]]:
    """A row for each head: what it costs, with intervals, and the scores of its pattern."""
    ranks = {name: dict(ranked) for name, ranked in pattern_ranks(result.stats).items()}
    table = []
    for head in result.heads:
        row: dict[str, Any] = {
            "head": head_name(head),
            "named": "★" if head in result.named else "",
        }
        for kind in HEAD_KINDS:
            cost = result.effect(kind, head)
            row |= {
                f"{kind}, nats": cost.value,
                f"{kind}, low": cost.low,
                f"{kind}, high": cost.high,
            }
        table.append(row | {name: scores.get(head) for name, scores in ranks.items()})
    return table
