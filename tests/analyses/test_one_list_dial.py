"""One number of a head after one prefix: what is said at each, and what has no such number."""

from __future__ import annotations

import pytest
import torch

from analyses.one_list.dial import EXPERIMENT, DialSettings
from analyses.one_list.dial.body import dialled
from analyses.one_list.subject import ListSubject
from interp.answers.kinds import Act
from interp.answers.treatment import Treatment
from interp.checkpoints import load_bare, shipped_folder
from interp.methods.dial import NUMBERS, dial_of
from interp.methods.interchange import record, rerun
from interp.programs.prompts import Prompts
from interp.sites import Component
from interp.support.errors import UserError
from interp.task import SortTask
from tests.models import small_model

TASK = SortTask(max_len=6, n_blanks=4)
LIST, PREFIX = (3, 1, 4, 1, 5), (1, 1)


def test_every_number_is_what_the_model_says_with_it() -> None:
    model = small_model("pre", 2, TASK)
    found = dialled(ListSubject(model, LIST), DialSettings("1,1", 1))
    one, dial = record(model, Prompts((LIST,), (PREFIX,))), dial_of(model, 1)
    assert dial is not None and (found.head, found.prefix) == (1, PREFIX)
    assert found.own == float(dial.read(one)[0])
    torch.testing.assert_close(found.as_it_is, one.logits[0].softmax(-1))
    for number, probabilities in zip(NUMBERS, found.probabilities, strict=True):
        with torch.no_grad():
            logits = rerun(model, one, {(Component.Z, 0): [dial.to(number[None])]})
        torch.testing.assert_close(probabilities, logits[0].softmax(-1))


def test_the_shipped_model_turned_down_goes_on_and_then_too_far() -> None:
    folder = shipped_folder("blanks")
    assert folder is not None
    subject = ListSubject(load_bare(folder).model, (3, 1, 4, 1, 5, 1))
    outcome = EXPERIMENT.outcome(EXPERIMENT.compute(subject, DialSettings("1,1,1")))
    _, second = outcome.words
    assert [span.rpartition(": ")[2] for span in second.rstrip(".").split("; ")] == ["9", "3", "1"]
    assert {row["number"] for row in outcome.rows} == {round(n, 4) for n in NUMBERS.tolist()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DialSettings("-"), "give at least one"),
        (DialSettings("1,1,3,4,5"), "at most 4 digits"),
        (DialSettings("1", 2), "from 0 to 1, not 2"),
    ],
)
def test_what_has_no_number_is_refused(settings: DialSettings, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dialled(ListSubject(small_model("pre", 2, TASK), LIST), settings)


def test_nor_is_it_set_where_something_else_is_done_or_nothing_can_be() -> None:
    masked = Treatment(Act.MASK, (0, 1))
    with pytest.raises(UserError, match="lists of at least 2 digits"):
        dialled(ListSubject(small_model("pre", 2, TASK), (3,)), DialSettings())
    with pytest.raises(UserError, match="nothing else is done"):
        dialled(ListSubject(small_model("pre", 2, TASK), LIST, masked), DialSettings("1"))
    compiled = load_bare("compiled:slots").model
    with pytest.raises(UserError, match="there is no number to set"):
        dialled(ListSubject(compiled, LIST), DialSettings("1"))
