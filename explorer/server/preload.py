"""What pages need is imported before they are asked for: that of the first page while the visitor's
browser still loads its own scripts, and that of all others once the first page stands.

PyTorch alone takes a second or two, during which the server would otherwise wait for the browser;
what draws tables takes another half.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterable, Sequence
from importlib import import_module

_FIRST = (
    "explorer.shell",
    "explorer.pages.home.page",
    "explorer.parts.controls",
    "explorer.server.results",
    "explorer.parts.tokens",
)
"""In the order in which the first page needs them: what it says of itself comes before PyTorch."""
_TABLES = ("pandas", "pyarrow")
"""What draws tables. Plotly looks for it in ``sys.modules``, and fails where it is half imported:
so a page with figures waits for it."""
_START = 0.3  # seconds in which the server begins to listen; beside an import it takes a second
_PAUSE = 1.0  # seconds in which the browser still draws the first page, and asks for more scripts
_waiting = threading.Event()
"""Set while the other pages are still to be imported, once a first one has been drawn."""


def preload() -> None:
    """Begin; returns at once. A page that is asked for meanwhile waits for the rest, no longer."""
    # Before PyTorch is imported: of models this small a pass is slower on two cores than on one,
    # and the browser has use for the other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _waiting.set()
    _in_thread("preload", _FIRST, _START)


def preload_others(modules: Iterable[str]) -> None:
    """A page has been drawn: now there is time for the others, once. Nothing where no server runs,
    for none has called :func:`preload`.

    Args:
        modules: the pages'.
    """
    if _waiting.is_set():
        _waiting.clear()
        _in_thread("preload others", (*_TABLES, *modules), _PAUSE)


def preload_tables() -> None:
    """Return once what draws tables is there; before a page with figures."""
    for name in _TABLES:
        import_module(name)


def _in_thread(name: str, modules: Sequence[str], pause: float) -> None:
    # Not a daemon: a process that ends while a thread is within PyTorch is aborted.
    work = threading.Thread(target=_import_all, args=(modules, pause), name=name, daemon=False)
    work.start()


def _import_all(modules: Sequence[str], pause: float) -> None:
    time.sleep(pause)
    # Modules stay. Python would look through these hundreds of thousands of objects again and
    # again for what could be thrown away: a sixth of the time that importing takes, and later a
    # tenth of a second each time, while a page is drawn.
    gc.disable()
    for name in modules:
        import_module(name)
    if not _waiting.is_set():  # else somebody waits for the first page
        gc.collect()
    gc.freeze()
    gc.enable()
