"""Studies on a plan so small that it ends in seconds: killed, resumed, adopted, shared out."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from interp.answers.decode import score
from interp.checkpoints import load_model, run_checkpoints
from interp.support.errors import UserError
from tests.models import stop_after
from training import claims, runs, study
from training import train as training
from training.curves import Curve
from training.loop import Trainer
from training.studies import engines as engines_module
from training.studies.engines import LocalEngine, Machine, default_workers, open_engine
from training.studies.folders import Job, is_done, jobs_of, open_study
from training.studies.plans import load_plan
from training.studies.progress import clock, in_all, row
from training.studies.results import export, load_results
from training.studies.worker import Status, WorkerArgs, make_run
from training.study import Study, main

ROOT = Path(runs.__file__).parent.parent
PLAN = """
name = "tiny"
[base]
max_len = 3
d_model = 8
n_heads = 2
d_head = 4
d_mlp = 16
batch_size = 8
steps = {steps}
dropout = 0.1
log_every = 2
eval_every = 10
eval_lists = 12
checkpoint_every = 7
precision = "float32"
[[arm]]
name = "blanks"
[[arm]]
name = "no-blanks"
no_blanks = true
[measures]
convergent_at = 0.9
convergent_steps = 10
last_share = 0.1
reached = 0.95
crash_drop = 0.2
final_lists = 30
"""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """A run on one thread takes its process to one thread; leave no trace of that."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def plan_file(tmp_path) -> Path:
    return written(tmp_path / "tiny.toml", steps=20)


def written(path: Path, steps: int, **changes: str) -> Path:
    text = PLAN.format(steps=steps)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


class Inline:
    """An engine that makes each run at once, in this process; ``fate`` may take its place."""

    def __init__(self, fate: Callable[[Job], int | None] = lambda job: None) -> None:
        self.slots, self.fate = 1, fate
        self.started: list[Job] = []
        self._done: list[tuple[Job, int]] = []

    def start(self, job: Job) -> None:
        self.started.append(job)
        status = self.fate(job)
        if status is None:
            status = make_run(WorkerArgs(job.study, job.arm, job.seed))
        self._done.append((job, status))

    def ended(self) -> list[tuple[Job, int]]:
        done, self._done = self._done, []
        return done

    def stop(self, wait: bool = True) -> None:
        self._done = []


@pytest.fixture
def inline(monkeypatch) -> Inline:
    """Makes the ``local`` engine one that needs no processes."""
    engine = Inline()
    monkeypatch.setattr(study, "open_engine", lambda *args: engine)
    monkeypatch.setattr(study, "_POLLED_EVERY_S", 0.0)
    return engine


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> Path:
    """The study of ``plan_file``, seeds 0 and 1, as it ended. Only to be read, and copied."""
    folder = tmp_path_factory.mktemp("study")
    plan = load_plan(written(folder / "tiny.toml", steps=20))
    root, threads = open_study(folder, plan), torch.get_num_threads()
    for job in jobs_of(root, plan.arms, [0, 1]):
        assert make_run(WorkerArgs(job.study, job.arm, job.seed)) is Status.ENDED
    torch.set_num_threads(threads)
    return root


def copied(ended: Path, out: Path, *runs: str) -> None:
    """As if ``main`` had made these runs, such as ``blanks/seed-0000``, in ``out``."""
    for run in runs:
        shutil.copytree(ended / run, out / "tiny" / run)
    shutil.copy(ended / "plan.toml", out / "tiny")


BLANKS = ("blanks/seed-0000", "blanks/seed-0001")


def argv(plan: Path, out: Path, *more: str) -> list[str]:
    return ["--plan", str(plan), "--out", str(out), "--seeds", "2", *more]


