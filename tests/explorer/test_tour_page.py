"""The page "Tour": its numbers against the library's, and sentences that stay true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import torch
from streamlit.testing.v1 import AppTest

from analyses.experiment.minimal_pairs import PLACES
from analyses.one_list.answers import Answer, Output
from analyses.one_list.subject import ListSubject
from analyses.one_list.without.body import KEPT, MASKED, OF_B
from analyses.one_list.without.result import AblatedAnswer, AblatedAnswers
from analyses.patch_blanks import PatchConfig, compute
from explorer.pages.tour import words as words
from explorer.pages.tour.page import TITLES, places_figure
from explorer.parts.meaning import verdict
from interp.answers.ablation import Kind, ablate
from interp.answers.decode import greedy_decode, score
from interp.answers.trials import chunks
from interp.checkpoints import load_bare, shipped_models
from interp.sites import Component, Site
from interp.stats import wilson
from interp.task import BLANK, SortTask
from tests.covers import crossed
from tests.pages import address, button, errors, open_page

LIST, DIGITS = "3,1,4,1,5", (3, 1, 4, 1, 5)
shipped = pytest.mark.skipif("blanks" not in shipped_models(), reason="no model is shipped yet")


@pytest.fixture
def visit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``visit(step, model)`` opens the tour."""
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))

    def visit(step: int, model: str = "with", **link: str) -> AppTest:
        path = str(folder / model) if model in ("with", "without") else model
        return open_page("tour", **{"tour": str(step), "model": path, "list": LIST, **link})

    return visit


def told(page: AppTest) -> str:
    return "\n".join(text.value for text in page.markdown)


def reveal(page: AppTest, step: int) -> str:
    page.toggle(f"reveal {step}").set_value(True).run()
    assert not page.exception
    return str(page.markdown[-1].value)


# -- finding one's way --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "step"), crossed(["with", "without", "compiled:slots"], range(1, 7), every=3)
)
def test_every_step_opens_on_every_kind_of_model(visit: Any, model: str, step: int) -> None:
    page = visit(step, model)
    assert not page.error
    assert page.header[0].value == f"{step}. {TITLES[step - 1]}"
    assert address(page)["tour"] == str(step)
    if any(toggle.key == f"reveal {step}" for toggle in page.toggle):
        assert len(reveal(page, step)) > 20


def test_next_and_previous(visit: Any) -> None:
    page = visit(1)
    assert button(page, "← Previous").disabled
    button(page, "Next →").click().run()
    button(page, "Next →").click().run()
    assert page.header[0].value == "3. Where it looks"
    button(page, "← Previous").click().run()
    assert page.header[0].value == "2. The answer"
    assert address(page)["tour"] == "2"
    assert button(visit(6), "Next →").disabled


@pytest.mark.parametrize("wrong", ["0", "7", "three", "<b>", ""])
def test_a_link_to_a_step_that_is_not_there(visit: Any, wrong: str) -> None:
    assert visit(1, tour=wrong).header[0].value == "1. The task"


def test_a_list_that_cannot_be_read(visit: Any) -> None:
    page = visit(4, list="3,12")
    assert errors(page) == ["'12' is not a digit from 0 to 9; a list looks like 3,1,4,1,5"]
    assert any("Waiting for a list" in info.value for info in page.info)


@pytest.mark.parametrize("step", range(1, 7))
def test_a_list_of_one_digit(visit: Any, step: int) -> None:
    assert not visit(step, "compiled:histogram", list="0").error


def test_what_the_sidebar_does_is_left_aside(visit: Any) -> None:
    page = visit(4, do="zero:1-2")
    assert any("left aside" in caption.value for caption in page.caption)
    assert told(page).split("\n")[1] == told(visit(4)).split("\n")[1]
    assert "--do" not in page.code[0].value


def test_a_link_to_another_page_holds_model_and_list(visit: Any, folder: Path) -> None:
    page = visit(4)
    (link,) = re.findall(r'href="([^"]*)" target="_self"', page.html[-1].value)
    parts = urlsplit(link.replace("&amp;", "&"))
    assert (parts.scheme, parts.netloc, parts.path) == ("", "", "blanks")
    assert dict(parse_qsl(parts.query)) == {"model": str(folder / "with"), "list": LIST}


# -- numbers ------------------------------------------------------------------------------------


