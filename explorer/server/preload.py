"""What the first page needs is imported while the visitor's browser still loads its own scripts:
PyTorch alone takes a second or two, during which the server would otherwise wait for the browser.
"""

from __future__ import annotations

import threading
from importlib import import_module

_NEEDED = ("explorer.shell", "explorer.pages.home.page")


def preload() -> None:
    """Begin; returns at once. A page that is asked for meanwhile waits for the rest, no longer."""
    # Not a daemon: a process that ends while a thread is within PyTorch is aborted.
    threading.Thread(target=_import_all, name="preload", daemon=False).start()


def _import_all() -> None:
    for name in _NEEDED:
        import_module(name)