def metrics(folder: Path) -> list[dict[str, float]]:
    """Without what depends on the clock."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k not in ("seconds", "lists_per_s")} for r in rows]


def outcome_of(folder: Path) -> dict[str, object]:
    """All that a run folder says, without the clock, the machine and how it was computed."""
    summary = json.loads((folder / "summary.json").read_text())
    del summary["cost"]
    return {"summary": summary, "metrics": metrics(folder)}


def assert_same_study(one: Path, other: Path) -> None:
    """Bit for bit."""
    assert_same_runs(one, other)
    assert runs_in(one) == runs_in(other)


def runs_in(study: Path) -> list[Path]:
    return sorted(p.relative_to(study) for p in study.glob("*/seed-*") if p.is_dir())


def assert_same_runs(one: Path, other: Path) -> None:
    """Bit for bit; ``other`` may have more."""
    assert runs_in(one)
    for folder in runs_in(one):
        weights, others = (
            load_file(run_checkpoints(root / folder)[-1] / "model.safetensors")
            for root in (one, other)
        )
        assert all(torch.equal(weights[name], tensor) for name, tensor in others.items()), folder
        assert outcome_of(one / folder) == outcome_of(other / folder)


# -- a whole study ------------------------------------------------------------------------------


def test_every_arm_is_run_with_every_seed(plan_file, tmp_path, inline, capsys):
    main(argv(plan_file, tmp_path / "out", "--first-seed", "3"))
    found = tmp_path / "out" / "tiny"
    assert (found / "plan.toml").read_text() == plan_file.read_text()
    assert [(job.arm, job.seed) for job in inline.started] == [
        ("blanks", 3),
        ("no-blanks", 3),
        ("blanks", 4),
        ("no-blanks", 4),
    ]
    names = sorted(p.name for p in found.glob("*/*"))
    assert names == ["seed-0003"] * 2 + ["seed-0004"] * 2  # no locks left
    config = json.loads((found / "no-blanks" / "seed-0004" / "config.json").read_text())
    assert (config["training"]["seed"], config["training"]["no_blanks"]) == (4, True)
    assert config["training"]["threads"] == 1
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in out] == [
        ["blanks", "2", "runs"],
        ["no-blanks", "2", "runs"],
    ]
    assert "convergent 0 of 2 = 0.0 % [0.0, 65.8]" in out[0]


def test_what_is_done_is_left_alone_and_more_seeds_can_follow(ended, plan_file, tmp_path, inline):
    copied(ended, tmp_path / "out", *BLANKS)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.is_file()}
    main(argv(plan_file, tmp_path / "out", "--arms", "blanks"))
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert inline.started == []
    main(["--plan", str(plan_file), "--out", str(tmp_path / "out"), "--seeds", "3"])
    assert [(job.arm, job.seed) for job in inline.started] == [
        ("no-blanks", 0),
        ("no-blanks", 1),
        ("blanks", 2),
        ("no-blanks", 2),
    ]


def test_a_summary_says_what_the_weights_do(plan_file, tmp_path, inline):
    main(argv(plan_file, tmp_path, "--seeds", "1", "--arms", "blanks"))
    folder = tmp_path / "tiny" / "blanks" / "seed-0000"
    summary = json.loads((folder / "summary.json").read_text())
    rows = metrics(folder)
    batch = {r["step"]: r["accuracy"] for r in rows if "accuracy" in r}
    assert sorted(batch) == list(range(0, 20, 2))
    last = sorted(batch[step] for step in (10, 12, 14, 16, 18))
    assert summary["batch"]["median_window"] == last[2]
    assert summary["batch"]["median_last"] == batch[18]
    assert summary["batch"]["peak"] == max(batch.values())
    loaded = load_model(folder)
    scores = score(loaded.model, loaded.model.task.held_out(30, seed=1))
    assert summary["final"]["exact_match"]["value"] == float(scores.exact.float().mean())
    assert summary["final"]["exact_match"]["n"] == 30
    digits = float(scores.right.sum() / scores.scored.sum())
    assert summary["final"]["digit_accuracy"]["value"] == pytest.approx(digits)
    assert digits > 0  # and so tells one set of lists from another
    assert summary["model_hash"] == loaded.hash
    assert summary["thresholds"] == vars(load_plan(plan_file).measures)
    assert (summary["convergent"], summary["diverged_at"]) == (False, None)
    cost = summary["cost"]
    assert (cost["threads"], cost["device"], cost["processes"]) == (1, "cpu", 1)
    assert cost["seconds"] > 0
    assert cost["lists_per_s"] > 0


def test_arms_see_the_same_lists(plan_file, tmp_path, inline):
    """Paired by seed: an arm's batch is the other's, but for the blanks."""
    plan = load_plan(plan_file)

    def lists(arm: str, seed: int, step: int) -> list[tuple[int, ...]]:
        trainer = Trainer(replace(plan.arm(arm).seeded(seed), threads=1))
        return [trainer.model.task.decode_list(t) for t in trainer.batch(step).tokens]

    assert lists("blanks", 1, 5) == lists("no-blanks", 1, 5)
    assert lists("blanks", 1, 5) != lists("blanks", 0, 5)


# -- stopped, killed, died ----------------------------------------------------------------------


@pytest.mark.parametrize("at", [3, 7, 15])
def test_a_run_that_died_is_tried_again_and_reaches_the_same_bits(
    at, ended, plan_file, tmp_path, inline, monkeypatch, capsys
):
    """Before the first checkpoint (7), on it, and after the second (14)."""
    copied(ended, tmp_path / "died", "blanks/seed-0000")
    update, died = Trainer.update, []

    def dying(self, *args, **kwargs):
        if self.step == at and self.config.no_blanks and not died:
            died.append(self.step)
            raise RuntimeError("the power failed")
        return update(self, *args, **kwargs)

    def fate(job: Job) -> int | None:
        try:
            return make_run(WorkerArgs(job.study, job.arm, job.seed))
        except RuntimeError:
            return -9

    monkeypatch.setattr(Trainer, "update", dying)
    inline.fate = fate
    main(argv(plan_file, tmp_path / "died", "--seeds", "1"))
    assert died == [at]
    assert [(job.arm, job.seed) for job in inline.started].count(("no-blanks", 0)) == 2
    assert "no-blanks, seed 0: its process ended with status -9; trying again" in (
        capsys.readouterr().err
    )
    assert_same_runs(tmp_path / "died" / "tiny", ended)


def test_what_dies_every_time_ends_no_other_run(plan_file, tmp_path, inline, capsys, status):
    def fate(job: Job) -> int | None:
        if (job.arm, job.seed) != ("blanks", 1):
            return None
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.write_text("much\nMemoryError: no more\n\n")
        return 1

    inline.fate = fate
    assert status(main, argv(plan_file, tmp_path)) == 1
    assert [(job.arm, job.seed) for job in inline.started].count(("blanks", 1)) == 3
    ended = [p.parent.parent.name for p in (tmp_path / "tiny").glob("*/*/summary.json")]
    assert sorted(ended) == ["blanks", "no-blanks", "no-blanks"]
    last = capsys.readouterr().err.splitlines()[-1]
    assert "1 runs failed; blanks, seed 1: MemoryError: no more (see " in last


def test_a_refusal_is_not_repeated(plan_file, tmp_path, inline, status):
    inline.fate = lambda job: Status.REFUSED if job.arm == "blanks" else None
    assert status(main, argv(plan_file, tmp_path)) == 1
    assert [(job.arm, job.seed) for job in inline.started].count(("blanks", 0)) == 1


def test_a_run_that_diverges_is_a_result(tmp_path, inline, capsys):
    path = written(
        tmp_path / "p.toml",
        20,
        **{"max_len = 3": 'max_len = 3\nlr = 1e30\nnorm = "none"\nwarmup_steps = 0\nclip_norm = 0'},
    )
    main(argv(path, tmp_path, "--seeds", "1", "--arms", "blanks"))
    folder = tmp_path / "tiny" / "blanks" / "seed-0000"
    summary = json.loads((folder / "summary.json").read_text())
    assert 0 < summary["diverged_at"] < 20
    assert (summary["convergent"], summary["final"], summary["model_hash"]) == (False, None, None)
    assert summary["batch"]["median_window"] == 0.0
    (result,) = load_results(tmp_path / "tiny").runs
    assert (result.median, result.final_exact, result.convergent) == (0.0, 0.0, False)
    main(argv(path, tmp_path, "--seeds", "1", "--arms", "blanks"))
    assert len(inline.started) == 1
    first = (folder / "summary.json").read_text()
    main(argv(path, tmp_path, "--seeds", "1", "--summarise"))
    assert (folder / "summary.json").read_text() == first


def test_ctrl_c_ends_the_study_and_it_goes_on_later(plan_file, tmp_path, inline, status):
    def interrupted(job: Job) -> int | None:
        if job.arm == "no-blanks":
            os.kill(os.getpid(), signal.SIGINT)
        return None

    inline.fate = interrupted
    before = signal.getsignal(signal.SIGINT)
    assert status(main, argv(plan_file, tmp_path)) == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert len(inline.started) == 2
    inline.fate, inline.started = lambda job: None, []
    assert status(main, argv(plan_file, tmp_path)) == 0
    assert [job.seed for job in inline.started] == [1, 1]


def started(*arguments: str, module: str = "training.study") -> subprocess.Popen[str]:
    """A study in a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def wait_until(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def holder_of(lock: Path) -> int:
    """The process that wrote a lock; 0 while it changes hands."""
    try:
        return int(json.loads(lock.read_text())["pid"])
    except (FileNotFoundError, ValueError):
        return 0


@pytest.mark.exhaustive  # a run that is killed is in every run of the tests
@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_a_study_killed_in_the_middle_equals_one_that_never_was(tmp_path, monkeypatch):
    """Two workers; one is killed and tried again, then everything is; then it is resumed, here."""
    plan = written(tmp_path / "tiny.toml", steps=75)  # seconds of work: time enough to be killed
    command = argv(plan, tmp_path / "killed", "--seeds", "1", "--workers", "2")
    process = started(*command)
    root = tmp_path / "killed" / "tiny"
    lock = root / "blanks" / "seed-0000.lock"
    wait_until(lambda: any(root.glob("blanks/*/checkpoints/step-*")), process)
    first = holder_of(lock)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: holder_of(lock) not in (0, first), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (root / "blanks" / "seed-0000" / "summary.json").exists()  # it was in the middle

    # A worker that outlives the study by a moment keeps its run; a person would see so and wait.
    deadline = time.monotonic() + 60
    while any(claims.holder(lock) for lock in root.glob("*/*.lock")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with monkeypatch.context() as patched:
        engine = Inline()
        patched.setattr(study, "open_engine", lambda *args: engine)
        main(command)
        main(argv(plan, tmp_path / "whole", "--seeds", "1"))
    assert_same_study(root, tmp_path / "whole" / "tiny")
    resumed = json.loads((root / "blanks" / "seed-0000" / "manifest.json").read_text())["resumed"]
    assert resumed
    assert not list(root.glob("*/*.lock"))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_ctrl_c_writes_checkpoints_in_the_workers(tmp_path):
    plan = written(tmp_path / "tiny.toml", 100_000, **{"every = 7": "every = 100000"})
    out = tmp_path / "out"
    process = started(*argv(plan, out, "--seeds", "1", "--arms", "blanks", "--workers", "1"))
    folder = out / "tiny" / "blanks" / "seed-0000"
    log = folder / "metrics.jsonl"
    wait_until(lambda: log.is_file() and log.stat().st_size > 0, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "the same command goes on" in err.splitlines()[-1]
    assert "Traceback" not in err
    (checkpoint,) = run_checkpoints(folder)
    assert load_model(folder).info["step"] == int(checkpoint.name.removeprefix("step-"))
    assert not folder.with_suffix(".lock").exists()


CHILD = """
import os, signal, sys, threading, time
from training.studies.worker import _stop_with_parent
def stopped(number, frame):
    open(sys.argv[1], "w").close()
    os._exit(0)
signal.signal(signal.SIGTERM, stopped)
threading.Thread(target=_stop_with_parent, args=[int(sys.argv[2])], daemon=True).start()
open(sys.argv[1] + ".begun", "w").close()
time.sleep(60)
"""
PARENT = """
import os, subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2], str(os.getpid())])
"""


def test_a_worker_stops_with_a_study_that_was_killed_alone(tmp_path):
    """A parent, and a child that watches it as workers do."""
    said = tmp_path / "stopped"
    command = [sys.executable, "-c", PARENT, CHILD, str(said)]
    parent = subprocess.Popen(command, cwd=ROOT, text=True)
    wait_until(lambda: said.with_suffix(".begun").exists(), parent)
    time.sleep(0.1)
    assert not said.exists()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while not said.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert said.exists()


# -- what a study will not do -------------------------------------------------------------------


def refusal(capsys, arguments: list[str], status: int = 2) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (status, "")
    assert "Traceback" not in err
    return err.splitlines()[-1]


def test_a_changed_plan_is_refused(ended, plan_file, tmp_path, inline, capsys):
    copied(ended, tmp_path, "blanks/seed-0000")
    written(plan_file, 20, **{"convergent_at = 0.9": "convergent_at = 0.8"})
    message = refusal(capsys, argv(plan_file, tmp_path))
    assert "follows another plan: measures: convergent_at is 0.9, not 0.8" in message
    written(plan_file, 30)
    assert "arm blanks: steps is 20, not 30" in refusal(capsys, argv(plan_file, tmp_path))
    assert inline.started == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, not 0"),
        (["--workers", "-1"], "--workers must be at least 0, not -1"),
        (["--threads", "0"], "--threads must be at least 1, not 0"),
        (["--plan", "nowhere"], "no plan 'nowhere': give a shipped one (average, half, original, "),
        (["--arms", "many"], "plan quick has no arm 'many'; it has blanks, "),
        (["--engine", "cloud"], "cloud"),
        (["export", "--study", "nowhere", "--to", "x"], "nowhere is not the folder of a study"),
    ],
)
def test_bad_flags_are_one_line(flags, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(capsys, flags)


def test_ray_that_is_not_there_is_one_line(plan_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    message = refusal(capsys, argv(plan_file, tmp_path, "--engine", "ray"))
    assert "--engine ray needs Ray, which is not installed here: pip install " in message


def test_help_does_not_load_torch():
    code = (
        "import sys\nfrom training.study import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


# -- runs that are there already ----------------------------------------------------------------


def by_hand(tmp_path: Path, *flags: str) -> Path:
    """A run of arm ``blanks``, trained with training/train.py."""
    arguments = "--max-len 3 --d-model 8 --n-heads 2 --d-head 4 --d-mlp 16 --batch-size 8 "
    arguments += "--steps 20 --dropout 0.1 --log-every 2 --eval-every 10 --eval-lists 12 "
    arguments += "--checkpoint-every 7 --precision float32 --threads 1"
    training.main([*arguments.split(), "--out", str(tmp_path / "hand"), *flags])
    (run,) = (tmp_path / "hand").iterdir()
    return run


@pytest.mark.parametrize("at", [None, 0, 9])
def test_a_run_trained_by_hand_is_taken_over(at, ended, plan_file, tmp_path, inline, monkeypatch):
    """Finished, just begun, or stopped on the way; moved to where the study would have put it."""
    with monkeypatch.context() as patched:
        stop_after(patched, at, RuntimeError)
        try:
            by_hand(tmp_path)
        except RuntimeError:
            assert at is not None
    (run,) = (tmp_path / "hand").iterdir()
    config = json.loads((run / "config.json").read_text())
    for new in ("sight", "blank_loss"):  # as a version wrote it that did not know them
        del config["training"][new]
    (run / "config.json").write_text(json.dumps(config))
    place = tmp_path / "out" / "tiny" / "blanks" / "seed-0000"
    place.parent.mkdir(parents=True)
    shutil.move(run, place)
    main(argv(plan_file, tmp_path / "out", "--seeds", "1", "--arms", "blanks"))
    assert_same_runs(tmp_path / "out" / "tiny", ended)


def test_a_run_that_is_not_of_the_arm_is_refused_before_anything_is_trained(
    plan_file, tmp_path, inline, capsys
):
    run = by_hand(tmp_path, "--lr", "0.03")
    place = tmp_path / "out" / "tiny" / "no-blanks" / "seed-0001"
    place.parent.mkdir(parents=True)
    shutil.move(run, place)
    capsys.readouterr()
    message = refusal(capsys, argv(plan_file, tmp_path / "out"))
    assert f"{place} is not a run of arm no-blanks with seed 1: its training: " in message
    assert "no_blanks is False, not True" in message
    assert inline.started == []


def test_the_original_plan_takes_the_published_recipe_trained_by_hand(tmp_path):
    """The flags that a person would give, against the shipped plan."""
    from training.recipes import ORIGINAL
    from training.studies.folders import check_fits

    plan = load_plan("original")
    for arm, flags in (("blanks", {}), ("no-blanks", {"no_blanks": True})):
        trained = replace(ORIGINAL, **flags, threads=1, device="cpu", precision="bfloat16")
        check_fits(Job(tmp_path, arm, 0), trained, plan)
        with pytest.raises(UserError, match="seed is 0, not 1"):
            check_fits(Job(tmp_path, arm, 1), trained, plan)


# -- sharing ------------------------------------------------------------------------------------


def test_a_claim_excludes_others_until_it_is_released(tmp_path):
    lock = tmp_path / "a" / "seed-0000.lock"
    with claims.claimed(lock) as mine:
        assert mine
        assert claims.holder(lock) == f"process {os.getpid()} on {socket.gethostname()}"
        with claims.claimed(lock) as again:
            assert not again
        assert lock.exists()  # who did not get it does not release it
    assert not lock.exists()
    assert claims.holder(lock) is None


def a_dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("owner", "free"),
    [
        ({"host": socket.gethostname(), "pid": None}, True),  # a dead one's, filled in below
        ({"host": "another-machine", "pid": None}, False),  # nobody here can know
        ({"host": socket.gethostname(), "pid": 1}, False),
        ({"host": socket.gethostname(), "pid": 1, "started": "another"}, True),
    ],
)
def test_locks_of_dead_processes_are_taken_over(owner, free, tmp_path):
    if owner["pid"] == 1 and not Path("/proc/1/stat").exists():
        pytest.skip("only Linux tells when a process started")
    lock = tmp_path / "seed-0000.lock"
    lock.write_text(json.dumps({**owner, "pid": owner["pid"] or a_dead_process()}))
    assert (claims.holder(lock) is None) == free
    with claims.claimed(lock) as mine:
        assert mine == free
        if mine:
            assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert lock.exists() == (not free)
    assert list(tmp_path.glob(".*")) == []


def test_a_lock_being_written_is_respected_for_a_while(tmp_path):
    lock = tmp_path / "seed-0000.lock"
    lock.write_text("")
    with claims.claimed(lock) as mine:
        assert not mine
    os.utime(lock, (0, 0))
    with claims.claimed(lock) as mine:
        assert mine


def test_a_lock_that_changed_hands_meanwhile_is_put_back(tmp_path, monkeypatch):
    """Two processes see a dead one's lock; the slower must not take the quicker one's."""
    lock = tmp_path / "seed-0000.lock"
    lock.write_text(json.dumps({"host": socket.gethostname(), "pid": a_dead_process()}))
    theirs = json.dumps({"host": socket.gethostname(), "pid": os.getppid()})
    look = claims.holder

    def slow(path: Path) -> str | None:
        found = look(path)
        lock.write_text(theirs)  # the quicker one's work
        return found

    monkeypatch.setattr(claims, "holder", slow)
    with claims.claimed(lock) as mine:
        assert not mine
    assert lock.read_text() == theirs


def test_runs_of_others_are_left_to_them(plan_file, tmp_path, inline, capsys):
    """Then, when they have died, they are made here."""
    lock = tmp_path / "tiny" / "no-blanks" / "seed-0000.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"host": "another-machine", "pid": 7}))
    main(argv(plan_file, tmp_path, "--seeds", "1"))
    assert [job.arm for job in inline.started] == ["blanks"]
    err = capsys.readouterr().err
    assert f"no-blanks, seed 0 is left to process 7 on another-machine ({lock})" in err
    lock.unlink()
    main(argv(plan_file, tmp_path, "--seeds", "1"))
    assert [job.arm for job in inline.started] == ["blanks", "no-blanks"]


def test_a_run_that_another_died_in_is_taken_up_in_the_same_study(plan_file, tmp_path, monkeypatch):
    plan = load_plan(plan_file)
    root = open_study(tmp_path, plan)
    jobs = jobs_of(root, plan.arms, [0])
    lock = jobs[0].lock
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"host": "another-machine", "pid": 7}))
    state = Study(jobs, plan)
    assert state.left() == jobs[1:]

    def gone(job: Job) -> int | None:
        lock.unlink(missing_ok=True)
        return None

    monkeypatch.setattr(study, "_POLLED_EVERY_S", 0.0)
    engine = Inline(gone)
    assert state.carry_out(engine) is False
    assert engine.started == [jobs[1], jobs[0]]
    assert all(is_done(job, plan) for job in jobs)