def test_the_task(visit: Any) -> None:
    text = told(visit(1))
    assert "Yours has 5 digits, 3 1 4 1 5, so the right answer is **1 1 3 4 5**." in text
    assert "then 4 BLANK tokens" in text and "The last blank says the first output" in text
    assert "5 digits + SEP + 4 blanks = **10**" in reveal(visit(1), 1)
    bare = visit(1, "without")
    assert "BLANK" not in told(bare) and "SEP says the first output" in told(bare)
    assert "5 digits + SEP = **6**" in reveal(bare, 1)


def test_the_answer_is_the_models_own(visit: Any, folder: Path) -> None:
    model = load_bare(folder / "with").model
    decoded = greedy_decode(model, [DIGITS])
    wrong = sum(a != b for a, b in zip(decoded.lists[0], sorted(DIGITS), strict=True))
    best = decoded.probabilities[0].max(-1).values
    page = visit(2)
    assert f"{wrong} of 5 outputs are wrong" in told(page)
    assert f"least sure of output {int(best.argmin())}: {100 * float(best.min()):.1f} %" in told(
        page
    )
    exact = score(model, model.task.held_out(500)).exact
    assert wilson(int(exact.sum()), 500).percent() in reveal(page, 2)


def test_where_it_looks(visit: Any, folder: Path) -> None:
    model = load_bare(folder / "with").model
    seen = ListSubject(model, DIGITS).run().attention
    blanks = [i for i, region in enumerate(seen.regions) if "blank" in region.value]
    shares = seen.pattern[1][:, -5:][..., blanks].sum(-1).mean(-1)
    head, text = int(shares.argmax()), told(visit(3))
    assert f"Head {head} of layer 1 gives **{100 * shares[head]:.0f} %** of its attention" in text
    assert f"together {100 * shares.mean():.0f} %" in text
    assert "to the digits" in told(visit(3, "without"))


def test_taken_away(visit: Any, folder: Path) -> None:
    model = load_bare(folder / "with").model
    task, batch = model.task, model.task.encode([DIGITS])
    other = (6, 8, 5, 8, 4)  # 9 minus each digit
    chunk = next(chunks(model, batch, task.encode([other])))
    right = {}
    for kind in (Kind.MASK, Kind.RESAMPLE):  # resampled from list B
        said = chunk.logits(ablate(kind, chunk, range(7, 11)))[0].argmax(-1)
        right[kind] = int((said == torch.tensor(sorted(DIGITS))).sum())
    text = told(visit(4))
    assert "hold what they hold for another list, 6 8 5 8 4." in text
    assert f"Masked, **{right[Kind.MASK]} of 5 outputs** stay right" in text
    assert f"blanks of list B, **{right[Kind.RESAMPLE]}** do" in text


def test_heads_where_there_are_no_blanks(visit: Any) -> None:
    text = told(visit(4, "without"))
    assert "This model has no blanks to take away" in text
    assert re.search(r"\*\*\d of 4 heads\*\* change an output by themselves", text)


@pytest.mark.parametrize("model", ["compiled:slots", "compiled:sink"])
def test_patching_is_that_of_the_command(visit: Any, model: str, unchecked: None) -> None:
    page = visit(5, model)
    assert "one digit changed: 3 1 4 1 0." in told(page)
    assert "yours has **1** there, and C **0**" in told(page)
    (code,) = (c.value for c in page.code)
    flags = f"--list {LIST} --corrupt 3,1,4,1,0 --model {model} --seed 0"
    assert code == f"python -m analyses.patch_blanks {flags}"
    result = compute(load_bare(model).model, PatchConfig(list=LIST, corrupt="3,1,4,1,0"))
    place = {"compiled:slots": "blanks", "compiled:sink": "changed digit"}[model]
    site = result.sites.index(Site(Component.RESID_PRE, 1))
    back, lost = (result.place_estimate(d, site, PLACES.index(place)) for d in range(2))
    assert back is not None and lost is not None
    assert f"*{place}* brings back **{100 * back.value:.0f} %**; the others next to" in told(page)
    assert f"*{place}*: {100 * lost.value:.0f} %" in reveal(page, 5)


def test_a_pair_that_the_model_does_not_get_right(visit: Any) -> None:
    page = visit(5)
    assert any("no difference to bring back" in info.value for info in page.info)


