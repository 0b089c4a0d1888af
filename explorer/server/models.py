"""Models in the server's memory: opened once, shared by all visitors.

    opened = open_model(places, "blanks")
    greedy_decode(opened.model, [[3, 1, 1]])

They are opened bare (:mod:`interp.passes.bare`), without hooks: an intervention is then part of one
pass, and nothing that one visitor does can reach another's. Only sorters compiled by hand bring
their hooks along, and the page never uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from explorer.server.places import Places, one_message
from interp.checkpoints import (
    COMPILED,
    CONFIG,
    HASH,
    PRETRAINED,
    WEIGHTS,
    LoadedModel,
    compiled_names,
    load_bare,
    shipped_models,
)
from interp.sorters.truth import truth_of
from interp.support.files import read_json
from interp.task import SortTask

if TYPE_CHECKING:
    from interp.model import SortTransformer
    from interp.sorters.truth import Truth


SIGHTS = {"outputs-not-digits": "outputs see no digits", "blanks-not-digits": "sink only"}
"""What a model may not attend to, in a few words, where it may not see everything."""


@dataclass(frozen=True)
class OpenModel:
    """A model that has been opened."""

    loaded: LoadedModel
    name: str
    """What the visitor chose or typed."""

    @property
    def model(self) -> SortTransformer:
        return self.loaded.model

    @property
    def hash(self) -> str:
        return self.loaded.hash

    @property
    def task(self) -> SortTask:
        return self.loaded.model.task

    @property
    def truth(self) -> Truth | None:
        """What is known of a sorter compiled by hand; None of a trained model."""
        if self.name not in compiled_names():
            return None
        return truth_of(self.name.removeprefix(COMPILED))

    @property
    def words(self) -> str:
        """``lists of 1 to 48 digits, 49 blanks, after 2500 updates``"""
        n, config = self.task.n_blanks, self.model.config
        blanks = {0: "no blanks", 1: "1 blank"}.get(n, f"{n} blanks")
        step = self.loaded.info.get("step")
        trained = f", after {step} updates" if isinstance(step, int) else ""
        by_hand = ", compiled by hand" if self.truth else ""
        sight = f", {SIGHTS[config.sight]}" if config.sight in SIGHTS else ""
        return f"lists of {self.task.lengths_words}, {blanks}{sight}{trained}{by_hand}"


def open_model(places: Places, name: str) -> OpenModel:
    """The model of that name or path; read again only when its files have changed.

    Raises:
        UserError: saying why it cannot be opened.
    """
    if name in compiled_names():
        return _open(name, (), name)
    folder = places.find(name)
    with one_message(name, folder):
        stamps = tuple((folder / file).stat().st_mtime_ns for file in (WEIGHTS, CONFIG))
        return _open(str(folder), stamps, name)


@st.cache_resource(max_entries=32, show_spinner=False)
def _open(source: str, stamps: tuple[int, ...], name: str) -> OpenModel:
    del stamps  # part of the key alone
    return OpenModel(load_bare(source if name in compiled_names() else Path(source)), name)


@st.cache_data(show_spinner=False)
def shipped_hashes() -> dict[str, str]:
    """The recorded hashes of the shipped models' weights; none is opened."""
    recorded = {name: read_json(PRETRAINED / name / CONFIG) for name in shipped_models()}
    return {name: str(info[HASH]) for name, info in recorded.items() if HASH in info}
