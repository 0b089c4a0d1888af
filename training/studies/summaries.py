"""What one run came to: ``summary.json``, made where the weights are.

    python -m training.study --plan quick --seeds 2 --summarise     # make them again, train nothing

The measures are those of the plan; the last weights are tested on fresh held-out lists, which no
curve was drawn from. What depends on the clock or the machine lies under ``cost``: the rest is the
same whenever and wherever the run is repeated with the same arithmetic.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from interp.answers.use import exact_without_blanks, follow_rate
from interp.checkpoints import (
    METRICS,
    LoadedModel,
    checkpoint_step,
    load_model,
    run_checkpoints,
)
from interp.model import SortTransformer
from interp.support import files
from interp.support.device import pick_device
from training.curves import read_curves
from training.metrics import read_metrics
from training.runs import RunConfig, read_manifest, read_run
from training.studies.folders import SUMMARY, Job
from training.studies.measures import is_convergent, measure, to_the_end
from training.studies.plans import Plan
from training.studies.summary_schema import SUMMARY_FORMAT

FINAL_SEED = 1  # of the final lists; the curve's held-out lists have seed 0


def write_summary(job: Job, plan: Plan, diverged_at: int | None = None) -> dict[str, Any]:
    """Measure a run that has ended, and record it in its folder."""
    run = read_run(job.folder)
    config, rows = run.training, read_metrics(job.folder / METRICS)
    curves = to_the_end(read_curves(rows), config, diverged_at)
    batch = measure(curves.batch, plan.measures, config.steps)
    held_out = measure(curves.held_out, plan.measures, config.steps)
    averaged = measure(curves.average, plan.measures, config.steps)
    loaded = None if diverged_at is not None else load_model(job.folder, _device(run))
    summary = {
        "format": SUMMARY_FORMAT,
        "plan": plan.name,
        "arm": job.arm,
        "seed": job.seed,
        "steps": config.steps,
        "diverged_at": diverged_at,
        "training": config.to_dict(),
        "thresholds": vars(plan.measures),
        "convergent": is_convergent(batch, plan.measures, diverged_at),
        "batch": batch.to_dict(),
        "held_out": held_out.to_dict(),
        **({"average": averaged.to_dict()} if curves.average.steps else {}),
        "final": _final(loaded, plan.measures.final_lists) if loaded else None,
        "blanks": _blanks(loaded.model) if loaded else None,
        "model_hash": loaded.hash if loaded else None,
        "cost": _cost(job.folder, run, rows),
    }
    files.write_json(job.folder / SUMMARY, summary)
    return summary


def _blanks(model: SortTransformer) -> dict[str, Any] | None:
    """Sink or content: whose answer comes with another list's blanks, and what survives without.

    None for a model that has no blanks.
    """
    if not model.task.n_blanks:
        return None
    followed = follow_rate(model, _PAIRS, FINAL_SEED)
    ablated = exact_without_blanks(model, _PAIRS, FINAL_SEED)
    return {
        "follow_rate": None if followed is None else followed.to_dict(),
        "exact_match_under": {kind.value: rate.to_dict() for kind, rate in ablated.items()},
    }


_PAIRS = 144  # three of every length up to 48


def has_ended(job: Job) -> bool:
    """Whether a run has reached its last step, or has diverged."""
    if (summary := job.summary()) is not None and summary.get("diverged_at") is not None:
        return True
    checkpoints = run_checkpoints(job.folder)
    return (
        bool(checkpoints)
        and checkpoint_step(checkpoints[-1]) == read_run(job.folder).training.steps
    )


def _device(run: RunConfig) -> str:
    """The run's own, where this machine has it."""
    wanted, here = run.device.split(":")[0], pick_device("auto").type
    return wanted if wanted in (here, "cpu") else here


def _final(loaded: LoadedModel, n_lists: int) -> dict[str, Any]:
    """Exact match and digit accuracy of the last weights."""
    from interp.answers.decode import score

    batch = loaded.model.task.held_out(n_lists, FINAL_SEED).to(loaded.model.W_U.device)
    answers = score(loaded.model, batch)
    return {
        "lists_seed": FINAL_SEED,
        "exact_match": answers.exact_match().to_dict(),
        "digit_accuracy": answers.digit_accuracy().to_dict(),
    }


def _cost(folder: Path, run: RunConfig, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Time spent, by the run's own clock, which starts again with each process."""
    clock = [row["seconds"] for row in rows if "seconds" in row]
    ends = [before for before, after in pairwise([*clock, 0.0]) if after < before]
    seconds = sum(ends)
    done = rows[-1]["step"] * run.training.batch_size if rows else 0
    manifest = read_manifest(folder)
    return {
        "seconds": round(seconds, 1),
        "lists_per_s": round(done / seconds, 1) if seconds else None,
        "processes": 1 + len(manifest["resumed"]),
        "threads": run.threads,
        "device": run.device,
        "precision": run.precision,
        "kernel": run.kernel,
        "micro_batch": run.training.micro_batch,
        "machine": manifest["machine"],
        "versions": manifest["versions"],
        "git_commit": manifest["git_commit"],
    }
