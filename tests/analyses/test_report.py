"""The report: complete, self-contained, resumable."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import analyses
import interp
from analyses import report, shift_blanks, transplant_blanks
from analyses.experiment.catalogue import reported
from analyses.report import body as report_body
from interp.checkpoints import save_model
from interp.task import SortTask
from tests.models import small_model

ONLY = ["--only", "shift_blanks", "transplant_blanks"]


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    save_model(tmp_path / "model", small_model(task=SortTask(4, 3)))
    return ["--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]


def test_every_analysis_says_what_it_does_not_show() -> None:
    for one in reported():
        assert len(one.caveat) > 20


def test_one_file_with_everything_inside(
    flags: list[str], tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(report.main, [*flags, *ONLY, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    (folder,) = (tmp_path / "out" / "report").iterdir()
    text = (folder / "report.html").read_text()
    assert "<script src=" not in text and text.count("Plotly.newPlot(") >= 2
    for part in ("shift_blanks", "transplant_blanks"):
        finding = printed["parts"][part]["finding"][-1]
        assert html.escape(finding) in text and f'id="figure-{part}"' in text
    assert len(printed["finding"]) == 2
    assert json.loads((folder / "result.json").read_text()) == printed


def test_numbers_are_those_of_the_analysis_alone(
    flags: list[str], status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(report.main, [*flags, "--only", "shift_blanks", "--json"]) == 0
    together = json.loads(capsys.readouterr().out)["parts"]["shift_blanks"]
    assert status(shift_blanks.EXPERIMENT, [*flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == together


def test_it_goes_on_where_it_was(
    flags: list[str],
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped in its second analysis, it computes only that one again."""
    done: list[str] = []

    def counted(module: Any) -> None:
        body = module.EXPERIMENT.body
        really = body.compute

        def compute(*args: Any) -> Any:
            done.append(module.EXPERIMENT.name)
            if stop and done[-1] == stop[0]:
                raise KeyboardInterrupt
            return really(*args)

        monkeypatch.setattr(body, "compute", compute)

    stop = ["transplant_blanks"]
    counted(shift_blanks)
    counted(transplant_blanks)
    assert status(report.main, [*flags, *ONLY]) == 130
    stop.clear()
    assert status(report.main, [*flags, *ONLY]) == 0
    assert done == ["shift_blanks", "transplant_blanks", "transplant_blanks"]
    assert status(report.main, [*flags, *ONLY]) == 0
    assert len(done) == 3
    assert status(report.main, [*flags, *ONLY, "--seed", "1"]) == 0  # other lists: all anew
    assert len(done) == 5
    assert status(report.main, [*flags, *ONLY, "--seed", "1", "--fresh"]) == 0
    assert len(done) == 7
    assert "kept from an earlier report" in capsys.readouterr().err
    for part in Path(flags[flags.index("--out") + 1]).rglob("parts/*.json"):  # somebody else's
        kept = json.loads(part.read_text())
        part.write_text(json.dumps({"key": kept["key"], "result": [], "figure": None}))
    assert status(report.main, [*flags, *ONLY, "--seed", "1"]) == 0
    assert len(done) == 9


@pytest.mark.parametrize("package", [analyses, interp])
def test_what_was_kept_is_of_the_same_code(
    package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any source file, however deep, is in the key of what is kept."""
    (here,) = package.__path__
    copy = tmp_path / package.__name__
    shutil.copytree(here, copy, ignore=shutil.ignore_patterns("__pycache__", "pretrained"))
    monkeypatch.setattr(package, "__path__", [str(copy)])
    deepest = max(copy.rglob("*.py"), key=lambda path: len(path.parts))
    for changed in (deepest, copy / "__init__.py"):
        before = report_body.code_hash()
        with changed.open("a") as file:
            file.write("# another line\n")
        assert report_body.code_hash() != before


def test_a_model_without_blanks(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "bare", small_model(task=SortTask(4, 0)))
    flags = ["--model", str(tmp_path / "bare"), "--out", str(tmp_path), "--json"]
    assert status(report.main, [*flags, "--only", "shift_blanks", "logit_lens"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["left_out"] == {"shift_blanks": "this model has no blanks"}
    assert printed["parts"]["shift_blanks"] is None and printed["parts"]["logit_lens"]


def test_unknown_names(status: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert status(report.main, ["--only", "tarot"]) == 2
    assert "no analysis 'tarot'; there are behaviour" in capsys.readouterr().err
