"""Models in the server's memory: opened once, shared by all visitors, used by one at a time.

    opened = open_model(places, "blanks")
    with opened.using() as model:
        greedy_decode(model, [[3, 1, 1]])

Hooks are set on the model itself, and visitors are threads of one process: without the lock one
visitor's mask could act in another's forward pass.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from interp.checkpoints import CONFIG, WEIGHTS, LoadedModel, load_model
from interp.errors import UserError
from interp.explorer.places import Places
from interp.task import SortTask

if TYPE_CHECKING:
    from interp.model import SortTransformer


@dataclass(frozen=True)
class OpenModel:
    """A model, and the lock that whoever runs it must hold."""

    loaded: LoadedModel
    name: str
    """What the visitor chose or typed."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def using(self) -> Iterator[SortTransformer]:
        """The model, for this thread alone."""
        with self._lock:
            yield self.loaded.model

    @property
    def hash(self) -> str:
        return self.loaded.hash

    @property
    def task(self) -> SortTask:
        return self.loaded.model.task

    @property
    def words(self) -> str:
        """``lists of 1 to 48 digits, 49 blanks, after 2500 updates``"""
        n = self.task.n_blanks
        blanks = {0: "no blanks", 1: "1 blank"}.get(n, f"{n} blanks")
        step = self.loaded.info.get("step")
        trained = f", after {step} updates" if isinstance(step, int) else ""
        return f"lists of 1 to {self.task.max_len} digits, {blanks}{trained}"


def open_model(places: Places, name: str) -> OpenModel:
    """The model of that name or path; read again only when its files have changed.

    Raises:
        UserError: saying why it cannot be opened.
    """
    folder = places.find(name)
    try:
        stamps = tuple((folder / file).stat().st_mtime_ns for file in (WEIGHTS, CONFIG))
        return _open(str(folder), stamps, name)
    except (OSError, RuntimeError) as error:  # gone meanwhile; sizes that no memory holds
        raise UserError(f"{name[:80]!r} cannot be opened: {error}") from None


@st.cache_resource(max_entries=8, show_spinner=False)
def _open(folder: str, stamps: tuple[int, ...], name: str) -> OpenModel:
    del stamps  # part of the key alone
    return OpenModel(load_model(Path(folder)), name)
