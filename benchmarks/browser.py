"""The explorer in a real browser: a server of its own, and Chromium without a window.

    with serve() as server, chromium() as browser:
        page = open_page(browser, server.address)

Needs the ``test`` extra and a Chromium that is already installed (Debian's ``chromium``).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from interp.support.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WAIT_MS = 120_000  # generous: a slow machine is no failure


@dataclass(frozen=True)
class Server:
    """A running explorer."""

    address: str
    log: Path
    """What its process prints."""
    process: subprocess.Popen[bytes]
    folder: Path = ROOT
    """Where it was started: ``runs`` in it is where an import goes."""

    @property
    def resident_mb(self) -> float:
        """Its memory, in megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(row for row in status.splitlines() if row.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


@contextmanager
def serve(
    arguments: Sequence[str] = (),
    *,
    folder: Path = ROOT,
) -> Iterator[Server]:
    """``streamlit run app.py`` on a free port, once it answers and for as long as the block lasts.

    Args:
        arguments: for the page itself, as ``["--models", "runs"]``.
        folder: where it is started.
    """
    port = free_port()
    with TemporaryDirectory() as kept, (log := Path(kept) / "server.log").open("w") as out:
        process = subprocess.Popen(
            _command(port, arguments),
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        server = Server(f"http://localhost:{port}", log, process, folder)
        try:
            wait_until_healthy(server)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _command(port: int, arguments: Sequence[str]) -> list[str]:
    run = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")]
    return [*run, "--server.headless", "true", "--server.port", str(port), "--", *arguments]


def wait_until_healthy(server: Server, seconds: float = 60) -> None:
    """Until the server answers.

    Raises:
        RuntimeError: if it ended, or did not start in time; with what it printed.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended: {server.log.read_text()}")
        try:
            with urlopen(f"{server.address}/_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"no server after {seconds:.0f} s: {server.log.read_text()}")


def chromium_path() -> str | None:
    """Where this machine has a Chromium."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window.

    Raises:
        UserError: if there is none, or nothing to drive it with.
    """
    if (path := chromium_path()) is None:
        raise UserError("no Chromium on this machine: install Debian's chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UserError("playwright is not installed: pip install -e '.[test]'") from None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def settle(page: Any, quiet_ms: int = 300) -> None:
    """Until the server has had nothing to draw on this page for ``quiet_ms``."""
    page.evaluate("window.quietSince = undefined")
    page.wait_for_function(_QUIET, arg=quiet_ms, timeout=WAIT_MS)


# Between two runs of a script, as after a change of the address, it is not running either.
_QUIET = """(ms) => {
    const app = document.querySelector('[data-testid="stApp"]')
    const busy = app?.getAttribute('data-test-script-state') !== 'notRunning' ||
        document.querySelector('[data-stale="true"], [data-testid="stSkeleton"]')
    window.quietSince = busy ? undefined : window.quietSince ?? performance.now()
    return !busy && performance.now() - window.quietSince >= ms
}"""
