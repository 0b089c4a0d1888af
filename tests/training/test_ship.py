"""What is shipped is what the run held, evaluated, and no larger than it need be."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from interp.answers.decode import score
from interp.checkpoints import load_bare, load_model, run_checkpoints
from training import ship
from training.train import main as train

FLAGS = ["--max-len", "3", "--n-blanks", "2", "--d-model", "8", "--n-heads", "2", "--d-head", "4"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    small = ["--d-mlp", "8", "--steps", "6", "--batch-size", "4", "--micro-batch", "4"]
    often = ["--checkpoint-every", "2", "--eval-lists", "6", "--threads", "1"]
    train([*FLAGS, *small, *often, "--out", str(out)])
    return next(out.iterdir())


@pytest.fixture(autouse=True)
def few_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ship, "CHECKED_LISTS", 30)
    monkeypatch.setattr(ship, "EVALUATED_LISTS", 60)


def test_the_checkpoint_that_sorts_most_is_shipped_and_evaluated(run: Path, tmp_path: Path) -> None:
    ship.main(["model", str(run), "mine", "--out", str(tmp_path)])
    info = json.loads((tmp_path / "mine" / "config.json").read_text())
    counts = {}
    for folder in run_checkpoints(run):
        model = load_model(folder).model
        exact = score(model, model.task.held_out(30, ship.CHOICE_SEED)).exact
        counts[str(int(folder.name.removeprefix("step-")))] = int(exact.sum())
    assert info["chosen"]["sorted"] == counts
    best = str(info["step"])
    assert counts[best] == max(counts.values())
    mine, source = load_bare(tmp_path / "mine"), run / "checkpoints" / f"step-{int(best):06d}"
    assert mine.hash == load_bare(source).hash
    evaluation = json.loads((tmp_path / "mine" / "evaluation.json").read_text())
    exact = score(mine.model, mine.model.task.held_out(60)).exact
    assert evaluation["exact_match"]["value"] == pytest.approx(float(exact.float().mean()))
    assert evaluation["model"] == {"name": "mine", "hash": mine.hash}
    assert (tmp_path / "mine" / "metrics.jsonl").read_text() == (run / "metrics.jsonl").read_text()
    assert str(run.parent) not in (tmp_path / "mine" / "manifest.json").read_text()


def test_a_shipped_run_opens_at_every_step_and_is_smaller(run: Path, tmp_path: Path) -> None:
    ship.main(["run", str(run), "course", "--steps", "2,6", "--out", str(tmp_path)])
    folders = run_checkpoints(tmp_path / "course")
    assert [folder.name for folder in folders] == ["step-000002", "step-000006"]
    for folder in folders:
        whole, small = load_bare(run / "checkpoints" / folder.name), load_bare(folder)
        about = small.info["weights"]
        kept_in = getattr(torch, about["type"])
        weights = load_file(folder / "model.safetensors")
        assert weights["blocks.0.attn.W_Q"].dtype == kept_in
        expected = whole.model.blocks[0].attn.W_Q.to(kept_in).float()
        assert torch.equal(small.model.blocks[0].attn.W_Q, expected)
        right, now = (ship.predictions(one.model)[0] for one in (whole, small))
        assert (int((right != now).sum()), len(right)) == (about["outputs_changed"], about["of"])


@pytest.mark.parametrize(
    ("wrong_now", "kept_in"), [((0,), "bfloat16"), ((1, 1), "float16"), ((9, 9, 0), "float32")]
)
def test_the_smallest_type_that_changes_next_to_nothing_is_used(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong_now, kept_in: str
) -> None:
    """Of 2,000 outputs one may change in float16, none in bfloat16."""
    answers = iter([torch.arange(2000) >= n for n in (0, *wrong_now)])
    monkeypatch.setattr(ship, "predictions", lambda model: (next(answers), None))
    said = ship.write_smaller(run_checkpoints(run)[0], tmp_path)
    assert said == f"{kept_in}, {wrong_now[-1]} of 2000 outputs changed"
    assert load_bare(tmp_path).info["weights"]["type"] == kept_in


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["model", "RUN", "mine", "--step", "3"], "no checkpoint of step 3; there are 2, 4, 6"),
        (["run", "RUN", "mine", "--steps", "2,x"], "--steps takes numbers like 500,1000, not 'x'"),
        (["run", "RUN", "mine", "--steps", "²"], "--steps takes numbers like 500,1000, not '²'"),
        (["run", "RUN", "mine", "--steps", "9" * 5000], "--steps takes numbers like 500,1000"),
        (["model", "RUN", "../mine"], "'../mine' is no name for a model"),
        (["model", "nowhere", "mine"], "nowhere holds no checkpoints of a run"),
    ],
)
def test_what_cannot_be_shipped_is_one_line(run, tmp_path, status, capsys, flags, message) -> None:
    argv = [str(run) if flag == "RUN" else flag for flag in flags]
    assert status(ship.main, [*argv, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["model", "run"])
def test_what_is_shipped_takes_the_place_of_nothing_else(run, tmp_path, status, capsys, kind):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "thesis.txt").write_text("years of work")
    assert status(ship.main, [kind, str(run), "docs", "--out", str(tmp_path)]) == 2
    assert "is there already, and is no model" in capsys.readouterr().err
    assert (tmp_path / "docs" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("file", ["metrics.jsonl", "config.json"])
@pytest.mark.parametrize("what", ["a pipe", "a device"])
def test_what_has_no_end_is_not_copied(run, tmp_path, status, capsys, what, file) -> None:
    """A link to /dev/zero filled the disk."""
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / file
    path.unlink()
    os.mkfifo(path) if what == "a pipe" else path.symlink_to("/dev/zero")
    flags = ["--steps", "2", "--out", str(tmp_path / "out")]
    assert status(ship.main, ["run", str(tmp_path / "run"), "mine", *flags]) == 2
    assert "no regular file" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