# -- engines ------------------------------------------------------------------------------------


def test_workers_fill_the_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    found = [default_workers(Machine(threads=n, device="cpu")) for n in (1, 2, 3, 16)]
    assert found == [8, 4, 2, 1]
    engine = open_engine("local", 3, Machine(device="cpu"))
    assert isinstance(engine, LocalEngine)
    assert engine.slots == 3


def test_a_worker_is_told_how_to_compute(plan_file, tmp_path):
    root = open_study(tmp_path, load_plan(plan_file))
    command = Machine(threads=2, device="cpu", micro_batch=3).command(Job(root, "blanks", 5))
    expected = [
        "training.studies.worker",
        str(root.resolve()),
        "blanks",
        "5",
        "--parent",
        str(os.getpid()),
    ]
    expected += ["--threads", "2", "--device", "cpu", "--micro-batch", "3"]
    assert command[2:] == expected
    args = WorkerArgs(root, "blanks", 5, threads=2, device="cpu", micro_batch=3)
    assert make_run(args) is Status.ENDED
    config = json.loads((root / "blanks" / "seed-0005" / "config.json").read_text())
    assert (config["threads"], config["training"]["micro_batch"]) == (2, 3)
    assert make_run(args) is Status.ENDED  # nothing left to do
    with claims.claimed(Job(root, "blanks", 5).lock):
        assert make_run(args) is Status.HELD


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.timeout(900)  # Ray starts some processes, and waits for them on a busy machine
@pytest.mark.usefixtures("unchecked")
def test_on_ray_the_same_runs_come_out(ended, plan_file, tmp_path, monkeypatch):
    """A Ray of one core, started here."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        only = ["--seeds", "1", "--arms", "blanks"]
        main(argv(plan_file, tmp_path / "ray", *only, "--engine", "ray"))
        assert_same_runs(tmp_path / "ray" / "tiny", ended)
        assert ray.is_initialized()  # one that was there before is left running
    finally:
        ray.shutdown()


# -- results ------------------------------------------------------------------------------------


def test_an_export_holds_the_results_of_the_study(ended, plan_file, tmp_path, capsys):
    copied(ended, tmp_path / "out", *BLANKS)
    root, to = tmp_path / "out" / "tiny", tmp_path / "small"
    unfinished = root / "no-blanks" / "seed-0000"
    shutil.copytree(root / "blanks" / "seed-0000", unfinished)
    (unfinished / "summary.json").unlink()
    capsys.readouterr()
    main(["export", "--study", str(root), "--to", str(to)])
    assert capsys.readouterr().out == f"{to}: 2 ended runs of 3, 2 arms\n"
    assert sorted(p.name for p in to.iterdir()) == ["blanks.jsonl", "no-blanks.jsonl", "plan.toml"]
    exported, original = load_results(to), load_results(root)
    assert exported.plan == original.plan
    for ours, theirs in zip(exported.runs, original.runs, strict=True):
        assert (ours.arm, ours.seed, ours.summary) == (theirs.arm, theirs.seed, theirs.summary)
        for kind in ("batch", "held_out"):
            small, full = getattr(ours.curves, kind), getattr(theirs.curves, kind)
            assert small.steps == full.steps
            assert small.values == pytest.approx(full.values, abs=5e-5)
        assert ours.curves.batch.steps[-1] == 18
    assert exported.outcome("blanks") == original.outcome("blanks")
    assert exported.ended("no-blanks") == []
    export(exported, to)  # what was exported can be exported again
    assert load_results(to) == exported
    written(plan_file, 30)
    with pytest.raises(UserError, match="holds the results of another plan: arm blanks: steps"):
        export(replace(exported, plan=load_plan(plan_file)), to)


def test_a_study_goes_on_elsewhere_from_its_export_alone(
    ended, plan_file, tmp_path, inline, capsys
):
    here, there, to = tmp_path / "here", tmp_path / "there", tmp_path / "small"
    copied(ended, here, *BLANKS)
    main(["export", "--study", str(here / "tiny"), "--to", str(to)])
    first = load_results(to)
    capsys.readouterr()
    main(argv(plan_file, there, "--known", str(to)))
    assert not (there / "tiny" / "blanks").exists()  # none of its runs is made again
    said = capsys.readouterr()
    assert "2 of 4 runs have ended in" in said.err
    assert [line.split()[:2] for line in said.out.splitlines()] == [
        ["blanks", "2"],
        ["no-blanks", "2"],
    ]
    main(["export", "--study", str(there / "tiny"), "--to", str(to)])
    both = load_results(to)
    assert both.of("blanks") == first.of("blanks")
    assert [(run.arm, run.seed) for run in both.runs if run.summary is not None] == [
        ("blanks", 0),
        ("blanks", 1),
        ("no-blanks", 0),
        ("no-blanks", 1),
    ]
    # A run that has ended there is not replaced by one that has only begun here.
    job = there / "tiny" / "no-blanks" / "seed-0001" / "summary.json"
    job.unlink()
    export(load_results(there / "tiny"), to)
    assert load_results(to) == both
    written(plan_file, 30)
    with pytest.raises(SystemExit):
        main(argv(plan_file, tmp_path / "other", "--known", str(to)))
    assert "holds the results of another plan: arm blanks: steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    "curve",
    [
        Curve((), ()),
        Curve((7,), (0.25,)),
        Curve((0, 10, 20), (0.0, 0.5, 1.0)),
        Curve((100, 200, 250), (0.1, 0.2, 0.3)),
    ],
)
def test_curves_come_back_from_their_compact_form(curve):
    from training.studies.results import _pack_curve, _unpack_curve

    assert _unpack_curve(json.loads(json.dumps(_pack_curve(curve)))) == curve


def test_progress_is_read_from_the_run_folder(ended, plan_file, tmp_path):
    copied(ended, tmp_path, "blanks/seed-0000")
    plan = load_plan(plan_file)
    job = Job(tmp_path / "tiny", "blanks", 0)
    config = replace(plan.arm("blanks").config, steps=60)
    path = job.folder / "metrics.jsonl"
    rows = [{"step": s, "accuracy": 0.5, "seconds": 1.0, "lists_per_s": 16.0} for s in range(900)]
    rows[-3] = {"step": 20, "eval/exact_match": 0.75, "seconds": 1.0, "lists_per_s": 16.0}
    rows[-1]["step"] = 40
    path.write_text("".join(json.dumps(r) + "\n" for r in rows) + '{"step": 41, "acc')
    got = row(job, "running", config)
    assert (got.step, got.steps, got.exact, got.lists_per_s) == (40, 60, 0.75, 16.0)
    assert got.seconds_left == 20 * 8 / 16
    assert got.cells() == ["blanks", "0", "running", "40 / 60", "75.0 %", "16", "0:10"]
    waiting = row(Job(tmp_path / "tiny", "blanks", 9), "waiting", config)
    assert waiting.cells() == ["blanks", "9", "waiting", "0 / 60", "", "", ""]
    states = {job: "finished", Job(tmp_path, "a", 1): "waiting", Job(tmp_path, "a", 2): "waiting"}
    assert in_all(states) == "3 runs: 1 finished, 2 waiting"
    assert [clock(s) for s in (7.0, 65.0, 3600.0, 12000.0)] == [
        "0:07",
        "1:05",
        "1:00:00",
        "3:20:00",
    ]


def test_engines_are_asked_only_when_something_is_left(ended, plan_file, tmp_path, monkeypatch):
    copied(ended, tmp_path, *map(str, runs_in(ended)))

    def never(*args: object) -> None:
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(study, "open_engine", never)
    monkeypatch.setattr(engines_module, "spawn", never)
    main(argv(plan_file, tmp_path))


def test_a_study_that_is_all_made_by_others_says_so(plan_file, tmp_path, inline, capsys, status):
    """It exited 0, and a script went on as if there were results."""
    for arm in ("blanks", "no-blanks"):
        lock = tmp_path / "tiny" / arm / "seed-0000.lock"
        lock.parent.mkdir(parents=True)
        lock.write_text(json.dumps({"host": "another-machine", "pid": 7}))
    assert status(main, argv(plan_file, tmp_path, "--seeds", "1")) == Status.HELD
    assert "others make all 2 runs that are left" in capsys.readouterr().err
    assert inline.started == []


def test_a_run_that_is_resumed_by_hand_is_left_alone(plan_file, tmp_path, inline, status):
    job = Job(open_study(tmp_path, load_plan(plan_file)), "blanks", 0)
    with claims.claimed(job.folder / claims.LOCK):
        assert job.holder() == f"process {os.getpid()} on {socket.gethostname()}"
        assert make_run(WorkerArgs(job.study, job.arm, job.seed)) is Status.HELD
    assert make_run(WorkerArgs(job.study, job.arm, job.seed)) is Status.ENDED


def half_done(plan_file: Path, out: Path, monkeypatch, **how: object) -> Job:
    """A run of the study that was stopped after its first checkpoint."""
    job = Job(open_study(out, load_plan(plan_file)), "blanks", 0)
    with monkeypatch.context() as patched:
        stop_after(patched, 8, RuntimeError)
        with pytest.raises(RuntimeError, match="stopped here"):
            make_run(WorkerArgs(job.study, job.arm, job.seed, **how))
    return job


def test_a_run_goes_on_with_the_threads_that_are_asked_for(ended, plan_file, tmp_path, monkeypatch):
    """They were taken and ignored: a run stayed on the threads that it was begun with."""
    job = half_done(plan_file, tmp_path, monkeypatch)
    assert make_run(WorkerArgs(job.study, job.arm, job.seed, threads=2)) is Status.ENDED
    assert runs.read_run(job.folder).threads == job.summary()["cost"]["threads"] == 2
    assert_same_runs(job.study, ended)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"device": "mps"}, "--device cpu: --device mps would give other bits"),
        ({"micro_batch": 3}, "--micro-batch 2: --micro-batch 3 would give other bits"),
    ],
)
def test_a_run_does_not_go_on_as_it_would_end_elsewhere(
    how, message, plan_file, tmp_path, monkeypatch
):
    job = half_done(plan_file, tmp_path, monkeypatch, micro_batch=2)
    left = {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=rf"^blanks, seed 0 was begun with {message}$"):
        make_run(WorkerArgs(job.study, job.arm, job.seed, **how))
    assert left == {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()}
    for same in ({}, {"device": "cpu"}, {"micro_batch": 2}):
        assert make_run(WorkerArgs(job.study, job.arm, job.seed, **same)) is Status.ENDED


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s.update(format="1"),
        lambda s: s.update(format=0),
        lambda s: s.update(convergent="yes"),
        lambda s: s.update(batch=[]),
        lambda s: s["batch"].update(crashes=1.5),
        lambda s: s["final"].update(exact_match=0.5),
        lambda s: s["final"]["exact_match"].update(value=None),
        lambda s: s["training"].update(steps="20"),
        lambda s: s.pop("cost"),
        lambda s: s.update(blanks={"follow_rate": {}, "exact_match_under": 3}),
    ],
)
def test_a_summary_that_is_none_is_one_line(edit, plan_file, tmp_path):
    from training.studies.summary_schema import check_summary

    exported = ROOT / "docs" / "studies" / "quick" / "blanks.jsonl"
    summary = json.loads(exported.read_text().splitlines()[0])["summary"]
    assert check_summary(summary, "it") is summary
    edit(summary)
    with pytest.raises(UserError, match=r"^it is not the summary of a run: ") as caught:
        check_summary(summary, "it")
    assert "\n" not in str(caught.value)
