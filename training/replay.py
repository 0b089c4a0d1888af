"""A stretch of a run again, in memory: exactly as it was, or with one thing changed.

    trainer = replayed(run, 480)                      # the run as it stood after 480 steps
    before = Snapshot.of(trainer)
    calmer = before.trainer(lr=1e-3)                  # goes on from there with another rate

Lists, dropout masks and the learning rate are functions of (seed, step), so a run can be made
again from its seed alone, bit for bit, where no state before it keeps the optimiser any more.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from interp.checkpoints import checkpoint_step, run_checkpoints
from interp.support.errors import UserError
from training.loop import Trainer
from training.recipes import TrainConfig
from training.runs import STATE, crash_states, read_run, restore


@dataclass(frozen=True)
class Snapshot:
    """All that the steps after it depend on."""

    config: TrainConfig
    step: int
    weights: dict[str, Tensor]
    state: dict[str, Any]

    @classmethod
    def of(cls, trainer: Trainer) -> Snapshot:
        weights = {k: v.detach().clone() for k, v in trainer.model.state_dict().items()}
        return cls(trainer.config, trainer.step, weights, copy.deepcopy(trainer.state()))

    def trainer(self, **changes: Any) -> Trainer:
        """A trainer that goes on from here.

        Args:
            changes: fields of the recipe that are to be others from now on. Another ``seed`` means
                other lists and dropout masks; a ``beta2`` acts on the moments as they are.
        """
        if changes.get("dropout") == 0:
            changes.setdefault("drop_mlp_out", True)  # there is no place left to leave out
        config = replace(self.config, **changes)
        trainer = Trainer(replace(config, beta2=self.config.beta2))  # as the moments were made
        trainer.restore(self.weights, copy.deepcopy(self.state))
        trainer.config = config
        for group in trainer.optimizer.param_groups:
            group["betas"] = (group["betas"][0], config.beta2)
        return trainer


def replayed(run: Path, step: int, each: Callable[[], None] = lambda: None) -> Trainer:
    """The run as it stood after ``step`` updates, made again; nothing in its folder changes.

    Args:
        each: called after every update that is made again.

    Raises:
        UserError: if this is no run, or one of fewer steps.
    """
    recorded = read_run(run)
    if not 0 <= step <= recorded.training.steps:
        raise UserError(f"--step must be 0 to {recorded.training.steps} for {run}, not {step}")
    trainer = Trainer(recorded.as_computed())
    if (start := _start(run, step)) is not None:
        restore(start, trainer, recorded.training)
    while trainer.step < step:
        trainer.update()
        each()
    return trainer


def steps_again(run: Path, step: int) -> int:
    """How many updates :func:`replayed` has to make again to come to ``step``."""
    start = _start(run, step)
    return step if start is None else step - checkpoint_step(start)


def _start(run: Path, step: int) -> Path | None:
    """The newest state up to ``step`` that keeps the optimiser; None for the seed."""
    states = [*run_checkpoints(run), *crash_states(run)]
    found = [p for p in states if checkpoint_step(p) <= step and (p / STATE).is_file()]
    return max(found, key=checkpoint_step, default=None)
