"""What experiments are about, as flags: a model, one list, two models, a run, a study, all sorters.

Each is a frozen dataclass whose fields are the flags that choose it, beside those that every
command has. ``analyses.experiment.runner`` opens them. Free of torch, so that ``--help`` is
immediate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from interp.rules import read_rule
from interp.support.device import Device
from interp.support.errors import UserError


@dataclass(frozen=True)
class OfModel:
    """One model, over lists that are sampled."""

    model: str = "blanks"  # a shipped model, compiled:NAME, a run folder or a checkpoint
    seed: int = 0  # of the lists that are sampled, and of bootstrap intervals
    device: Device = "auto"  # where the model runs
    out: Path = Path("results")  # folder for the figure, the result and the manifest
    json: bool = False  # print the result as JSON on stdout, and nothing else there
    task: Path | None = None  # FILE.py with the task, of a model whose task is in a file of yours
    lists_file: Path | None = None  # FILE of lists in place of those sampled; or --lists FILE

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.task is not None:
            read_rule(self.task)


@dataclass(frozen=True)
class OfList(OfModel):
    """One list, sorted by a model to which something may be done."""

    list: str = "3,1,4,1,5,9,2,6,5,3"  # the list to sort: 3,1,4 or 314, or a file
    do: str = ""  # what is done to the model: zero:3-10, mask:all, transplant:0-47:3,1 (none)


@dataclass(frozen=True)
class OfTwoModels(OfList):
    """One list, sorted by two models, A and B."""

    other: str = "no-blanks"  # B, as --model names A
    other_do: str | None = None  # what is done to B (default: what is done to A)


@dataclass(frozen=True)
class OfSorters:
    """All sorters that are compiled by hand."""

    seed: int = 0  # of the lists that are sampled
    device: Device = "auto"  # where the models run
    out: Path = Path("results")  # folder for the figure, the result and the manifest
    json: bool = False  # print the result as JSON on stdout, and nothing else there
    lists_file: Path | None = None  # FILE of lists in place of those sampled; or --lists FILE

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclass(frozen=True)
class OfRun:
    """Every checkpoint of a training run."""

    run: str  # a shipped run by its name, or a run folder
    seed: int = 0  # of the lists
    out: Path = Path("results")  # folder for the figure, the result and the manifest
    json: bool = False  # print the result as JSON on stdout, and nothing else there
    lists_file: Path | None = None  # FILE of lists in place of those sampled; or --lists FILE

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclass(frozen=True)
class OfStudy:
    """A study of many training runs."""

    study: Path  # a study's folder, or an export of one
    seed: int = 0  # of bootstraps and random permutations
    out: Path = Path("results")  # folder for the figure, the result and the manifest
    json: bool = False  # print the result as JSON on stdout, and nothing else there

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclass(frozen=True)
class OfLogs:
    """What was logged while models trained: nothing is computed, so there is no seed."""

    out: Path = Path("results")  # folder for the figure, the result and the manifest
    json: bool = False  # print the result as JSON on stdout, and nothing else there


Flags = OfModel | OfList | OfTwoModels | OfSorters | OfRun | OfStudy | OfLogs


def check_seed(seed: int) -> None:
    """Raises UserError for a negative one."""
    if seed < 0:
        raise UserError(f"--seed must be 0 or more, not {seed}")
