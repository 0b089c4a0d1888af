"""The page's words, of whichever task is open. They are written of sorting digits, the published
task; of another task what its lists hold and what is done to them go by their own names.

    speak_of(opened.task)                   # once a page, when its model is open
    says("✓ Sorted: every digit is right")  # of parity "✓ Answered: every bit is right"
"""

from __future__ import annotations

import re

import streamlit as st

from interp.rules import SORT
from interp.task import SortTask

_TASK = "task that is open"
_WORDS = re.compile(r"\b(digits?|sort(?:s|ed|ing)?)\b", re.IGNORECASE)


def speak_of(task: SortTask) -> bool:
    """From now on the page's words are of this task.

    Returns:
        whether the menu, which is drawn before a model is open, said it in other words.
    """
    before = is_sorting()
    st.session_state[_TASK] = task
    return is_sorting() is not before


def is_sorting() -> bool:
    """Whether the task that is open is the published one, or none is open yet."""
    return st.session_state.get(_TASK, SortTask()).rule == SORT


def says(text: str) -> str:
    """The text, of the task that is open."""
    return in_words_of(st.session_state.get(_TASK, SortTask()), text)


def in_words_of(task: SortTask, text: str) -> str:
    """The text, of that task; of the published one as it stands."""
    if task.rule == SORT:
        return text
    names = _names(task)

    def named(match: re.Match[str]) -> str:
        name = names[match[0].lower()]
        return name[0].upper() + name[1:] if match[0][0].isupper() else name

    return _WORDS.sub(named, text)


def _names(task: SortTask) -> dict[str, str]:
    word, (does, done) = task.symbols.word, task.rule.verb
    plainly = does.removesuffix("s")
    return {
        "digit": word,
        "digits": f"{word}s",
        "sort": plainly,
        "sorts": does,
        "sorted": done,
        "sorting": plainly.removesuffix("e") + "ing",
    }
