"""Run folders that something happened to: what cannot be resumed stays exactly as it is."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from interp.checkpoints import SHIPPED_RUNS, run_checkpoints
from interp.support.errors import UserError
from training import runs
from training.claims import LOCK, claimed
from training.metrics import read_metrics
from training.train import main

ROOT = Path(runs.__file__).parents[1]
SIZES = ["--max-len", "3", "--d-mlp", "8", "--d-model", "8", "--n-heads", "2", "--d-head", "4"]
TINY = [*SIZES, "--threads", "1", "--batch-size", "4", "--precision", "float32"]
TINY += ["--eval-lists", "6", "--log-every", "2", "--eval-every", "4", "--checkpoint-every", "4"]


@pytest.fixture(autouse=True)
def same_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> Path:
    """A run of 8 steps, with a checkpoint at 4 and 8. Only to be copied."""
    out = tmp_path_factory.mktemp("runs")
    main([*TINY, "--steps", "8", "--out", str(out)])
    (run,) = out.iterdir()
    return run


@pytest.fixture
def run(ended, tmp_path) -> Path:
    """As if killed at step 7: its last checkpoint was never written."""
    copy = tmp_path / "0001-run"
    shutil.copytree(ended, copy)
    first, last = run_checkpoints(copy)
    shutil.move(last / "state.pt", copy.parent / "state.pt")  # of step 8
    config = json.loads((copy / "config.json").read_text())
    config["training"]["steps"] = 12
    for path in (copy, first, last):
        file = path / "config.json"
        about = json.loads(file.read_text())
        about["training"]["steps"] = 12
        file.write_text(json.dumps(about))
    shutil.move(copy.parent / "state.pt", last / "state.pt")
    return copy


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in folder.rglob("*")
        if p.is_file()
    }


def refusal(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a resume that is refused and leaves every file as it was."""
    before = everything(run)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["--resume", str(run)])
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert (out, len(err.splitlines())) == ("", 1), err
    assert everything(run) == before
    return err


def test_the_run_itself_can_be_resumed(run, capsys):
    """Positive control of all that follows."""
    main(["--resume", str(run)])
    assert "resuming" in capsys.readouterr().err
    assert [row["step"] for row in read_metrics(run / "metrics.jsonl")][-1] == 12
    assert not (run / LOCK).exists()


def test_a_run_that_is_shipped_without_optimiser_is_not_begun_again(tmp_path, capsys):
    """660 lines of its metrics were cut to a few."""
    shutil.copytree(SHIPPED_RUNS / "original-blanks", tmp_path / "copy")
    assert "step-006000, holds no state.pt" in refusal(tmp_path / "copy", capsys)


def newest(run: Path) -> Path:
    return run_checkpoints(run)[-1]


