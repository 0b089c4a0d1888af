"""The tutorial works as it stands: its task trains, is evaluated, and is analysed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from analyses.experiment.catalogue import experiment
from interp.checkpoints import read_info
from interp.rules import RULES, read_rule
from interp.task import Task
from training.evaluate import main as evaluate
from training.train import main as train

TUTORIAL = Path(__file__).parents[2] / "docs" / "your-own-task.md"
SMALL = "--max-len 5 --n-blanks 2 --d-model 32 --n-heads 2 --d-head 16 --d-mlp 64"
STEPS = "--steps 300 --eval-every 300 --checkpoint-every 300 --eval-lists 60"
QUICK = f"{STEPS} --batch-size 64 --micro-batch 64 --lr 5e-3 --threads 1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The tutorial's task, as a reader saves it."""
    (code,) = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 40
    path = tmp_path / "running_max.py"
    path.write_text(code)
    return path


def trained(status: Callable[..., int], out: Path, *flags: str) -> Path:
    argv = [*flags, *SMALL.split(), *QUICK.split(), "--out", str(out)]
    assert status(train, argv) == 0
    (run,) = out.iterdir()
    return run


def test_both_ways_to_answer_agree(file: Path) -> None:
    rule = read_rule(file)
    task = Task(8, 3, rule=rule)
    batch = task.sample(200)
    lists = [task.decode_list(tokens) for tokens in batch.tokens]
    assert task.answer([3, 1, 4, 2]) == (3, 3, 4, 4)
    assert [tuple(row[: len(v)].tolist()) for row, v in
            zip(task.answers(batch.tokens[:, :8]), lists, strict=True)] == [
        task.answer(values) for values in lists
    ]  # fmt: skip


@pytest.mark.slow
def test_the_tutorial(
    file: Path,
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    unchecked: None,
) -> None:
    run = trained(status, tmp_path / "runs", "--task", str(file))
    assert run.name == "0001-stable-running-max-2-blanks-len5-s0"
    assert read_info(run / "checkpoints" / "step-000300")["model"]["task"]["rule"] == "running-max"
    own = ["--task", str(file), "--model", str(run), "--json"]
    capsys.readouterr()
    assert status(evaluate, [*own, "--lists", "100", "--decode"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["exact_match"]["value"] > 0.9 and found["decode"]["agree"] == 100
    out = ["--out", str(tmp_path / "results")]
    pairs = ["--pairs", "4", "--length", "4"]
    assert status(experiment("patch_blanks"), [*own, *out, *pairs]) == 0
    capsys.readouterr()
    assert status(experiment("one_list.answer"), [*own, *out, "--list", "3,1,4,2"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["token"] for row in rows if row["right"]] == ["3", "3", "4", "4"]
    assert status(experiment("which_program"), [*own, *out]) == 2
    assert "this model's is running-max" in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_model_learns_to_reverse(
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    unchecked: None,
) -> None:
    run = trained(status, tmp_path, "--task", "reverse")
    capsys.readouterr()
    assert status(evaluate, ["--model", str(run), "--lists", "200", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["exact_match"]["low"] > 0.9


def test_a_task_that_there_is_not(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for asked, words in (
        ("sortt", f"there is no task 'sortt'; there is {', '.join(RULES)}"),
        (str(tmp_path / "absent.py"), "is no Python file with a task in it"),
    ):
        assert status(train, ["--task", asked, "--out", str(tmp_path / "runs")]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
