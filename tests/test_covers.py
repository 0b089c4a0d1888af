"""A cover of a walk leaves nothing out, and workers begin with what takes long."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.covers import crossed, dealt, few


def taken(cases: list[Any]) -> list[tuple[Any, ...]]:
    return [case.values for case in cases if not case.marks]


@pytest.mark.parametrize("sizes", [(5, 5), (5, 9), (33, 16), (7, 5)])
def test_each_thing_on_either_side_is_taken(sizes: tuple[int, int]) -> None:
    first, second = range(sizes[0]), [f"model {n}" for n in range(sizes[1])]
    cases = crossed(first, second, every=5, always=[(1, "model 1")])
    pairs = taken(cases)
    assert [case.values for case in cases] == [(one, other) for one in first for other in second]
    assert {one for one, _ in pairs} == set(first) and {other for _, other in pairs} == set(second)
    assert (1, "model 1") in pairs
    assert len(pairs) <= len(cases) / 5 + max(sizes) / 2


def test_some_are_taken_and_the_others_are_still_there() -> None:
    assert [case.values for case in few(["a", "b", "c"], "b")] == [("a",), ("b",), ("c",)]
    assert taken(few([("a", 1), ("b", 2)], ("b", 2))) == [("b", 2)]
    with pytest.raises(ValueError, match=r"'d' is none of \['a'\]"):
        few(["a"], "d")


def test_what_has_no_cover_is_said() -> None:
    with pytest.raises(ValueError, match="5 by 2 things have no cover of 1 in 3"):
        crossed(range(5), range(2), every=3)


def items(*files: str) -> list[Any]:
    """Tests by letters, a word for each file; a capital is a slow one."""
    return [
        SimpleNamespace(
            path=Path(str(number)),
            name=letter,
            get_closest_marker=lambda mark, letter=letter: mark == "slow" and letter.isupper(),
        )
        for number, letters in enumerate(files)
        for letter in letters
    ]


@pytest.mark.parametrize(
    ("workers", "files", "order"),
    [
        (2, ("ab", "cD", "efg", "Hi", "j"), "cDabe" + "Hifgj"),
        (2, ("Abcdef", "g", "h"), "Abcdef" + "gh"),  # one file is more than a share
        (3, ("a", "B", "C", "D", "e", "f"), "Ba" + "Ce" + "Df"),
        (2, ("abc", "def"), "abcdef"),
    ],
)
def test_each_share_begins_with_long_files(workers: int, files: list[str], order: str) -> None:
    assert "".join(item.name for item in dealt(items(*files), workers)) == order
