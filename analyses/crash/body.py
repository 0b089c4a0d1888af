"""Makes a run again around a drop, and tries what did it and what stops it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analyses.crash import CrashSettings
from analyses.crash.drops import first_drop
from analyses.crash.figure import figure
from analyses.crash.result import OTHERS, Again, CrashResult, Moment
from analyses.crash.words import rows, summary, to_json
from analyses.experiment.given import own_or
from interp.answers.decode import score
from interp.answers.trials import nothing, run_trials
from interp.model import SortTransformer
from interp.stats import Estimate, clustered_rate, wilson
from interp.support.progress import Progress
from interp.task import SortBatch
from training.average import WeightAverage
from training.curves import CRASH_DROP
from training.loop import Trainer
from training.replay import Snapshot, replayed, steps_again

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment

_EVERY = 2  # steps between two looks at steps that are made again
_OTHER_SEEDS = 1000  # of other lists: far from those of any study


def compute(run: Path, settings: CrashSettings, seed: int, progress: Progress) -> CrashResult:
    """Take a drop apart.

    Raises:
        UserError: if the run has no drop, or no such step.
    """
    step = first_drop(run) if settings.step is None else settings.step
    start = max(0, step - settings.before)
    again = (len(CHANGES) + settings.others) * (settings.before + 5)
    progress.begin(steps_again(run, start) + again, "replaying")
    trainer = replayed(run, start, progress.step)
    task = trainer.model.task
    held_out = own_or(task, lambda: task.held_out(settings.lists, seed))
    last = min(step + settings.after, trainer.config.steps)
    course, states = _watch(trainer, held_out, last, settings.decay)
    before, during, after = _three(course, step)
    found = {"before": states[before], "during": states[during]}
    if after is not None:
        found["after"] = states[after]
    models = {name: _model(state) for name, state in found.items()}
    return CrashResult(
        course=course,
        before=before,
        during=during,
        after=after,
        exact={name: _exact(model, held_out) for name, model in models.items()},
        mistakes=mistakes(models["during"], held_out, seed),
        mistakes_before=mistakes(models["before"], held_out, seed),
        groups=_exchanged(states[before], states[during], held_out),
        again=tuple(_all_again(states[before], during, settings, held_out, progress)),
        drop=CRASH_DROP,
    )


def _watch(
    trainer: Trainer, held_out: SortBatch, last: int, decay: float
) -> tuple[tuple[Moment, ...], dict[int, Snapshot]]:
    """Every step up to ``last``, and the state at each."""
    average = WeightAverage(trainer.model, decay, trainer.step)
    moments, states = [], {}
    while trainer.step < last:
        old = [p.detach().clone() for p in trainer.parameters]
        trainer.update()
        average.update(trainer.model)
        moved = _length([p.detach() - o for p, o in zip(trainer.parameters, old, strict=True)])
        gradient = _length([p.grad for p in trainer.parameters if p.grad is not None])
        exact, averaged = (_share(m, held_out) for m in (trainer.model, average.model))
        moments.append(Moment(trainer.step, exact, averaged, moved, gradient))
        states[trainer.step] = Snapshot.of(trainer)
    return tuple(moments), states


def _length(parts: Sequence[Tensor]) -> float:
    return float(torch.stack([part.norm() for part in parts]).norm())


def _share(model: SortTransformer, held_out: SortBatch) -> float:
    return float(score(model, held_out).exact.float().mean())


def _exact(model: SortTransformer, held_out: SortBatch) -> Estimate:
    exact = score(model, held_out).exact
    return wilson(int(exact.sum()), len(exact))


def _three(course: Sequence[Moment], step: int) -> tuple[int, int, int | None]:
    """The best state up to the drop, the worst after that one, and the best after the worst."""
    best = max((m for m in course if m.step < step), key=lambda m: (m.exact, m.step))
    worst = min((m for m in course if m.step > best.step), key=lambda m: m.exact)
    later = [m for m in course if m.step > worst.step and m.exact > worst.exact]
    return best.step, worst.step, max(later, key=lambda m: m.exact).step if later else None


def _model(state: Snapshot) -> SortTransformer:
    model = SortTransformer(state.config.model())
    model.load_state_dict(state.weights)
    return model


# -- which outputs ------------------------------------------------------------------------------

WAYS = {
    "first": "the first output is wrong",
    "leaves early": "a digit is left although copies of it are still to come",
    "stays long": "a digit is given again although all its copies are out",
    "wrong next": "all copies are out, and the wrong next digit follows",
}


def mistakes(model: SortTransformer, held_out: SortBatch, seed: int) -> dict[str, Estimate]:
    """Of all outputs along right answers, the share that goes wrong in each of ``WAYS``."""
    trials = run_trials(model, held_out, {"as it is": nothing}, seed=seed)
    right, said, scored = trials.answers, trials.of("as it is"), trials.scored
    pad = model.task.pad
    last = torch.cat([torch.full_like(right[:, :1], pad), right[:, :-1]], 1)
    wrong, first = (said != right) & scored, last == pad
    first[:, 1:] = False
    due = (right == last) & ~first  # another copy of the last digit is to come
    ways = {
        "first": wrong & first,
        "leaves early": wrong & due,
        "stays long": wrong & ~first & ~due & (said == last),
        "wrong next": wrong & ~first & ~due & (said != last),
    }
    return {name: clustered_rate(way, scored, seed) for name, way in ways.items()}


# -- which weights ------------------------------------------------------------------------------


def groups_of(names: Sequence[str]) -> dict[str, list[str]]:
    """The parameters of each group, by its name: ``QK 0``, ``OV 0``, ``MLP 0``, ``norms``, ..."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_group(name), []).append(name)
    return found


