"""Measures the patterns of every head on lists of one length, and reads its circuits."""

from __future__ import annotations

from typing import Any

import torch

from analyses.experiment.given import own_or
from analyses.heads.attention_patterns import PatternConfig
from analyses.heads.attention_patterns.figure import figure
from analyses.heads.attention_patterns.result import BEST, PatternResult
from interp.methods.attention import (
    ANSWER_ROWS,
    KEYS,
    ROWS,
    Target,
    attention_stats,
)
from interp.methods.circuits import copying_score, ov_circuit, qk_circuit
from interp.sites import head_name
from interp.stats import Estimate
from interp.support.progress import Progress
from interp.support.seeds import stream
from interp.transformer import Transformer

__all__ = ["compute", "figure", "summary", "to_json", "verdicts"]  # see analyses.experiment


def compute(
    model: Transformer, settings: PatternConfig, seed: int, progress: Progress
) -> PatternResult:
    """Statistics of the patterns on random lists of one length, and the circuits."""
    progress.begin(1, "patterns")
    lengths = torch.full((settings.lists,), model.task.nearest_length(settings.length))
    batch = own_or(
        model.task, lambda: model.task.sample(settings.lists, stream("patterns", seed), lengths)
    )
    layers = range(model.cfg.n_layers)
    ov = torch.stack([ov_circuit(model, layer) for layer in layers])
    result = PatternResult(
        attention_stats(model, batch.to(model.W_U.device), seed),
        torch.stack([qk_circuit(model, layer).token_preference for layer in layers]).cpu(),
        ov.cpu(),
        torch.stack([copying_score(model.task, one) for one in ov]),
        settings,
    )
    progress.step()
    return result


# -- words and JSON -----------------------------------------------------------------------------


def verdicts(result: PatternResult) -> dict[str, Any]:
    """For each target the heads that look for it: above chance by ``looks``, for certain."""
    return {
        target.value: [
            [*head]
            for head, row in zip(result.stats.heads, result.table, strict=True)
            if (found := row[target.value]) and found.low > result.config.looks
        ]
        for target in Target
    }


def summary(result: PatternResult) -> list[str]:
    """A line for each head, then who looks for what."""
    stats = result.stats
    lines = [
        f"{len(stats.mass)} lists of {stats.length} digits. At the rows that emit the answer, in % "
        "(attention; targets above chance; the offset's share of the pattern):"
    ]
    for head, row in zip(stats.heads, result.table, strict=True):
        parts = [
            f"{name} {_words(name, estimate, stats.best_offset(*head))}"
            for name, estimate in row.items()
            if estimate is not None
        ]
        lines.append(f"  head {head_name(head)}: " + "; ".join(parts))
    return [*lines, _finding(result)]


def _words(name: str, estimate: Estimate, offset: int | None) -> str:
    if name == "entropy, bits":
        return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
    back = f"{offset} back, " if name == BEST else ""
    return back + estimate.percent(0)


def _finding(result: PatternResult) -> str:
    stats, n = result.stats, len(result.stats.mass)
    found = [
        f"{', '.join(head_name((layer, head)) for layer, head in heads)} for the {target}"
        for target, heads in verdicts(result).items()
        if heads
    ]
    return (
        f"In the last layer the answer rows rest {_last_layer(result)} of their attention "
        f"(mean over heads, n = {n} lists of {stats.length} digits). Heads that look for a target "
        f"{100 * result.config.looks:.0f} % above chance: {'; '.join(found) or 'none'}. "
        "That a head looks somewhere does not show that it carries anything: see heads.head_finder."
    )


def _last_layer(result: PatternResult) -> str:
    """``34 % [33, 35] on digits, 20 % [19, 21] on blanks``"""
    stats = result.stats
    means = stats.mass[:, -1, :, ROWS.index(ANSWER_ROWS)].mean(1)  # [list, region]
    parts = [
        f"{found.percent(0)} on {region}"
        for number, region in enumerate(KEYS)
        if stats.task.region(region, stats.length)
        and (found := stats.estimate(means[:, number])) is not None
    ]
    return ", ".join(parts)


def to_json(result: PatternResult) -> dict[str, Any]:
    """Every statistic with its interval, region by region, and the circuits."""
    stats = result.stats

    def one(layer: int, head: int, row: dict[str, Estimate | None]) -> dict[str, Any]:
        copying = float(result.copying[layer, head])
        masses = {
            rows: {
                region: found.to_dict()
                for region in KEYS
                if (found := stats.estimate(stats.masses(layer, head, rows, region)))
            }
            for rows in ROWS
        }
        return {
            "layer": layer,
            "head": head,
            "answer_rows": {name: value and value.to_dict() for name, value in row.items()},
            "best_offset": stats.best_offset(layer, head),
            "mass": {rows: found for rows, found in masses.items() if found},
            "qk_tokens": result.qk[layer, head].tolist(),
            "ov_logits": result.ov[layer, head].tolist(),
            "copying": copying if copying == copying else None,  # not NaN, which is not JSON
        }

    return {
        "length": stats.length,
        "lists": len(stats.mass),
        "tokens": stats.task.token_labels,
        "heads": [one(*h, row) for h, row in zip(stats.heads, result.table, strict=True)],
        "looks_for": verdicts(result),
    }
