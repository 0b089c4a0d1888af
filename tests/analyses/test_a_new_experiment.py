"""A new experiment is a new folder: dropped in, it is everywhere, and no other file is touched."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import analyses
from analyses import known_answers, report
from analyses.experiment.catalogue import experiment, experiments
from analyses.known_answers.result import Row
from explorer.pages.truth import page as truth_page
from interp.checkpoints import save_model
from interp.task import SortTask
from tests.models import small_model
from tests.pages import open_page, run_job

FACE = '''
"""Counting digits: how many outputs has a list?

As many as it has digits.

What it does not show: which digits they are, or anything else.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, OnPage, Question
from analyses.experiment.subjects import OfModel


@dataclass(frozen=True)
class CountConfig:
    """How many lists."""

    lists: int = 7  # enough to count


EXPERIMENT = Experiment(
    name="digit_count",
    title="Counting digits",
    about=OfModel,
    settings=CountConfig(),
    chapter=1,
    questions=(
        Question("longest", "digits of the longest list", lambda t: 6, plain="How long is it?"),
    ),
    on_page=OnPage("inside", "how many digits lists have.", takes="no time", quick={"lists": 2}),
)
'''
BODY = """
from __future__ import annotations

import plotly.graph_objects as go


def compute(model, settings, seed, progress):
    return sorted(model.task.held_out(settings.lists, seed).lengths.tolist())


def summary(result):
    return ["Counted.", f"The longest of {len(result)} lists has {result[-1]} digits."]


def figure(result):
    return go.Figure(go.Bar(y=result)).update_layout(title="Digits", height=300)


def to_json(result):
    return {"digits": result}


def verdicts(result):
    return {"longest": result[-1]}
"""
MAIN = """
from analyses.digit_count import EXPERIMENT
from analyses.experiment import main

if __name__ == "__main__":
    main(EXPERIMENT)
"""


@pytest.fixture
def dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place beside the package's own folder, with the new experiment in it."""
    folder = tmp_path / "place" / "digit_count"
    folder.mkdir(parents=True)
    for name, text in (("__init__", FACE), ("body", BODY), ("__main__", MAIN)):
        (folder / f"{name}.py").write_text(text.lstrip())
    monkeypatch.setattr(analyses, "__path__", [*analyses.__path__, str(folder.parent)])
    yield folder.parent
    for name in [name for name in sys.modules if name.startswith("analyses.digit_count")]:
        del sys.modules[name]
    if hasattr(analyses, "digit_count"):
        del analyses.digit_count


@pytest.fixture
def model(tmp_path: Path) -> str:
    save_model(tmp_path / "model", small_model(task=SortTask(6, 4)))
    return str(tmp_path / "model")


def test_without_it_nothing_knows_it() -> None:
    assert "digit_count" not in experiments()


def test_its_command_says_what_it_is(dropped: Path) -> None:
    code = (
        "import sys, runpy, analyses\n"
        f"analyses.__path__.append({str(dropped)!r})\n"
        "sys.argv = ['digit_count', '--help']\n"
        "runpy.run_module('analyses.digit_count', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Counting digits: how many outputs has a list?" in done.stdout
    assert "--lists" in done.stdout and "enough to count" in done.stdout


def test_its_command_computes(
    dropped: Path,
    model: str,
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--model", model, "--out", str(tmp_path / "out"), "--json"]
    assert status(experiment("digit_count"), flags) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["analysis"] == "digit_count" and printed["config"] == {"lists": 7}
    assert printed["digits"] == [1, 1, 2, 3, 4, 5, 6]


def test_the_report_has_it(
    dropped: Path,
    model: str,
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status(report.main, ["--only", "tarot"]) == 2
    assert "digit_count" in capsys.readouterr().err
    flags = ["--model", model, "--out", str(tmp_path / "out"), "--only", "digit_count"]
    assert status(report.main, flags) == 0
    assert "The longest of 7 lists has 6 digits." in capsys.readouterr().out
    (page,) = (tmp_path / "out" / "report").glob("*/report.html")
    text = page.read_text()
    assert "Counting digits" in text and "which digits they are" in text


def test_the_scoreboard_asks_it(
    dropped: Path, tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--max-len", "6", "--only", "digit_count", "--out", str(tmp_path), "--json"]
    assert status(known_answers.EXPERIMENT, flags) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["said"] for row in rows] == [6] * 5 and all(row["right"] for row in rows)
    assert {row["method"] for row in rows} == {"digit_count: digits of the longest list"}
    assert "digit_count" in [one.name for one in known_answers.asked()]
    row = Row(*(rows[0][name] for name in ("method", "sorter", "said", "true")))
    assert truth_page.board_row(row)["Question"] == "How long is it?"


def test_a_page_offers_it(dropped: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORTSCOPE_MODELS", str(Path(model).parent))
    page = open_page("inside", model=model, list="3,1,4")
    assert "Counting digits" in [header.value for header in page.subheader]
    run_job(page, "run digit_count")
    assert not page.exception
    assert any("The longest of 7 lists has 6 digits" in text.value for text in page.markdown)
    assert any("which digits they are" in caption.value for caption in page.caption)
    assert f"python -m analyses.digit_count --model {model} --seed 0" in [
        c.value for c in page.code
    ]