@pytest.mark.parametrize(
    ("model", "alike"), [("compiled:slots", "slots and histogram"), ("compiled:sink", "sink")]
)
def test_what_follows(visit: Any, model: str, alike: str) -> None:
    page = visit(6, model)
    assert "masking breaks slots, histogram and sink" in told(page)
    assert "lead slots and histogram to B's answer: **10 of 10** as is known." in told(page)
    assert f"it fares like {alike}. That is not the same algorithm" in reveal(page, 6)


def test_a_list_on_which_masking_a_sink_does_not_show(visit: Any) -> None:
    text = told(visit(6, "compiled:sink", list="5,5,5"))
    assert "masking breaks slots and histogram," in text
    assert "**9 of 10** as is known" in text


@shipped
def test_the_shipped_model(visit: Any) -> None:
    page = visit(4, "blanks")
    masked = re.search(r"Masked, \*\*(\d) of 5 outputs\*\*", told(page))
    assert masked and int(masked[1]) < 5
    assert "blanks of list B, **5** do, and 0 become" in told(page)
    assert "only masking breaks outputs" in reveal(page, 4)


# -- words --------------------------------------------------------------------------------------


def taken(masked: tuple[int, ...], kept: tuple[int, ...], of_b: tuple[int, ...]) -> AblatedAnswers:
    lines = {MASKED: masked, KEPT: kept, OF_B: of_b}
    answers = tuple(AblatedAnswer(name, tokens) for name, tokens in lines.items())
    return AblatedAnswers(SortTask(), (1, 2, 3), (4, 5, 6), answers)


RIGHT = (1, 2, 3)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (taken(RIGHT, RIGHT, RIGHT), "the outputs do without the blanks"),
        (taken((1, 1, 1), RIGHT, RIGHT), "so the blanks are where attention rests"),
        (taken((1, 1, 1), (1, 2, 1), RIGHT), "so the blanks also add something"),
        (taken((0, 0, 0), (0, 0, 0), (4, 5, 6)), "3 of the 3 outputs that could tell follow"),
        (taken(RIGHT, RIGHT, (1, 5, 3)), "1 of the 3 outputs that could tell follow"),
        (taken((0, 0, 0), (0, 0, 0), (0, 2, 0)), "spoil 2 outputs, but lead none to B's answer"),
    ],
)
def test_what_two_ways_say_together(result: AblatedAnswers, says: str) -> None:
    assert says in verdict(result)


def test_an_answer_in_words() -> None:
    right = Answer((2, 1), (Output(1, 1, 1.0, 2, 0.0), Output(2, 2, 0.75, 1, 0.2)))
    assert words.answer_words(right)[0].startswith("**✓ All 2 outputs are right.**")
    assert "least sure of output 1: 75.0 %" in words.answer_words(right)[1]
    one = Answer((2,), (Output(BLANK, 2, 1.0, 2, 0.0),))
    assert words.answer_words(one)[0].startswith("**✗ 1 of 1 output is wrong.**")
    assert ">99.9 %" in words.answer_words(one)[1]
    assert words.answer_words(Answer((2,), (Output(2, 2, 1.0, 1, 0.0),)))[0].startswith("**✓ It is")


def test_places_in_words() -> None:
    shares = {"SEP": (0.01, 0.5), "blanks": (0.6, 0.3), "answer row": (0.2, -0.001)}
    assert words.carried_words(shares) == (
        "By itself, *blanks* brings back **60 %**; of the others, answer row 20 %."
    )
    assert "at *SEP*: 50 %" in words.lost_words(shares)
    assert words.carried_words({"SEP": (0.9, 0.0)}).endswith("; the others next to nothing.")
    assert words.carried_words({"SEP": (0.0, 0.0)}).startswith("No place brings")


def test_bars_have_their_numbers_and_their_pattern() -> None:
    back, lost = places_figure({"SEP": (0.25, -0.001), "blanks": (1.0, 0.5)}, 1).data
    assert (list(back.y), list(back.text)) == ([25.0, 100.0], ["25 %", "100 %"])
    assert list(lost.text) == ["0 %", "50 %"]
    assert back.marker.pattern.shape != lost.marker.pattern.shape


def test_a_task_of_one_blank() -> None:
    assert "then a BLANK that means nothing, then" in words.task_words(SortTask(3, 1), (1, 2))[1]
