"""Make what is shipped with the package out of a run folder.

    python -m training.ship model RUN blanks-original           # its best checkpoint
    python -m training.ship model RUN bottleneck --step 2500    # or that one
    python -m training.ship run RUN original-blanks --steps 500,1000,2000

``model`` writes ``interp/pretrained/NAME``: weights, evaluation on 10,000 held-out lists, and the
run's curves and manifest. The best checkpoint is the one that sorts most of 2,000 held-out lists of
another seed, so that choosing does not flatter the evaluation; the choice is written down.

``run`` writes ``interp/pretrained/runs/NAME``, a run folder whose checkpoints are half as large:
in bfloat16 where that changes nothing on 2,000 held-out lists (which outputs are right), else in
float16 where that changes fewer than 1 output in 1,000, else whole. Each one's ``config.json``
says which, and how many outputs it changes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, subcommand

from interp.checkpoints import (
    CONFIG,
    EVALUATION,
    HASH,
    METRICS,
    PRETRAINED,
    SHIPPED_RUNS,
    WEIGHTS,
    check_replaceable,
    checkpoint_step,
    load_bare,
    read_weights,
    run_checkpoints,
    weights_hash,
)
from interp.support import files
from interp.support.cli import note, run_command
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.support.strict_json import cut

if TYPE_CHECKING:
    import torch

    from interp.passes.bare import BareTransformer
else:
    torch = lazy_import("torch")

PROG = "python -m training.ship"
MANIFEST = "manifest.json"
CHECKED_LISTS, CHOICE_SEED = 2000, 1
"""The held-out lists by which a checkpoint is chosen, and on which half precision is checked."""
EVALUATED_LISTS = 10_000
_MOST_BYTES = 1 << 31  # of a file of a run
_SMALLER = {"bfloat16": 0.0, "float16": 1e-3, "float32": 0.0}
"""Types, and the share of outputs that each may change."""


@dataclass(frozen=True)
class ShipModel:
    """One checkpoint of a run, as a model of the package."""

    run: Positional[Path]  # a run folder
    name: Positional[str]  # what it will be called
    step: int | None = None  # its checkpoint (default: the one that sorts most lists)
    out: Path = PRETRAINED  # where shipped models are


@dataclass(frozen=True)
class ShipRun:
    """Some checkpoints of a run and its curves, as a run of the package."""

    run: Positional[Path]  # a run folder
    name: Positional[str]  # what it will be called
    steps: str = ""  # checkpoints, as 500,1000 (default: all)
    out: Path = SHIPPED_RUNS  # where shipped runs are


Command = Annotated[ShipModel, subcommand("model")] | Annotated[ShipRun, subcommand("run")]


def main(argv: Sequence[str] | None = None) -> None:
    run_command(Command, _command, PROG, argv)


def _command(args: ShipModel | ShipRun) -> None:
    checkpoints = {checkpoint_step(path): path for path in run_checkpoints(args.run)}
    if not checkpoints:
        raise UserError(f"{args.run} holds no checkpoints of a run")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", args.name):
        raise UserError(f"{args.name!r} is no name for a model: small letters, digits and hyphens")
    check_replaceable(args.out / args.name)
    if isinstance(args, ShipModel):
        ship_model(args, checkpoints)
    else:
        ship_run(args, checkpoints)


def ship_model(args: ShipModel, checkpoints: dict[int, Path]) -> None:
    """Write the folder of a shipped model, whole or not at all."""
    from training.evaluation import evaluate

    chosen = choose(args.step, checkpoints)
    source = checkpoints[chosen["step"]]
    loaded = load_bare(source)
    config = {**loaded.info, HASH: loaded.hash, "chosen": chosen}
    evaluation = {
        "model": {"name": args.name, "hash": loaded.hash},
        **evaluate(loaded.model, EVALUATED_LISTS),
    }
    with files.new_folder(args.out / args.name) as staging:
        _copy(source / WEIGHTS, staging / WEIGHTS)
        files.write_json(staging / CONFIG, config)
        files.write_json(staging / EVALUATION, evaluation)
        _copy_records(args.run, staging)
    exact = evaluation["exact_match"]
    print(f"{args.out / args.name}: step {chosen['step']}, {100 * exact['value']:.2f} % exact")


def choose(step: int | None, checkpoints: dict[int, Path]) -> dict[str, Any]:
    """Which checkpoint, and why: ``step``, and how many lists of the choice each one sorts."""
    if step is not None:
        return {"step": _there(step, checkpoints), "why": "the step that was asked for"}
    sorted_lists = {}
    for number, folder in checkpoints.items():
        exact = predictions(load_bare(folder).model)[1]
        sorted_lists[number] = int(exact.sum())
        note(f"step {number}: {sorted_lists[number]} of {len(exact)} lists")
    best = max(sorted_lists, key=lambda number: (sorted_lists[number], number))
    why = f"it sorts most of {CHECKED_LISTS} held-out lists of seed {CHOICE_SEED}"
    return {"step": best, "why": why, "sorted": {str(k): n for k, n in sorted_lists.items()}}


def ship_run(args: ShipRun, checkpoints: dict[int, Path]) -> None:
    """Write the folder of a shipped run, whole or not at all."""
    wanted = args.steps.split(",") if args.steps else list(map(str, checkpoints))
    if bad := [text for text in wanted if not re.fullmatch(r"\s*[0-9]{1,18}\s*", text)]:
        raise UserError(f"--steps takes numbers like 500,1000, not {cut(bad[0])!r}")
    steps = sorted({_there(int(text), checkpoints) for text in wanted})
    with files.new_folder(args.out / args.name) as staging:
        _copy(args.run / CONFIG, staging / CONFIG)
        _copy_records(args.run, staging)
        for step in steps:
            target = staging / "checkpoints" / f"step-{step:06d}"
            target.mkdir(parents=True)
            kept_in = write_smaller(checkpoints[step], target)
            note(f"step {step}: {kept_in}")
    print(f"{args.out / args.name}: {len(steps)} checkpoints")


def write_smaller(source: Path, target: Path) -> str:
    """A checkpoint in the smallest type that will do; which it was, in words."""
    from safetensors.torch import save

    weights, loaded = read_weights(source), load_bare(source)
    whole = predictions(loaded.model)[0]
    for name, most in _SMALLER.items():
        dtype = getattr(torch, name)
        smaller = {k: t.to(dtype) if t.is_floating_point() else t for k, t in weights.items()}
        model: Any = _bare(loaded.model.config, smaller)
        changed = int((predictions(model)[0] != whole).sum())
        if changed <= most * whole.numel():
            break
    data = save(smaller)
    files.write_bytes(target / WEIGHTS, data)
    about = {
        "type": name,
        "outputs_changed": changed,
        "of": whole.numel(),
        "checked_on": f"{CHECKED_LISTS} held-out lists, seed {CHOICE_SEED}",
    }
    recorded = {HASH: weights_hash(loaded.model.config, data), "weights": about}
    files.write_json(target / CONFIG, {**loaded.info, **recorded})
    return f"{name}, {changed} of {whole.numel()} outputs changed"


def _bare(config: Any, weights: dict[str, torch.Tensor]) -> BareTransformer:
    from interp.passes.bare import BareTransformer

    return BareTransformer(config, {name: tensor.float() for name, tensor in weights.items()})


def predictions(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """[output] which outputs of the held-out lists are right, and [list] which lists are."""
    from interp.answers.decode import score

    answers = score(model, model.task.held_out(CHECKED_LISTS, CHOICE_SEED))
    return answers.right[answers.scored], answers.exact


def _there(step: int, checkpoints: dict[int, Path]) -> int:
    if step not in checkpoints:
        raise UserError(
            f"no checkpoint of step {step}; there are {', '.join(map(str, checkpoints))}"
        )
    return step


def _copy(source: Path, target: Path) -> None:
    """A file of a run that may be anybody's: never a device, which has no end."""
    files.write_bytes(target, files.read_bytes(source, _MOST_BYTES))


def _copy_records(run: Path, target: Path) -> None:
    """Curves and manifest; without the names of this machine's folders."""
    from training.runs import read_manifest

    _copy(run / METRICS, target / METRICS)
    about = read_manifest(run)
    for record in (about, *about["resumed"]):
        record.pop("arguments", None)
    files.write_json(target / MANIFEST, about)


if __name__ == "__main__":
    main()