def _group(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "blocks" and parts[2] == "attn":
        return f"{'QK' if parts[3][-1] in 'QK' else 'OV'} {parts[1]}"
    if parts[0] == "blocks" and parts[2] == "mlp":
        return f"MLP {parts[1]}"
    if "ln" in name:
        return "norms"
    return "unembedding" if parts[0] == "unembed" else "embedding"


def _exchanged(
    before: Snapshot, during: Snapshot, held_out: SortBatch
) -> dict[str, tuple[Estimate, Estimate]]:
    """Exact match with one group exchanged: before into during, and during into before."""
    model = _model(before)
    found = {}
    for group, names in groups_of(list(dict(model.named_parameters()))).items():
        both = []
        for base, donor in ((during, before), (before, during)):
            model.load_state_dict(base.weights | {name: donor.weights[name] for name in names})
            both.append(_exact(model, held_out))
        found[group] = (both[0], both[1])
    return found


# -- what stops it ------------------------------------------------------------------------------

CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "as it was": ("nothing changed", {}),
    "lr / 4": ("a quarter of the learning rate", {}),  # of the run's own: see _changes
    "clipped": ("gradients clipped at 0.1", {"clip_norm": 0.1}),
    "beta2 0.9": ("Adam's second moment over the last 10 steps", {"beta2": 0.9}),
    "no dropout": ("no dropout", {"dropout": 0.0}),
}


def _all_again(
    before: Snapshot, during: int, settings: CrashSettings, held_out: SortBatch, progress: Progress
) -> Iterator[Again]:
    steps = during - before.step + 5
    for name, (words, changes) in CHANGES.items():
        if name == "lr / 4":
            changes = {"lr": before.config.lr / 4}
        yield _again(name, words, before.trainer(**changes), steps, held_out, progress)
    for number in range(settings.others):
        other = before.trainer(seed=_OTHER_SEEDS + number)
        words = "other lists and dropout masks"
        yield _again(f"{OTHERS} {number}", words, other, steps, held_out, progress)


def _again(
    name: str, words: str, trainer: Trainer, steps: int, held_out: SortBatch, progress: Progress
) -> Again:
    at, exact = [trainer.step], [_share(trainer.model, held_out)]
    for number in range(1, steps + 1):
        trainer.update()
        progress.step()
        if number % _EVERY == 0 or number == steps - 5:  # the step of the drop itself, too
            at.append(trainer.step)
            exact.append(_share(trainer.model, held_out))
    return Again(name, words, tuple(at), tuple(exact))
