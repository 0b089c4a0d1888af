"""Ray, where it is started here, listens to this machine alone, and asks nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.explorer.test_guard import WITHOUT_NETWORK

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import psutil
from training.studies.engines import join_or_start
ray = join_or_start()
me = psutil.Process()
for process in (me, *me.children(recursive=True)):
    for connection in process.net_connections():
        if connection.status == psutil.CONN_LISTEN:
            print(connection.laddr.ip)
ray.shutdown()
"""


@pytest.mark.slow
@pytest.mark.timeout(600)  # Ray starts some processes, and waits for them on a busy machine
def test_a_cluster_that_is_started_here_is_alone(tmp_path):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    pytest.importorskip("psutil")
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_NETWORK)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    env |= {"ASKED": str(tmp_path / "asked")}
    env.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    heard = {line.removeprefix("::ffff:") for line in done.stdout.split()}
    assert heard == {"127.0.0.1"}
    assert not (tmp_path / "asked").exists(), (tmp_path / "asked").read_text()


def test_an_address_where_no_cluster_is_is_one_line(monkeypatch):
    from interp.support.errors import UserError
    from training.studies import engines

    class NoRay:
        @staticmethod
        def is_initialized() -> bool:
            return False

        @staticmethod
        def init(**options: object) -> None:
            raise ConnectionError("nobody there")

    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(engines, "_import_ray", NoRay)
    with pytest.raises(UserError, match=r"no Ray cluster answers at RAY_ADDRESS=10\.0\.0\.1:6379"):
        engines.join_or_start()
