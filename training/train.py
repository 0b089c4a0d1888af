"""Train a transformer to sort, or to another task.

    python training/train.py                                # the default recipe, full length
    python training/train.py --max-len 10 --steps 600       # a small one, in a few minutes
    python training/train.py --recipe original --no-blanks  # the published experiment
    python training/train.py --task reverse --max-len 10    # another task; or --task FILE.py
    python training/train.py --resume runs/0001-stable-blanks-s0

A run goes to a numbered folder under --out. Ctrl-C writes a checkpoint and says how to go on; a
resumed run reaches the same weights, bit for bit, as one that was never stopped, also with another
number of --threads.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

if not __package__:  # run as a script: import from the repository, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from interp.rules import read_rule
from interp.support.cli import fail, run_command
from interp.support.errors import UserError
from training.recipes import RECIPES, STABLE, TrainConfig

PROG = "python training/train.py"


@dataclass(frozen=True)
class TrainArgs:
    """Train a sort transformer, or continue a run."""

    config: TrainConfig = STABLE
    out: Path = Path("runs")  # where numbered run folders go
    resume: Path | None = None  # a run folder to continue, with its own settings


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else list(argv)
    default = TrainArgs(config=RECIPES.get(_value_of("recipe", argv), STABLE))
    try:
        argv = _with_own_task(argv)
    except UserError as error:
        fail(PROG, str(error), 2)
    run_command(TrainArgs, _run, PROG, argv, default)


def _value_of(name: str, argv: Sequence[str]) -> str:
    """What a flag is given, which has to be known before the others; empty without it.

    The recipe's fields are the defaults of all other flags; a task of one's own is run to be known.
    """
    for flag, value in pairwise([*argv, ""]):
        if flag == f"--{name}":
            return value
        if flag.startswith(f"--{name}="):
            return flag.split("=", 1)[1]
    return ""


def _with_own_task(argv: Sequence[str]) -> list[str]:
    """The same flags with the name of a task in place of the file that holds it."""
    file = _value_of("task", argv)
    if not file.endswith(".py"):
        return list(argv)
    name = read_rule(Path(file)).name
    resumed = _value_of("resume", argv)  # with the task that it was begun with
    if resumed:
        return [word for word in argv if word not in ("--task", file, f"--task={file}")]
    named = {file: name, f"--task={file}": f"--task={name}"}
    return [named.get(word, word) for word in argv]


def _run(args: TrainArgs) -> None:
    threads = args.config.threads
    if args.resume and args != TrainArgs(replace(STABLE, threads=threads), resume=args.resume):
        raise UserError(
            "--resume continues a run with its own settings, where it is; drop all flags but "
            "--threads"
        )
    # Opened by name: it imports torch and all, which waits until flags are known to be good.
    course = importlib.import_module("training.course")
    if args.resume:
        course.resume(args.resume, threads)
    else:
        course.begin(args.config, args.out)


if __name__ == "__main__":
    main()
