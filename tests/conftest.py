"""What all tests share: annotations that are checked, one thread, and reproducible examples.

Every function and dataclass of our packages is checked against its jaxtyping annotations while
tests run, functions in the first calls of each test: a tensor of the wrong type or shape raises an
error (tests/test_checks.py). Names that a module imports for type checkers only
(``if TYPE_CHECKING``) mean nothing at run time, and are not checked. Commands that tests start as
processes run as users have them, unchecked, but for their one thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Of the commands that tests start as processes, too: a test runs on every core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.checks import PACKAGES, check_anew, check_annotations, without_checks
from tests.covers import dealt

if early := [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
    raise RuntimeError(f"{early[0]} was imported before its annotations could be checked")
check_annotations()

# Only from here on may anything import our packages.
import hypothesis  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from analyses.experiment import Experiment, main  # noqa: E402

torch.set_num_threads(1)  # small models: sharing them out over cores costs more than it saves

hypothesis.settings.register_profile(
    "sortscope",
    deadline=None,  # the first example of a test pays for lazy imports
    max_examples=25,
    derandomize=True,
)
hypothesis.settings.load_profile("sortscope")


@pytest.hookimpl(trylast=True)  # of those alone that `-m` and `-k` leave
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each of several workers begins with whole files that hold long tests.

    ``worksteal`` deals out the list in as many runs of equal numbers as there are workers, and who
    is done takes from the end of another's: what is left for the end should be short.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        items[:] = dealt(items, workers)


def pytest_runtest_setup() -> None:
    check_anew()


def pytest_runtest_call() -> None:
    check_anew()  # what the fixtures called does not count


@pytest.fixture
def unchecked() -> Iterator[None]:
    """:func:`without_checks`, for the length of a test."""
    with without_checks():
        yield


@pytest.fixture
def status() -> Callable[[Callable[..., None] | Experiment, list[str]], int]:
    """Runs an experiment's command, or a ``main``, on arguments; gives its exit status."""

    def run(command: Callable[..., None] | Experiment, argv: list[str]) -> int:
        try:
            if isinstance(command, Experiment):
                main(command, argv)
            else:
                command(argv)
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small untrained models for the explorer: ``with`` blanks and ``without``. Only to be read."""
    from tests.pages import small_models

    made = tmp_path_factory.mktemp("models")
    small_models(made)
    return made
