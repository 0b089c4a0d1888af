"""The page Algorithm: what programs say after a prefix, beside the model, in words and colour."""

from __future__ import annotations

import re
from functools import partial

import pytest

from analyses.one_list.programs.body import compare, missing_one, parse_prefix
from interp.checkpoints import load_bare
from interp.programs.catalogue import PROGRAMS
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import truth_of
from interp.support.errors import UserError
from interp.task import SortTask
from tests.pages import errors, open_page


@pytest.fixture
def start(folder, monkeypatch):
    """Open the page on a small model with blanks."""
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))
    return partial(open_page, "algorithm", model=str(folder / "with"))


def test_the_model_and_the_programs_are_those_of_literal_code():
    model = compile_sorter("successor", SortTask(8, 9)).model
    digits, prefix = (3, 1, 4, 1, 5), (1, 3)
    found = compare(model, digits, prefix)
    assert [step.prefix for step in found.steps] == [(), (1,), (1, 3)]
    for k, step in enumerate(found.steps):
        tokens = model.task.encode([digits]).tokens[:, : model.task.prompt_len + k]
        tokens[0, model.task.prompt_len :] = tokens.new_tensor(prefix[:k])
        assert step.token == int(model(tokens)[0, -1].argmax())
        for program in PROGRAMS:
            inputs = {"values": list(digits), "prefix": list(prefix[:k])}
            assert step.says(program.name) == program.answer(inputs)
    # A 1 is missing: this sorter's known program asks where it is, and says 3 again; copy-and-count
    # goes on, for the one 3 is out.
    assert truth_of("successor").program == "rank-with-last"
    assert found.last.token == 3 and found.last.agrees("rank-with-last")
    assert found.last.says("copy-and-count") == 4 and not found.last.agrees("copy-and-count")


def test_a_prefix_is_read_or_refused():
    task, digits = SortTask(8, 9), (3, 1, 4, 1, 5)
    assert parse_prefix(task, digits, "") == missing_one(digits) == (1, 3, 4)
    assert parse_prefix(task, digits, "-") == ()
    assert parse_prefix(task, digits, "113") == (1, 1, 3)
    for text in ("1,1,3,4,5", "11345"):
        with pytest.raises(UserError, match="at most 4 digits, not 5"):
            parse_prefix(task, digits, text)
    assert missing_one((7,)) == ()


def test_the_page_says_who_agrees_and_shows_where_a_head_looks(folder, start):
    page = start(list="3,1,4,1", prefix="1,3")
    text = re.sub(r"\\(.)", r"\1", " ".join(m.value for m in page.markdown))
    assert "After 1 3 the model says" in text
    assert all(program.name in text for program in PROGRAMS)
    shown = next(one.value for one in page.html if "looks" in one.value)
    percents = [float(p) for p in re.findall(r'title="[^"]*: ([0-9.]+) %"', shown)]
    assert sum(percents) == pytest.approx(100, abs=1.0)
    model = load_bare(folder / "with").model
    found = compare(model, (3, 1, 4, 1), (1, 3))
    assert f"the model says {found.last.token} (probability {found.last.probability:.4f})" in text
    agree = [name for name in found.programs if found.last.agrees(name)]
    assert f"{', '.join(agree) or 'no program'} agree" in text
    # One 3 is out of one in the list: copy and count goes on, and says why in words.
    assert "whether copies are still to come: no; smallest larger digit of the list: 4" in text


def test_a_prefix_that_is_too_long_is_one_message(start):
    page = start(list="3,1,4,1", prefix="1,1,3,4")
    assert [e for e in errors(page) if "at most 3 digits" in e]
