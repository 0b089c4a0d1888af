"""Imports that wait until they are used, so that `--help` does not load torch.

    torch = lazy_import("torch")    # costs nothing
    torch.zeros(3)                  # imports it now

The proxy never enters ``sys.modules``, so an ordinary ``import torch`` elsewhere is unaffected.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class _LazyModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)  # the next access does not come through here
        return value


def lazy_import(name: str) -> Any:
    """A stand-in for module ``name`` that imports it at the first attribute access."""
    return _LazyModule(name)
