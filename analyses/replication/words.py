"""What ``analyses.replication`` found, in words and as data."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

import torch

from analyses.replication.ladder import ladder_json, ladder_words
from analyses.replication.result import LEVEL, THRESHOLDS, Contrast, ReplicationResult, Verdict
from interp.stats import bootstrap_mean
from training.studies.comparison import ArmOutcome, fisher_exact
from training.studies.results import RunResult


def summary(result: ReplicationResult) -> list[str]:
    """What came out, a line each; the last one is the finding."""
    lines = [_scale(result)]
    for name, outcome in result.outcomes.items():
        lines.append(_arm_words(result, name, outcome))
    lines += [_contrast_words(result, contrast) for contrast in result.contrasts]
    lines += [*_content_words(result), *ladder_words(result.rungs)]
    return [*lines, _finding(result)]


def _scale(result: ReplicationResult) -> str:
    study = result.study
    configs = [arm.config for arm in study.plan.arms]
    ended = sum(outcome.n for outcome in result.outcomes.values())
    lengths = sorted({config.max_len for config in configs})
    steps = sorted({config.steps for config in configs})
    batches = sorted({config.batch_size for config in configs})

    def listed(values: list[int]) -> str:
        return " or ".join(f"{value:,}" for value in values)

    open_ = len(study.runs) - ended
    words = f"; {open_} more have not ended, and are drawn but not counted" if open_ else ""
    return (
        f"Study {study.plan.name}: lists of 1 to {listed(lengths)} digits, {listed(steps)} steps "
        f"of {listed(batches)} lists, {ended} ended runs{words}."
    )


def _arm_words(result: ReplicationResult, name: str, outcome: ArmOutcome) -> str:
    runs = result.study.ended(name)
    measures = result.study.plan.measures
    batch = [run.summary["batch"] for run in runs if run.summary]
    reached = [b["steps_to_reached"] for b in batch if b["steps_to_reached"] is not None]
    crashed = sum(b["crashes"] > 0 for b in batch)
    fast = f" (median at step {median(reached):,.0f})" if reached else ""
    gone = sum(bool(run.summary and run.summary["diverged_at"] is not None) for run in runs)
    words = (
        f"  {name}: {outcome.convergent()} of {outcome.n} convergent = {outcome.share().percent()};"
        f" mean accuracy of the last {measures.convergent_steps:,} steps "
        f"{outcome.mean(result.seed).percent()}; {len(reached)} of {outcome.n} runs reached "
        f"{100 * measures.reached:.0f} %{fast}, {crashed} of them crashed after it"
    )
    return words + (f"; {gone} diverged." if gone else ".")


def _contrast_words(result: ReplicationResult, contrast: Contrast) -> str:
    shares = [
        f"{result.outcomes[name].convergent()} of {result.outcomes[name].n}"
        for name in (contrast.arm, contrast.against)
    ]
    found = contrast.comparison
    words = (
        f"  {contrast.arm} against {contrast.against}: {shares[0]} and {shares[1]} convergent, "
        f"Fisher p = {found.fisher_p:.3g} (corrected {contrast.fisher_holm:.3g}): "
        f"{_VERDICTS[contrast.verdict]}"
    )
    if found.difference is None:
        return words + "; no seed in common."
    return (
        f"{words}; accuracy differs by {found.difference.percent().replace(' %', ' points')} over "
        f"{found.n_pairs} common seeds, permutation p = {found.permutation_p:.3g}."
    )


_VERDICTS: dict[Verdict, str] = {
    "too few runs": "too few runs to show any difference",
    "no difference shown": "no difference shown",
    "fewer": "fewer converge",
    "more": "more converge",
}


def _content_words(result: ReplicationResult) -> list[str]:
    """Do the runs that converge differ in using what is in the blanks?"""
    lines = []
    for convergent, words in ((True, "convergent"), (False, "other")):
        rates = [rate.value for run, rate in result.content() if run.convergent is convergent]
        if rates:
            mean = bootstrap_mean(torch.tensor(rates, dtype=torch.float64), result.seed)
            lines.append(
                f"  Outputs follow another list's blanks in {mean.percent()} of cases, mean over "
                f"{len(rates)} {words} runs with blanks."
            )
    return lines


def _finding(result: ReplicationResult) -> str:
    n = len(result.contrasts)
    if not n:
        return "No two arms that the plan compares have ended runs: nothing to conclude yet."
    by_verdict: dict[Verdict, list[str]] = {}
    for contrast in result.contrasts:
        words = f"{contrast.arm} against {contrast.against}"
        by_verdict.setdefault(contrast.verdict, []).append(words)
    counted = {name: outcome.n for name, outcome in result.outcomes.items()}
    least, most = min(counted.values()), max(counted.values())
    runs = f"{least}" if least == most else f"{least} to {most}"
    parts = [
        f"{_VERDICTS[verdict]}: {', '.join(by_verdict[verdict])}"
        for verdict in ("more", "fewer", "no difference shown", "too few runs")
        if verdict in by_verdict
    ]
    length = max(arm.config.max_len for arm in result.study.plan.arms)
    return (
        f"At {100 * LEVEL:.0f} %, {runs} runs an arm, lists of up to {length} digits: "
        f"{'; '.join(parts)}."
    )


def to_json(result: ReplicationResult) -> dict[str, Any]:
    """The result as data: arms, comparisons, thresholds, and every run's own numbers."""
    plan = result.study.plan
    return {
        "thresholds_of_the_plan": vars(plan.measures),
        "arms": {
            name: {
                "words": plan.arm(name).words,
                "runs": outcome.n,
                "convergent": outcome.convergent(),
                "share": outcome.share().to_dict(),
                "mean_accuracy": outcome.mean(result.seed).to_dict(),
                "convergent_by_threshold": [outcome.convergent(t) for t in THRESHOLDS],
            }
            for name, outcome in result.outcomes.items()
        },
        "thresholds": list(THRESHOLDS),
        "comparisons": [_contrast_json(result, contrast) for contrast in result.contrasts],
        "runs": [_run_json(run) for run in result.study.runs],
        "ladder": ladder_json(result.rungs),
    }


def _contrast_json(result: ReplicationResult, contrast: Contrast) -> dict[str, Any]:
    one, other = (result.outcomes[name] for name in (contrast.arm, contrast.against))
    return {
        **asdict(contrast),
        "verdict": contrast.verdict,
        "fisher_p_by_threshold": [
            fisher_exact(one.convergent(t), one.n, other.convergent(t), other.n) for t in THRESHOLDS
        ],
    }


def _run_json(run: RunResult) -> dict[str, Any]:
    if run.summary is None:
        return {"arm": run.arm, "seed": run.seed, "ended": False, "step": run.step}
    kept = ("convergent", "diverged_at", "batch", "held_out", "final", "blanks", "cost")
    about = {key: run.summary[key] for key in kept if key in run.summary}
    return {"arm": run.arm, "seed": run.seed, "ended": True, **about}
