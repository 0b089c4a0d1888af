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

_FIRST = ("explorer.shell", "explorer.pages.home.page")
_TABLES = ("pandas", "pyarrow")
"""What draws tables. Plotly looks for it in ``sys.modules``, and fails where it is half imported:
so it is not left to a thread beside one that draws."""
_PAUSE = 1.0  # seconds in which the browser still draws the first page, and asks for more scripts
_waiting = threading.Event()
"""Set while the other pages are still to be imported, once a first one has been drawn."""


def preload() -> None:
    """Begin; returns at once. A page that is asked for meanwhile waits for the rest, no longer."""
    # Before PyTorch is imported: of models this small a pass is slower on two cores than on one,
    # and the browser has use for the other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _waiting.set()
    _in_thread("preload", _FIRST, 0.0)


def preload_others(modules: Iterable[str]) -> None:
    """A page has been drawn: now there is time for the others, once. Nothing where no server runs,
    for none has called :func:`preload`. Returns once what draws tables is there.

    Args:
        modules: the pages'.
    """
    if _waiting.is_set():
        _waiting.clear()
        for name in _TABLES:
            import_module(name)
        _in_thread("preload others", tuple(modules), _PAUSE)


def _in_thread(name: str, modules: Sequence[str], pause: float) -> None:
    # Not a daemon: a process that ends while a thread is within PyTorch is aborted.
    work = threading.Thread(target=_import_all, args=(modules, pause), name=name, daemon=False)
    work.start()


def _import_all(modules: Sequence[str], pause: float) -> None:
    time.sleep(pause)
    for name in modules:
        import_module(name)
    # Modules stay. Python would look through these hundreds of thousands of objects again and
    # again for what could be thrown away, a tenth of a second each time, while a page is drawn.
    gc.collect()
    gc.freeze()