def rewrite(path: Path, change: Callable[[dict], object]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


LOST: dict[str, tuple[Callable[[Path], object], str]] = {
    "no state": (lambda run: (newest(run) / "state.pt").unlink(), "holds no state.pt"),
    "no weights": (lambda run: (newest(run) / "model.safetensors").unlink(), "holds no model.saf"),
    "no newest checkpoint": (lambda run: shutil.rmtree(newest(run)), "holds no state.pt"),
    "no checkpoints": (lambda run: shutil.rmtree(run / "checkpoints"), "a later one is lost"),
    "no metrics": (lambda run: (run / "metrics.jsonl").unlink(), "measurements are lost"),
    "no manifest": (lambda run: (run / "manifest.json").unlink(), "cannot read"),
    "no config": (lambda run: (run / "config.json").unlink(), "is not a run folder"),
    "no config of weights": (lambda run: (newest(run) / "config.json").unlink(), "cannot read"),
    "an empty state": (lambda run: (newest(run) / "state.pt").write_bytes(b""), "state.pt"),
    "another step": (
        lambda run: newest(run).rename(run / "checkpoints" / "step-000009"),
        "not of its folder's",
    ),
    "other weights": (
        lambda run: shutil.copy(
            run / "checkpoints/step-000004/model.safetensors", newest(run) / "model.safetensors"
        ),
        "has been altered",
    ),
    "a step after the end": (
        lambda run: newest(run).rename(run / "checkpoints" / "step-000999"),
        "after the last one",
    ),
    "other settings": (
        lambda run: rewrite(run / "config.json", lambda d: d["training"].update(lr=0.5)),
        "lr is 0.5, not 0.002",
    ),
    "no list of resumes": (
        lambda run: rewrite(run / "manifest.json", lambda d: d.update(resumed={})),
        "lists no resumes",
    ),
}


FILES = ["config.json", "manifest.json", "metrics.jsonl"]
FILES += [
    f"checkpoints/step-000008/{name}" for name in ("config.json", "model.safetensors", "state.pt")
]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("what", ["a pipe", "a device", "a folder", "a link to itself"])
def test_what_is_no_file_is_no_wait(what, file, run, capsys):
    path = run / file
    path.unlink()
    if what == "a pipe":
        os.mkfifo(path)
    elif what == "a folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if what == "a device" else path)
    refusal(run, capsys)


@pytest.mark.parametrize("what", LOST)
def test_what_is_lost_or_exchanged_is_refused(what, run, capsys):
    damage, words = LOST[what]
    damage(run)
    assert words in refusal(run, capsys)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "line 3"),
        ("[1]", "it is no object"),
        ("{}", "its step cannot be None"),
        ('{"step": "3"}', "its step cannot be '3'"),
        ('{"step": true}', "its step cannot be True"),
        ('{"step": -1}', "its step cannot be -1"),
        ('{"step": 0}', "its step cannot be 0"),
        ('{"step": 3, "loss": NaN}', "NaN"),
        ('{"step": 3, "loss": 1e999}', "too large"),
        ('{"step": 3, "loss": "low"}', "loss cannot be 'low'"),
        ('{"step": 3, "accuracy": 1.5}', "accuracy cannot be 1.5"),
        ('{"step": 99999999999999999999}', "64 bits"),
        ("[" * 5000, "nested"),
        ('{"step": 3, "step": 4}', "twice"),
    ],
)
def test_a_line_that_is_no_measurement_is_named(line, words, run, capsys):
    """It ended the file, silently: what came after it was thrown away."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    said = refusal(run, capsys)
    assert "line 3" in said
    assert words in said


def test_only_an_unfinished_last_line_is_passed_over(run):
    path = run / "metrics.jsonl"
    whole = read_metrics(path)
    text = path.read_text()
    path.write_text(text[:-1])  # complete, but for its end
    assert read_metrics(path) == whole
    path.write_text(text[:-9])
    assert read_metrics(path) == whole[:-1]


# -- two at once --------------------------------------------------------------------------------


def test_the_second_of_two_that_resume_is_refused(run, capsys):
    with claimed(run / LOCK) as mine:
        assert mine
        said = refusal(run, capsys)
    assert f"is being trained by process {os.getpid()} on {socket.gethostname()}" in said
    main(["--resume", str(run)])  # released


def test_a_run_is_held_from_its_first_step(tmp_path, monkeypatch):
    from training.loop import Trainer

    seen: list[bool] = []
    update = Trainer.update

    def looking(self, *args, **kwargs):
        seen.append(any(tmp_path.glob(f"*/{LOCK}")))
        return update(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "update", looking)
    main([*TINY, "--steps", "2", "--out", str(tmp_path)])
    assert seen == [True, True]
    assert list(tmp_path.rglob(LOCK)) == []


def test_the_lock_of_a_process_that_was_killed_is_taken_over(run):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    owner = {"host": socket.gethostname(), "pid": process.pid, "started": "1"}
    (run / LOCK).write_text(json.dumps(owner))
    main(["--resume", str(run)])
    assert not (run / LOCK).exists()


def test_resume_takes_no_other_place(run, tmp_path, capsys):
    """It was accepted, and ignored."""
    with pytest.raises(SystemExit) as stop:
        main(["--resume", str(run), "--out", str(tmp_path / "elsewhere")])
    assert stop.value.code == 2
    assert "where it is; drop all flags but --threads" in capsys.readouterr().err


def test_what_killed_writes_left_is_gone_after_a_resume(run):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    left = f"new-{process.pid}-1-{socket.gethostname()}.abcd1234"
    (run / "checkpoints" / f".step-000008.{left}").mkdir()
    (run / "checkpoints" / f".step-000008.{left}" / "state.pt").write_bytes(b"half")
    (run / f".manifest.json.{left}").write_bytes(b"half")
    main(["--resume", str(run)])
    assert list(run.rglob(".*")) == []


@pytest.mark.slow
def test_the_second_of_two_processes_is_refused_and_loses_nothing(run, capsys):
    """16 of 22 rows of metrics were lost once in six tries."""
    for path in (run, *run_checkpoints(run)):
        rewrite(path / "config.json", lambda d: d["training"].update(steps=100_000))
    command = [sys.executable, "training/train.py", "--resume", str(run)]
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        while not (run / LOCK).exists():
            assert first.poll() is None
            time.sleep(0.02)
        with pytest.raises(SystemExit) as stop:
            main(["--resume", str(run)])
        assert stop.value.code == 2
        assert f"is being trained by process {first.pid} on" in capsys.readouterr().err
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
    assert read_metrics(run / "metrics.jsonl")


ODD = [None, True, -1, 0, 1.5, 1e308, 10**9, 10**30, "1", "", [], {}, "x" * 9999]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("file", ["config.json", "manifest.json"])
def test_any_odd_value_in_a_run_is_refused_or_says_the_same(file, run):
    """Of every key, at any depth: nothing is written before all of it is believed."""
    path = run / file
    whole = json.loads(path.read_text())
    draw = random.Random(5)
    for place in list(places(whole)):
        if place[0] in ("arguments", "time", "kernel"):  # words that nothing rests on
            continue
        for odd in draw.sample(ODD, 4):
            changed = json.loads(json.dumps(whole))
            inside = changed
            for key in place[:-1]:
                inside = inside[key]
            if inside[place[-1]] == odd and type(inside[place[-1]]) is type(odd):
                continue
            inside[place[-1]] = odd
            path.write_text(json.dumps(changed))
            before = everything(run)
            if refused(run):
                assert everything(run) == before, (place, odd)
            else:
                assert place[0] in ("versions", "machine", "git_commit", "threads"), (place, odd)
                path.write_text(json.dumps(whole))
    path.write_text(json.dumps(whole))
    assert not refused(run)


def places(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield (*path, key)
            yield from places(inside, (*path, key))


def refused(run: Path) -> bool:
    said = "\n"
    try:
        runs.resume_run(run)
        return False
    except UserError as error:
        said = str(error)
    assert "\n" not in said
    return True


# -- the optimiser --------------------------------------------------------------------------------


def moments(state: dict) -> dict:
    return state["optimizer"]["state"][0]


def group(state: dict) -> dict:
    return state["optimizer"]["param_groups"][0]


STATES: dict[str, Callable[[dict], object]] = {
    "no step": lambda s: s.pop("step"),
    "step true": lambda s: s.update(step=True),
    "step 0": lambda s: s.update(step=0),
    "a step to come": lambda s: s.update(step=10**30),
    "an earlier step": lambda s: s.update(step=4),
    "something more": lambda s: s.update(extra=1),
    "an average that is not kept": lambda s: s.update(average={}),
    "no optimiser": lambda s: s.pop("optimizer"),
    "a list for it": lambda s: s.update(optimizer=[]),
    "fewer parameters": lambda s: s["optimizer"]["state"].pop(0),
    "more parameters": lambda s: s["optimizer"]["state"].update({999: {}}),
    "another shape": lambda s: moments(s).update(exp_avg=moments(s)["exp_avg"].flatten()),
    "one number for all": lambda s: moments(s).update(exp_avg=torch.zeros(())),
    "another type": lambda s: moments(s).update(exp_avg_sq=moments(s)["exp_avg_sq"].double()),
    "whole numbers": lambda s: moments(s).update(exp_avg=moments(s)["exp_avg"].long()),
    "NaN": lambda s: moments(s)["exp_avg"].view(-1)[:1].fill_(torch.nan),
    "infinity": lambda s: moments(s)["exp_avg_sq"].view(-1)[:1].fill_(torch.inf),
    "a negative square": lambda s: moments(s)["exp_avg_sq"].view(-1)[:1].fill_(-1),
    "no moments": lambda s: moments(s).clear(),
    "other steps": lambda s: moments(s).update(step=torch.tensor(3.0)),
    "steps of two numbers": lambda s: moments(s).update(step=torch.tensor([8.0, 8.0])),
    "a number for a tensor": lambda s: moments(s).update(exp_avg=3.0),
    "no groups": lambda s: s["optimizer"].update(param_groups=[]),
    "other betas": lambda s: group(s).update(betas=(0.5, 0.9)),
    "other decay": lambda s: group(s).update(weight_decay=0.7),
    "other parameters": lambda s: group(s).update(params=[0]),
    "a rate that is none": lambda s: group(s).update(lr="x"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("what", STATES)
def test_what_is_no_state_of_this_optimiser_is_refused(what, run, capsys):
    path = newest(run) / "state.pt"
    state = torch.load(path, weights_only=True)
    STATES[what](state)
    torch.save(state, path)
    assert "state.pt" in refusal(run, capsys)
