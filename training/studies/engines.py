"""Where the runs of a study are computed: processes of this machine, or a Ray cluster.

An engine only starts workers and says how they ended. Each run is a process of its own
(``python -m training.studies.worker``), so that one that crashes takes no other with it.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from interp.support.device import Device
from interp.support.errors import UserError
from training.studies.folders import Job

EngineName = Literal["local", "ray"]
"""``local``: processes here. ``ray``: the cluster that this machine belongs to, or a new one here.
"""

RUNS_PER_GPU = 4  # such a small model leaves most of a GPU idle
_KILLED_AFTER_S = 60.0  # a worker that was asked to stop has this long for its checkpoint


@dataclass(frozen=True)
class Machine:
    """How each run is computed."""

    threads: int = 1
    device: Device = "auto"
    micro_batch: int = 0
    """Lists run together; 0 for the plan's."""

    def command(self, job: Job) -> list[str]:
        """The worker that makes ``job``."""
        flags = {"threads": self.threads, "device": self.device, "micro-batch": self.micro_batch}
        command = [
            sys.executable,
            "-m",
            "training.studies.worker",
            str(job.study.resolve()),
            job.arm,
        ]
        command += [str(job.seed), "--parent", str(os.getpid())]
        return command + [part for key, value in flags.items() for part in (f"--{key}", str(value))]


@runtime_checkable
class Engine(Protocol):
    """Runs jobs, up to ``slots`` at once."""

    slots: int

    def start(self, job: Job) -> None: ...

    def ended(self) -> list[tuple[Job, int]]:
        """Jobs whose worker has ended since the last call, with its exit status."""
        ...

    def stop(self, wait: bool = True) -> None:
        """Ask all workers for a checkpoint and their end; without ``wait`` they are killed."""
        ...


def open_engine(name: EngineName, workers: int, machine: Machine) -> Engine:
    """The engine of that name. ``workers`` 0: as many as fit.

    Raises:
        UserError: if Ray is asked for and is not installed.
    """
    if name == "ray":
        return RayEngine(workers, machine)
    return LocalEngine(workers or default_workers(machine), machine)


def default_workers(machine: Machine) -> int:
    """A core for each thread of each run; on an accelerator, no more than share it well."""
    from interp.support.device import pick_device

    fitting = max(1, (os.cpu_count() or 1) // max(1, machine.threads))
    return fitting if pick_device(machine.device).type == "cpu" else min(RUNS_PER_GPU, fitting)


@dataclass
class LocalEngine:
    """Worker processes of this machine."""

    slots: int
    machine: Machine
    _workers: list[tuple[Job, subprocess.Popen[bytes]]] = field(default_factory=list)

    def start(self, job: Job) -> None:
        self._workers.append((job, spawn(job, self.machine.command(job), self.machine.threads)))

    def ended(self) -> list[tuple[Job, int]]:
        done = [(job, p.returncode) for job, p in self._workers if p.poll() is not None]
        self._workers = [(job, p) for job, p in self._workers if p.returncode is None]
        return done

    def stop(self, wait: bool = True) -> None:
        end_all((process for _, process in self._workers), wait)
        self._workers = []


def spawn(job: Job, command: Sequence[str], threads: int) -> subprocess.Popen[bytes]:
    """Start a worker whose words are added to the job's log."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    if job.log.exists() and not job.log.is_file():  # a pipe would make us wait
        raise UserError(f"cannot write {job.log}: it is no regular file")
    with job.log.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)} if threads else None,
        )


def end_all(processes: Iterable[subprocess.Popen[bytes]], wait: bool = True) -> None:
    """End worker processes: with a checkpoint, or at once."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGTERM) if wait else process.kill()
    deadline = time.monotonic() + _KILLED_AFTER_S
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class RayEngine:
    """Tasks of a Ray cluster whose machines have this package and see the study's folder.

    Ray decides what runs where and when; each task is the same worker process as here.
    """

    def __init__(self, workers: int, machine: Machine) -> None:
        loaded = sys.modules.get("ray")
        self._ours = loaded is None or not loaded.is_initialized()
        self._ray, self._machine = join_or_start(), machine
        resources = self._ray.cluster_resources()
        self.slots = workers or max(1, int(resources.get("CPU", 1) // max(1, machine.threads)))
        wants_gpu = machine.device in ("auto", "cuda") and resources.get("GPU", 0)
        self._task = self._ray.remote(
            num_cpus=max(1, machine.threads),
            num_gpus=1 / RUNS_PER_GPU if wants_gpu else 0,
            max_retries=0,  # the study itself tries again
        )(run_worker)
        self._tasks: dict[Any, Job] = {}

    def start(self, job: Job) -> None:
        task = self._task.remote(str(job.study.resolve()), job.arm, job.seed, self._machine)
        self._tasks[task] = job

    def ended(self) -> list[tuple[Job, int]]:
        if not self._tasks:
            return []
        tasks = list(self._tasks)
        ready, _ = self._ray.wait(tasks, num_returns=len(tasks), timeout=0)
        return [(self._tasks.pop(task), self._status(task)) for task in ready]

    def _status(self, task: Any) -> int:
        try:
            return int(self._ray.get(task))
        except self._ray.exceptions.RayError:  # its node was lost, for example
            return 1

    def stop(self, wait: bool = True) -> None:
        for task in self._tasks:
            self._ray.cancel(task, force=not wait)
        if wait and self._tasks:
            self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=_KILLED_AFTER_S)
        self._tasks = {}
        if self._ours:
            self._ray.shutdown()


def join_or_start() -> Any:
    """Ray, in the cluster that this machine belongs to, or in one that only it can reach.

    Raises:
        UserError: if Ray is not installed, or no cluster is where ``RAY_ADDRESS`` says.
    """
    os.environ.update(_ALONE if "RAY_ADDRESS" not in os.environ else {})
    ray = _import_ray()
    if ray.is_initialized():
        return ray
    try:
        ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=False)
    except ConnectionError:
        if "RAY_ADDRESS" in os.environ:
            address = os.environ["RAY_ADDRESS"]
            raise UserError(f"no Ray cluster answers at RAY_ADDRESS={address}") from None
        with _asking_nobody():
            ray.init(address="local", log_to_driver=False, include_dashboard=False)
    return ray


_ALONE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # In spite of its name: without it, a cluster takes the loopback for its address and listens
    # nowhere else. Ray reads it when it is imported.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
_NOWHERE = {
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "no_proxy": "localhost,127.0.0.1,::1",
}


@contextmanager
def _asking_nobody() -> Iterator[None]:
    """For what Ray starts: without a way out. Else it asks the services of three clouds whether it
    runs there, statistics or not."""
    before = {key: os.environ.get(key) for key in _NOWHERE}
    os.environ.update(_NOWHERE)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def run_worker(study: str, arm: str, seed: int, machine: Machine) -> int:
    """What a Ray task does: a worker process, ended with the task."""
    job = Job(Path(study), arm, seed)
    process = spawn(job, machine.command(job), machine.threads)
    try:
        return process.wait()
    finally:
        end_all([process])


def _import_ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise UserError(
            "--engine ray needs Ray, which is not installed here: pip install 'sortscope[ray]'"
        ) from None
