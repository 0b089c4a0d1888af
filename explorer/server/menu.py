"""What the menu of models says of each in a few words, and lists that a model gets wrong.

    words_of(places, "bottleneck")      # "49 blanks; outputs see no digits"
    task_of(places, "bottleneck")       # what it does, and with which lists
    wrong_list(opened)                  # a list that it does not sort, or None

Words and tasks are read from the model's own config: no weights are opened for them.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import streamlit as st

from explorer.server.models import SIGHTS, OpenModel
from explorer.server.places import Places
from interp.answers.decode import score
from interp.checkpoints import COMPILED, CONFIG, read_info
from interp.config import ModelConfig
from interp.sorters.truth import RULES, task_for
from interp.support.errors import UserError
from interp.support.files import read_object
from interp.task import Task

TRIED = 960
"""Held-out lists that are tried of each kind: of all digits, then of three, two and one."""
_FEW = (3, 2, 1)
_SMALLEST = 1 << 16  # bytes of a config that the menu reads


def words_of(places: Places, name: str) -> str:
    """A few words on the model of that name; empty where its config cannot be read."""
    if _by_hand(name):
        return "written by hand"
    try:
        path = places.find(name) / CONFIG
        return _words(str(path), path.stat().st_mtime_ns)
    except (UserError, OSError):
        return ""


def task_of(places: Places, name: str) -> Task | None:
    """The task of the model of that name; None where its config cannot be read."""
    if _by_hand(name):
        return task_for(name.removeprefix(COMPILED))
    try:
        folder = places.find(name)
        return _task(str(folder), (folder / CONFIG).stat().st_mtime_ns)
    except (UserError, OSError):
        return None


@st.cache_resource(max_entries=300, show_spinner=False)
def _task(folder: str, stamp: int) -> Task:
    del stamp  # part of the key alone
    return ModelConfig.from_dict(read_info(Path(folder))["model"]).task


def _by_hand(name: str) -> bool:
    return name.startswith(COMPILED) and name.removeprefix(COMPILED) in RULES


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
    said = [SIGHTS[model["sight"]]] if model.get("sight") in SIGHTS else []
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
