"""Goes on from one state of a run in several ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from analyses.crash.body import mistakes
from analyses.crash.drops import first_drop
from analyses.experiment.given import own_or
from analyses.settle import SettleSettings
from analyses.settle.figure import figure
from analyses.settle.result import AS_IT_WAS, NO_DROPOUT, NOT_AFTER_MLPS, SettleResult, Way, lower
from analyses.settle.words import rows, summary, to_json
from interp.answers.decode import score
from interp.interventions import Intervention
from interp.methods.variance_shift import ExpectDropout, norms_of
from interp.sites import Component
from interp.stats import Estimate, clustered_rate
from interp.support.errors import UserError
from interp.support.progress import Progress
from interp.task import SortBatch
from training.average import WeightAverage
from training.loop import Trainer
from training.recipes import TrainConfig
from training.replay import Snapshot, replayed, steps_again
from training.runs import read_run

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(run: Path, settings: SettleSettings, seed: int, progress: Progress) -> SettleResult:
    """Go on from a state of ``run``, whose folder does not change.

    Raises:
        UserError: if the run has no such step, no drop where none is given, or ends before the
            steps asked for.
    """
    end = read_run(run).training.steps
    step = first_drop(run) if settings.step is None else settings.step
    if not 0 < step <= end - settings.steps:
        raise UserError(
            f"--step must be 1 to {end - settings.steps}, not {step}: {run} ends at step {end}, "
            f"and --steps {settings.steps} have to follow"
        )
    progress.begin(steps_again(run, step), "replaying")
    trainer = replayed(run, step, progress.step)
    state, task = Snapshot.of(trainer), trainer.model.task
    held_out = own_or(task, lambda: task.held_out(settings.lists, seed))
    changes = dict(_changes(trainer.config, settings))
    progress.begin(len(changes) * settings.steps, "going on")
    ways = {
        name: _go_on(state.trainer(**changed), held_out, settings, seed, progress)
        for name, changed in changes.items()
    }
    return SettleResult(
        step=step,
        ways=ways,
        slow=settings.slow,
        momentum=float(trainer.optimizer.param_groups[0]["betas"][0]),
    )


def _changes(config: TrainConfig, settings: SettleSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each way's name, and its fields of the recipe; of a run without dropout, fewer."""
    calm = {"lr": config.lr / settings.calm}
    yield AS_IT_WAS, {}
    yield lower(settings.slow), {"lr": config.lr / settings.slow}
    yield lower(settings.calm), calm
    if config.dropout and config.drop_mlp_out:
        yield NOT_AFTER_MLPS, {"drop_mlp_out": False}
    if config.dropout:
        yield NO_DROPOUT, {"dropout": 0.0}
        yield f"{NO_DROPOUT}, {lower(settings.calm)}", calm | {"dropout": 0.0}


def _go_on(
    trainer: Trainer,
    held_out: SortBatch,
    settings: SettleSettings,
    seed: int,
    progress: Progress,
) -> Way:
    average = WeightAverage(trainer.model, settings.decay, trainer.step)
    exact, averaged, expecting, looked_at = [], [], [], []
    expects = _expects(trainer)
    for number in range(1, settings.steps + 1):
        trainer.update()
        average.update(trainer.model)
        exact.append(score(trainer.model, held_out).exact)
        if number % settings.every == 0 or number == settings.steps:
            averaged.append(score(average.model, held_out).exact)
            if expects:
                changed = score(average.model, held_out, interventions=expects)
                expecting.append(changed.exact)
            looked_at.append(number)
        progress.step()
    half = settings.steps // 2
    late = sum(number > half for number in looked_at)
    return Way(
        lr=trainer.config.lr,
        dropout=trainer.config.dropout,
        exact=tuple(float(one.float().mean()) for one in exact),
        averaged=tuple(
            (trainer.step - settings.steps + number, float(one.float().mean()))
            for number, one in zip(looked_at, averaged, strict=True)
        ),
        weights=_over_lists(exact[half:], seed),
        average=_over_lists(averaged[-late:], seed),
        expecting=_over_lists(expecting[-late:], seed) if expects else None,
        mistakes=mistakes(average.model, held_out, seed),
    )


def _expects(trainer: Trainer) -> list[Intervention]:
    """What takes the variance shift of the run's dropout away, where there is one."""
    model, p = trainer.model, trainer.config.dropout
    if not p or model.config.norm != "post":
        return []
    after = (Component.ATTN_OUT, *([Component.MLP_OUT] if trainer.config.drop_mlp_out else []))
    return [ExpectDropout(norm, p) for norm in norms_of(model) if norm.part in after]


def _over_lists(looks: list[torch.Tensor], seed: int) -> Estimate:
    """The share over all looks; those at one list go together."""
    by_list = torch.stack(looks, 1)
    return clustered_rate(by_list, torch.ones_like(by_list), seed)
