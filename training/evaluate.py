"""How well a model does its task, with intervals, by length, and with its blanks masked.

    python -m training.evaluate --model blanks
    python -m training.evaluate --model runs/0001-stable-blanks-s0 --lists 2000 --decode
    python -m training.evaluate --model blanks --mask-blanks
    python -m training.evaluate --model blanks --distinct-digits 1
    python -m training.evaluate --model blanks --lists my_lists.txt

Lists are the held-out set: as many of every length, made from a seed; or those in a file, one on
each line. Exact match is the share of
lists without a mistake, with a Wilson interval; digit accuracy the share of single digits, with a
bootstrap over lists, whose digits go wrong together.

--mask-blanks closes the blanks to every output but the first (the published test). It takes away
what the blanks hold *and* the attention that they draw: a drop does not show which it was.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from interp.rules import read_rule
from interp.support.cli import run_command
from interp.support.device import Device
from interp.support.errors import UserError, at_least

PROG = "python -m training.evaluate"


@dataclass(frozen=True)
class EvaluateArgs:
    """Exact match and digit accuracy of a model, with 95 % intervals."""

    model: str = "blanks"  # a shipped model, a run folder or a checkpoint
    lists: int | Path = 10_000  # how many, as many of every length; or a file of lists
    seed: int = 0  # of the lists
    distinct_digits: int | None = None  # draw lists from so many digits each (default: from all)
    mask_blanks: bool = False  # outputs after the first may not attend to the blanks
    mask_row_97: bool = False  # nor may the last blank, which emits the first output
    decode: bool = False  # also decode greedily, token by token, and check that both agree
    task: Path | None = None  # FILE.py with the task, of a model whose task is in a file of yours
    device: Device = "auto"  # where the model runs
    json: bool = False  # print the result as JSON on stdout, and nothing else there

    def __post_init__(self) -> None:
        if isinstance(self.lists, Path):
            self._check_file(self.lists)
        else:
            at_least(self, lists=1)
        if self.distinct_digits is not None:
            at_least(self, distinct_digits=1)
        if self.task is not None:
            read_rule(self.task)
        if self.seed < 0:
            raise UserError(f"--seed must be 0 or more, not {self.seed}")
        if self.mask_row_97 and not self.mask_blanks:
            raise UserError("--mask-row-97 adds to --mask-blanks; give both")

    def _check_file(self, file: Path) -> None:
        if not file.exists():
            raise UserError(f"--lists: {str(file)!r} is neither a number nor a file of lists")
        if self.distinct_digits is not None:
            raise UserError("--distinct-digits is about lists that are drawn, not those of a file")


def main(argv: Sequence[str] | None = None) -> None:
    run_command(EvaluateArgs, _run, PROG, argv)


def _run(args: EvaluateArgs) -> None:
    # Opened by name: it imports torch and all, which waits until flags are known to be good.
    importlib.import_module("training.evaluation").evaluate_command(args)


if __name__ == "__main__":
    main()
