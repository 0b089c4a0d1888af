"""What the menu of models says of each in a few words, and lists that a model gets wrong.

    words_of(places, "bottleneck")      # "49 blanks; outputs see no digits"
    wrong_list(opened)                  # a list that it does not sort, or None

The words are read from the model's own config: nothing is opened for them.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import streamlit as st

from explorer.server.models import OpenModel
from explorer.server.places import Places
from interp.answers.decode import score
from interp.checkpoints import COMPILED, CONFIG
from interp.sorters.truth import RULES
from interp.support.errors import UserError
from interp.support.files import read_object

TRIED = 960
"""Held-out lists that are tried of each kind: of all digits, then of three, two and one."""
_FEW = (3, 2, 1)
_SMALLEST = 1 << 16  # bytes of a config that the menu reads


def words_of(places: Places, name: str) -> str:
    """A few words on the model of that name; empty where its config cannot be read."""
    if name.removeprefix(COMPILED) in RULES and name.startswith(COMPILED):
        return "written by hand"
    try:
        path = places.find(name) / CONFIG
        return _words(str(path), path.stat().st_mtime_ns)
    except (UserError, OSError):
        return ""


@st.cache_data(max_entries=300, show_spinner=False)
def _words(path: str, stamp: int) -> str:
    del stamp  # part of the key alone
    config = read_object(Path(path), _SMALLEST)
    model = config.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("task"), dict):
        return ""
    rule = model["task"].get("rule")
    asked = [rule] if isinstance(rule, str) else []
    return "; ".join([*asked, _blanks(model["task"]), *_more(model, config.get("training"))])


def _blanks(task: dict[str, Any]) -> str:
    n = task.get("n_blanks", 0)
    if n:
        return f"{n} blank{'' if n == 1 else 's'}"
    return "none, positions shifted" if task.get("pos_offset") else "no blanks"


def _more(model: dict[str, Any], training: Any) -> list[str]:
    sights = {"outputs-not-digits": "outputs see no digits", "blanks-not-digits": "sink only"}
    said = [sights[model["sight"]]] if model.get("sight") in sights else []
    recipe = training.get("recipe") if isinstance(training, dict) else None
    return [*said, *(["as published"] if recipe == "original" else [])]


def wrong_list(opened: OpenModel) -> tuple[int, ...] | None:
    """A random one of the lists that the model as it is does not sort; None where all that were
    tried come out right."""
    found = _wrong(opened.hash, opened)
    return random.choice(found) if found else None


@st.cache_data(max_entries=50, show_spinner="Looking for lists that it gets wrong")
def _wrong(hash_: str, _opened: OpenModel) -> list[tuple[int, ...]]:
    """Those of the first kind of which there are any: lists of few digits are the hardest."""
    model = _opened.model
    for distinct in (None, *(n for n in _FEW if n < model.task.n_symbols)):
        batch = model.task.held_out(TRIED, 0, distinct)
        wrong = (~score(model, batch).exact).nonzero().flatten().tolist()
        if wrong:
            return [model.task.decode_list(batch.tokens[i]) for i in wrong]
    return []
