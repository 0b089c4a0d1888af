"""Make the README's picture: the explorer, in a real browser.

    python docs/pictures.py             # writes docs/explorer.png

Needs the ``test`` extra and a Chromium that is already installed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
VIEW = "?model=blanks&list=3,1,4,1,5,9,2,6,5,3&masked=yes&layer=1&head=0"
SIZE = {"width": 1280, "height": 1150}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("docs/pictures.py: no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(address + VIEW)
        page.get_by_text("Where it looks").wait_for(timeout=120_000)
        page.locator(".js-plotly-plot").first.wait_for(timeout=120_000)
        page.wait_for_timeout(3000)  # the figure's own animation
        page.screenshot(path=HERE / "explorer.png")
        browser.close()
    print(HERE / "explorer.png")


@contextmanager
def served() -> Iterator[str]:
    """The explorer on a free port, for as long as the block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(HERE.parent / "app.py")]
    flags = ["--server.headless", "true", "--server.port", str(port)]
    with subprocess.Popen([*command, *flags], cwd=HERE.parent, env=dict(os.environ)) as server:
        address = f"http://localhost:{port}"
        try:
            _wait_for(address)
            yield address
        finally:
            server.terminate()


def _wait_for(address: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urlopen(address, timeout=2)
            return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"{address} did not answer within {seconds:.0f} s")


if __name__ == "__main__":
    main()
