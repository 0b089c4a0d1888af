"""Make the README's pictures: four pages of the explorer, in a real browser.

    python docs/pictures.py             # writes docs/explorer-{home,sort,patch,blanks}.png

Needs the ``test`` extra and a Chromium that is already installed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # for benchmarks, which is not installed

from benchmarks.browser import WAIT_MS, chromium, serve, settle  # noqa: E402
from interp.support.cli import run_command  # noqa: E402

LIST = "list=3,1,4,1,5,9,2,6,5,3"
VIEWS = {
    "home": f"?model=blanks&{LIST}",
    "sort": f"sort?model=blanks&{LIST}&do=mask:0-48",
    "patch": f"patch?model=blanks&{LIST}&corrupt=3,1,4,1,5,9,2,6,5,8&cell=attn_out.0:100",
    "blanks": f"blanks?model=blanks&{LIST}&blanks=0-48&kind=mask",
}
SIZE = {"width": 1280, "height": 1500}


@dataclass(frozen=True)
class PicturesArgs:
    """Make the README's pictures in a real browser."""


def take(args: PicturesArgs) -> None:
    """All pictures, from one server."""
    with serve() as server, chromium() as browser:
        for name, view in VIEWS.items():
            page = browser.new_page(viewport=SIZE, color_scheme="light")
            page.goto(f"{server.address}/{view}")
            page.get_by_role("textbox", name="List to sort").wait_for(timeout=WAIT_MS)
            settle(page)
            page.wait_for_timeout(3000)  # the figures' own animation
            if page.locator('[data-testid="stException"]').count():
                raise RuntimeError(f"the page {name} failed: {page.inner_text('body')[:500]}")
            page.screenshot(path=HERE / f"explorer-{name}.png")
            print(HERE / f"explorer-{name}.png")


if __name__ == "__main__":
    run_command(PicturesArgs, take, "python docs/pictures.py")
