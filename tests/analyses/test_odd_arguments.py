"""Every command with arguments that nobody should give: an answer, or one line and status 2.

The corpus is made from the commands themselves: every flag, with values that are odd for its type.
Each run tries some of it, drawn from a seed; ``ODD_ARGUMENTS=all`` tries all of it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path

import pytest

from analyses.experiment import Experiment, arguments, main
from interp.checkpoints import save_model
from interp.task import SortTask
from tests.analyses.test_every_model import asked_of_models, on
from tests.covers import few
from tests.models import small_model

EACH = 6  # of each command
COUNTS = (
    "-1",
    "0",
    "1",
    "1000000000",
    "10000000000000000000",
    "1" + "0" * 40,
    "1.5",
    "x",
    "",
    "nan",
)
SHARES = ("nan", "inf", "-inf", "-1", "0", "1e400", "1e-320", "x", "")
WORDS = (
    "",
    " ",
    "-",
    "x",
    "0",
    "🙂",
    "9" * 5000,
    "../..",
    "/proc/nope",
    "3,1",
    "\t",
    "0-99",
    "a:b:c",
)
PLACES = ("/proc/nope", "/dev/null", "/dev/null/x", "\0", "x" * 300)


def flags_of(kind: type) -> Iterator[tuple[str, str]]:
    """Every flag of a command with its type, as it is written."""
    for field in fields(kind):
        inner = field.type
        if isinstance(inner, type) and is_dataclass(inner):
            yield from flags_of(inner)
        else:
            yield "--" + field.name.replace("_", "-"), str(field.type)


def odd(type_: str) -> tuple[str, ...]:
    if "Path" in type_:
        return PLACES
    if "float" in type_:
        return SHARES
    return COUNTS if "int" in type_ else WORDS


def corpus(one: Experiment) -> list[tuple[str, str]]:
    """The odd arguments of one command: all of them, or some."""
    flags = [pair for pair in flags_of(arguments(one)) if pair[0] not in ("--json", "--device")]
    every = [(flag, value) for flag, type_ in flags for value in odd(type_)]
    if os.environ.get("ODD_ARGUMENTS") == "all":
        return every
    return random.Random(one.name).sample(every, EACH)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd") / "model"
    save_model(folder, small_model(n_layers=1, task=SortTask(4, 3)))
    return folder


EVERY = {one.name: one for one in asked_of_models()}
NAMES = list(EVERY)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", few(NAMES, *NAMES[::3]))
def test_an_odd_argument_is_an_answer_or_one_line(
    name: str,
    model: Path,
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = EVERY[name]
    for flag, value in corpus(one):
        code = status(partial(main, one), [*on(one, model, tmp_path / "out"), flag, value])
        said = capsys.readouterr()
        assert code in (0, 2), (flag, value)
        if code:
            assert said.err.count("\n") == 1, (flag, value, said.err)
            assert not said.out, (flag, value)
        else:
            assert said.out.startswith("{"), (flag, value)
