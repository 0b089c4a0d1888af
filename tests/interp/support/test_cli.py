"""What command lines share: how the threads of a command wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_COMMAND = """
from dataclasses import make_dataclass
from interp.support.cli import run_command
run_command(make_dataclass("Nothing", []), lambda _: __import__("torch").ones(1), "a command", [])
"""


def _told(**environment: str) -> str:
    """What GNU's OpenMP says of itself when PyTorch loads it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GOMP_")}
    environment = {**kept, "OMP_DISPLAY_ENV": "VERBOSE", **environment}
    command = [sys.executable, "-c", _COMMAND]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("this PyTorch uses another OpenMP than GNU's")
    return done.stderr


def test_threads_of_a_command_wait_briefly() -> None:
    assert "GOMP_SPINCOUNT = '1000'" in _told()


@pytest.mark.parametrize(
    ("name", "value"), [("GOMP_SPINCOUNT", "777"), ("OMP_WAIT_POLICY", "ACTIVE")]
)
def test_unless_told_otherwise(name: str, value: str) -> None:
    said = _told(**{name: value})
    assert f"{name} = '{value}'" in said and "GOMP_SPINCOUNT = '1000'" not in said
