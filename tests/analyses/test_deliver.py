"""Where results go: no two things into one folder, and none thrown away."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
import pytest

from analyses import experiment
from analyses.ablate_blanks import EXPERIMENT as ABLATE
from analyses.experiment import deliver
from interp.checkpoints import load_bare, save_model
from interp.lists import DIGITS, Symbols
from interp.support import files
from interp.support.cli import run_command
from tests.models import small_model


@pytest.fixture
def two(tmp_path) -> list[Path]:
    """Checkpoints of the same name, of runs of the same name."""
    found = []
    for seed, out in enumerate(("a", "b")):
        folder = tmp_path / out / "0001-run" / "checkpoints" / "step-000500"
        save_model(folder, small_model(seed=seed), step=500)
        found.append(folder)
    return found


def test_checkpoints_of_one_name_have_folders_of_their_own(two):
    """The second result replaced the first."""
    one, other = (deliver.model_label(load_bare(path)) for path in two)
    assert one != other
    for label in (one, other):
        assert label.startswith("0001-run-step-000500-")
    run = deliver.model_label(load_bare(two[0].parents[1]))
    assert run == one  # the same weights, by the name of their run


def test_shipped_names_stay_as_they_are():
    for name, label in (("blanks", "blanks"), ("compiled:slots", "compiled-slots")):
        assert deliver.model_label(load_bare(name)) == label


def test_two_lists_have_two_names():
    """The result of 1 23 replaced that of 12 3."""
    assert deliver.list_label((3, 1, 4), DIGITS) == "314"
    labels = [deliver.list_label(values, Symbols(40)) for values in ((12, 3), (1, 23), (1, 2, 3))]
    assert labels == ["12-3", "1-23", "1-2-3"]


def test_names_that_a_file_system_cannot_hold_are_cut_and_told_apart():
    long, other = "x" * 400, "x" * 399 + "y"
    assert deliver.folder_name("a", "", "b") == "a-b"
    assert deliver.folder_name(long) != deliver.folder_name(other)
    assert len(deliver.folder_name("é" * 300).encode()) <= 160
    assert deliver.flag_label("do", "zero:3-10") == "do-zero-3-10"
    labels = {deliver.flag_label("do", text) for text in ("zero:3-10", "zero:3,10", "zero:3 10")}
    assert len(labels) == 3


def test_a_study_of_the_same_name_does_not_take_the_place(tmp_path):
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    first = deliver.study_folder(tmp_path, "quick", mine)
    assert first == tmp_path / "quick"
    files.write_json(first / "manifest.json", {"study": str(mine)})
    assert deliver.study_folder(tmp_path, "quick", mine) == first
    assert deliver.study_folder(tmp_path, "quick", theirs) != first


# -- before the work, and after it --------------------------------------------------------------


@dataclass(frozen=True)
class Args:
    """Work."""

    out: Path = Path("results")


@pytest.mark.parametrize("place", ["file", "file/under", "/proc/nope", "x" * 300])
def test_a_place_that_cannot_be_written_is_found_before_the_work(place, tmp_path, capsys):
    (tmp_path / "file").touch()
    worked = []
    with pytest.raises(SystemExit) as stop:
        run_command(Args, worked.append, "work", ["--out", str(tmp_path / place)])
    assert stop.value.code == 2
    assert worked == []
    assert len(capsys.readouterr().err.splitlines()) == 1


def full(*_args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_up_takes_no_result_away(two, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "write_bytes", full)
    flags = ["--model", str(two[0]), "--lists", "6", "--lists-each", "2", "--json"]
    with pytest.raises(SystemExit) as stop:
        experiment.main(ABLATE, [*flags, "--out", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert "No space left" in err
    assert json.loads(out)["analysis"] == "ablate_blanks"


def test_a_reader_that_has_left_takes_no_files_away(tmp_path, monkeypatch):
    import builtins

    def gone(*args: object, **kwargs: object) -> None:
        if not kwargs.get("file"):
            raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(builtins, "print", gone)
    with pytest.raises(OSError, match="gone"):
        deliver.publish(True, tmp_path, go.Figure, {"a": float("nan")}, ["a"], {})
    assert json.loads((tmp_path / "result.json").read_text()) == {"a": None}
    assert (tmp_path / "figure.html").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--lists", "1000000000"], "--lists must be at most"),
        (["--lists", "9" * 30], "--lists must be at most"),
        (["--model", "a\0b"], "--model holds a zero byte"),
        (["--seed", "9" * 30], "--seed takes more than 64 bits"),
    ],
)
def test_counts_have_a_limit(flags, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        experiment.main(ABLATE, flags)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    shutil.rmtree(tmp_path / "results", ignore_errors=True)
    assert list(tmp_path.iterdir()) == []
