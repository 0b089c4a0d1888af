"""One thing taken away at a time, on sorters of which it is known what that does."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analyses.experiment import main as run_command
from analyses.one_list.subject import NOTHING, ListSubject
from analyses.one_list.without import EXPERIMENT, WithoutSettings
from analyses.one_list.without.body import KEPT, MASKED, OF_B, other_list
from analyses.one_list.without.figure import figure, rows, summary
from analyses.one_list.without.result import AblatedAnswer, AblatedAnswers
from interp.answers.treatment import Treatment
from interp.checkpoints import load_bare
from interp.interventions import Mask, intervene
from interp.model import SortTransformer
from interp.sorters.truth import SORTERS, truth_of
from interp.support.errors import UserError
from interp.task import SortTask
from tests.models import TASK, small_model

LIST = (4, 1, 7, 1, 9, 3)
HAND = AblatedAnswers(
    task=TASK,
    digits=(1, 2, 3),
    other=(9, 2, 0),
    lines=(AblatedAnswer("as it is", (1, 2, 3)), AblatedAnswer("zap", (0, 2, 11))),
)


def compute(
    model: Any, digits: tuple[int, ...], settings: Any = None, treatment: Treatment = NOTHING
) -> AblatedAnswers:
    result: AblatedAnswers = EXPERIMENT.compute(ListSubject(model, digits, treatment), settings)
    return result


def test_right_and_following() -> None:
    # B is sorted to 0 2 9, so its middle digit tells nothing, and counts as right.
    assert HAND.kinds(HAND.line("zap")) == [1, 0, 2]
    assert (HAND.right("zap"), HAND.follows("zap"), HAND.telling) == (1, 1, 2)
    assert (HAND.right("as it is"), HAND.follows("as it is")) == (3, 0)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=48))
def test_list_b_has_another_answer(digits: list[int]) -> None:
    other = other_list(TASK, digits)
    assert len(other) == len(digits)
    assert sorted(other) != sorted(digits)
    assert all(0 <= digit <= 9 for digit in other)


def test_list_b_is_the_mirror_where_that_is_another() -> None:
    assert other_list(TASK, [3, 1, 4]) == (6, 8, 5)
    assert other_list(TASK, [0, 9, 4, 5]) == (1, 0, 5, 6)
    assert other_list(TASK, range(10)) == (0,) * 10


@pytest.mark.parametrize("name", SORTERS)
def test_what_is_known_of_the_blanks(name: str) -> None:
    truth, result = truth_of(name), compute(load_bare(f"compiled:{name}").model, LIST)
    assert result.right("as it is") == 6
    assert (result.right(MASKED) < 6) == truth.blanks_needed
    assert (result.follows(OF_B) == 6) == truth.blanks_content
    assert (result.right(OF_B) == 6) == (not truth.blanks_content)
    assert (result.right(KEPT) == 6) == (not truth.blanks_content)  # a sink stays a sink


@pytest.mark.parametrize("name", SORTERS)
def test_what_is_known_of_the_heads(name: str) -> None:
    result = compute(load_bare(f"compiled:{name}").model, LIST, WithoutSettings("heads"))
    breaking = {line.name for line in result.lines if result.right(line.name) < 6}
    assert breaking == {f"head {layer}.{head} of list B" for layer, head in truth_of(name).heads}
    # Each carries all there is to know of the list, where that alone decides.
    assert truth_of(name).prefix_used or all(result.follows(line) == 6 for line in breaking)


def test_the_five_sorters_beside_a_model() -> None:
    model = load_bare("compiled:direct").model
    result = compute(model, LIST, WithoutSettings("sorters"))
    names = [line.name for line in result.lines]
    assert names[:4] == ["as it is", MASKED, OF_B, f"slots: {MASKED}"]
    assert len(names) == 3 + 2 * len(SORTERS)
    own = compute(load_bare("compiled:slots").model, LIST)
    assert result.line(f"slots: {OF_B}").tokens == own.line(OF_B).tokens
    bare = compute(small_model(task=SortTask(6, 0)), LIST, WithoutSettings("sorters"))
    assert [line.name for line in bare.lines][:2] == ["as it is", f"slots: {MASKED}"]


def test_a_mask_on_an_untrained_model_is_that_of_the_hooks() -> None:
    model = SortTransformer(small_model().config, seed=3)
    with torch.no_grad():  # sharp attention, so that a mask changes what is said
        for block in model.blocks:
            block.attn.W_Q.mul_(6)
    result = compute(model, LIST)
    batch = TASK.encode([LIST])
    with torch.no_grad(), intervene(model, [Mask(TASK.output_rows(6), range(7, 11))]):
        logits = model(batch.tokens)[0, TASK.output_rows(6)]
    assert result.line(MASKED).tokens == tuple(logits.argmax(-1).tolist())
    assert result.line(MASKED).tokens != result.line("as it is").tokens


def test_what_is_asked_for_is_a_line_of_its_own() -> None:
    treatment = Treatment.parse("zero:1-2")
    result = compute(small_model(), LIST, treatment=treatment)
    assert result.lines[1].name == "blanks 1-2: keys and values zero"
    assert "blanks 1-2" not in str(compute(small_model(), LIST))


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(UserError, match="list B must have 6 digits"):
        compute(small_model(), LIST, WithoutSettings(other="1,2"))
    with pytest.raises(UserError, match="this model has no blanks"):
        compute(small_model(task=SortTask(6, 0)), LIST)


# -- words, rows and figure ---------------------------------------------------------------------


def test_words() -> None:
    assert summary(HAND) == [
        "List: 1 2 3. List B: 9 2 0.",
        "as it is: 3 of 3 outputs right; of the 2 in which the answers differ, 0 list B's.",
        "zap: 1 of 3 outputs right; of the 2 in which the answers differ, 1 list B's.",
    ]


def test_rows() -> None:
    found = rows(HAND)
    assert len(found) == 6
    names = ("output", "said", "right answer", "list B's answer", "verdict")
    assert [tuple(row[name] for name in names) for row in found[3:]] == [
        (0, "0", 1, 0, "list B's"),
        (1, "2", 2, 2, "right"),
        (2, "BLANK", 3, 9, "neither"),
    ]
    assert {row["done"] for row in found[3:]} == {"zap"}


def test_a_figure_says_with_symbols_what_it_says_in_colours() -> None:
    (cells,) = figure(HAND).data
    assert [list(row) for row in cells.text] == [["1 ✓", "2 ✓", "3 ✓"], ["0 B", "2 ✓", "BLANK ✗"]]
    assert [list(row) for row in cells.z] == [[0, 0, 0], [1, 0, 2]]
    long = tuple([1] * 47 + [11])
    (cells,) = figure(
        AblatedAnswers(TASK, (1,) * 48, (2,) * 48, (AblatedAnswer("as it is", long),))
    ).data
    assert (cells.text[0][0], cells.text[0][47]) == ("1✓", "_✗")


def test_command(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", "compiled:sink", "--list", "4,1,7,1,9,3", "--out", str(tmp_path)]
    assert status(partial(run_command, EXPERIMENT), [*flags, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"] == rows(compute(load_bare("compiled:sink").model, LIST))
    folder = tmp_path / "one_list" / "without" / "compiled-sink-417193"
    assert json.loads((folder / "result.json").read_text()) == printed
    assert status(partial(run_command, EXPERIMENT), [*flags, "--other", "582"]) == 2
    assert "list B must have 6 digits" in capsys.readouterr().err
