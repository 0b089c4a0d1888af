"""Lists of a visitor's own: what a page takes, and what it says of what it does not."""

from __future__ import annotations

import re

import pytest

from analyses.experiment import catalogue
from analyses.experiment.given import Given
from explorer.parts import own_lists
from explorer.parts.own_lists import given_in
from explorer.parts.panel import About
from explorer.parts.study import SEED, Study, about_given
from interp.support.errors import UserError
from interp.support.progress import SILENT
from interp.task import SortTask
from tests.models import TASK, small_model

LENS = catalogue.experiment("logit_lens")


def test_lines_and_json_are_the_same_lists() -> None:
    lines = given_in("a.txt", b"\xef\xbb\xbf3,1,4\r\n55\n", SortTask(6, 7), LENS)
    assert lines.lists == ((3, 1, 4), (5, 5))
    assert given_in("a.json", b"[[3,1,4],[5,5]]", SortTask(6, 7), LENS).lists == lines.lists


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"3,1\n3,x\n", "a.txt, line 2"),
        (b"1234567\n", "the list has 7 digits; this model takes 1 to 6"),
        (b"\xff\xfe", "a.txt is no text in UTF-8"),
        (b"", "a.txt"),
        (b"1\n" * 40, "holds 40 lists; a page takes at most 30"),
        (b"1" * 200, "has 200 bytes; a page takes at most 100"),
    ],
)
def test_what_is_no_file_of_lists(data: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_lists, "MOST_LISTS", 30)
    monkeypatch.setattr(own_lists, "MOST_BYTES", 100)
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        given_in("a.txt", data, SortTask(6, 7), LENS)
    assert "\n" not in str(caught.value)


def test_a_name_is_only_a_name() -> None:
    name = "../<a href='//e.x'>" + "x" * 90 + ".txt"
    source = given_in(name, b"12\n", SortTask(6, 7), LENS).source
    assert len(source) == 60 and not set(source) & set("<>/':")


def test_lists_that_an_experiment_does_not_take() -> None:
    matrix = catalogue.experiment("blank_output_matrix")
    with pytest.raises(UserError, match="must be of one length; list 1 has 2, and list 2 has 3"):
        given_in("a.txt", b"12\n123\n", SortTask(6, 7), matrix)


def test_the_result_is_that_of_the_command_with_the_file() -> None:
    model, given = small_model(), given_in("a.txt", b"3,1,4\n55\n2\n", TASK, LENS)
    settings = LENS.for_lists(LENS.settings, given)
    of = about_given(About("m", "hash", "", "", SEED, ""), LENS, LENS.settings, given)
    one = Study(LENS, settings, of, lambda: model, given)
    assert one.shipped is None
    assert one.compute(SILENT).json == LENS.outcome(LENS.compute(model, lists=given)).json
    assert of.command == "python -m analyses.logit_lens --model m --seed 0 --lists a.txt"
    assert of.intervention == "3 lists of a.txt"
    other = Given(given.lists, given.source, "another")
    assert one.key != Study(LENS, settings, of, lambda: model, other).key
