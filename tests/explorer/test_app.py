"""The page, driven without a browser: what it answers, what it refuses, and what a link opens."""

from __future__ import annotations

import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from analyses.one_list.answers import Answer, Output, attention_of, decode_list
from explorer.parts.controls import PRESETS
from explorer.parts.elements import plain, share, strip
from explorer.server import results
from explorer.server.models import open_model
from explorer.server.places import Places, places_from
from explorer.server.session import OTHER
from interp.answers.decode import greedy_decode, score
from interp.answers.kinds import Act
from interp.answers.treatment import Treatment
from interp.checkpoints import (
    CONFIG,
    WEIGHTS,
    compiled_names,
    load_model,
    shipped_models,
    shipped_task_models,
)
from interp.interventions import Mask
from interp.stats import wilson
from interp.support.errors import UserError
from interp.task import BLANK, SEP, SortTask
from tests.pages import (
    APP,
    address,
    answers,
    button,
    captions,
    errors,
    open_page,
    scored,
    strips,
)

TASK = SortTask(max_len=6, n_blanks=4)
shipped = pytest.mark.skipif("blanks" not in shipped_models(), reason="no model is shipped yet")


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Open the page with a link, on a server that may open ``folder``, and no runs beside it."""
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))
    monkeypatch.setattr("explorer.server.places.RUNS", folder / "no runs")
    return partial(open_page, "sort", part="answer")


@pytest.fixture
def page(start: Any, folder: Path) -> AppTest:
    """The page on the small model with blanks."""
    return start(model=str(folder / "with"), list="3,1,4,1,5")


# -- answers ------------------------------------------------------------------------------------


@shipped
@pytest.mark.parametrize("typed", ["3,1,4,1,5", "9 8 7 0", "2718281828459045", "7"])
def test_the_shipped_model_sorts_what_is_typed(start: Any, typed: str) -> None:
    page = start()
    assert page.selectbox("model").value == "blanks"
    page.text_input("list").set_value(typed).run()
    digits = sorted(re.sub(r"\D", "", typed))
    assert answers(page)[0] == " ".join(digits)
    assert any("✓ Sorted." in m.value for m in page.markdown)
    assert not page.exception
    assert not page.error


def test_the_answer_is_the_models_own_and_its_mistakes_are_marked(
    page: AppTest, folder: Path
) -> None:
    opened = open_model(Places((folder,)), str(folder / "with"))
    said = greedy_decode(opened.model, [(3, 1, 4, 1, 5)])
    names = {SEP: "SEP", BLANK: "BLANK"}
    assert answers(page)[0] == " ".join(names.get(t, str(t)) for t in said.lists[0])
    wrong = sum(a != b for a, b in zip(said.lists[0], (1, 1, 3, 4, 5), strict=True))
    assert wrong
    assert strips(page)[0].count("✗ not") == wrong
    assert any(f"{wrong} of 5 outputs" in m.value for m in page.markdown)


def test_a_strip_says_in_words_what_it_shows() -> None:
    said = Answer((2, 1), (Output(1, 1, 0.99999, 2, 0.00001), Output(BLANK, 2, 0.6, 2, 0.3)))
    shown = strip(said, "Outputs")
    assert "out 0: 1, right; probability &gt;99.9 %, runner-up 2 with &lt;0.1 %" in shown
    assert "out 1: BLANK, wrong, should be 2; probability 60.0 %, runner-up 2 with 30.0 %" in shown
    assert (said.text, said.wrong) == ("1 BLANK", [1])


def test_probabilities_never_round_to_certainty() -> None:
    assert [share(p) for p in (1.0, 0.9996, 0.9994, 0.5, 0.0006, 0.0)] == [
        ">99.9 %",
        ">99.9 %",
        "99.9 %",
        "50.0 %",
        "0.1 %",
        "<0.1 %",
    ]


@pytest.mark.parametrize("words", PRESETS)
def test_a_button_gives_a_list_that_the_model_can_sort(page: AppTest, words: str) -> None:
    before = page.text_input("list").value
    button(page, words).click().run()
    assert not page.exception
    assert not page.error
    digits = TASK.parse(page.text_input("list").value)
    assert page.text_input("list").value != before
    assert address(page)["list"] == page.text_input("list").value
    if words == "One digit":
        assert len(digits) == 1
    if words == "Longest":
        assert len(digits) == TASK.max_len


def test_buttons_make_what_they_say_for_the_published_task() -> None:
    task = SortTask()
    random.seed(0)
    assert PRESETS["Reversed"](task) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert len(PRESETS["Longest"](task)) == 48
    assert len(set(PRESETS["Many repeats"](task))) <= 2
    for make in PRESETS.values():
        for smallest in (SortTask(max_len=1, n_blanks=0), task):
            assert smallest.checked_list(make(smallest))


# -- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("3,x,5", "'x' is not a digit from 0 to 9; a list looks like 3,1,4,1,5"),
        ("3,12,5", "'12' is not a digit from 0 to 9"),
        ("", "the list is empty; give 1 to 6 digits"),
        ("[]", "the list is empty"),
        ("1234567", "the list has 7 digits; this model takes 1 to 6"),
        ("-1,2", "'-1' is not a digit"),
        ("3.5", "'3.5' is not a digit"),
        ("٣,١", "'٣' is not a digit"),
        ("<b>1</b>", "'<b>1</b>' is not a digit"),
        ("![](//e.example/x)", "'![](//e.example/x' is not a digit"),
        ("__import__('os')", """"__import__('os'" is not a digit"""),
    ],
)
def test_a_list_that_cannot_be_read_is_a_message_beside_its_field(
    page: AppTest, typed: str, message: str
) -> None:
    page.text_input("list").set_value(typed).run()
    assert not page.exception
    assert len(page.sidebar.error) == 1
    assert message in errors(page)[0]
    assert not page.code  # nothing is shown for a list that is none
    page.text_input("list").set_value("2,1").run()
    assert not page.error
    assert page.code


@shipped
def test_49_digits_are_one_too_many(start: Any) -> None:
    page = start(list="1" * 49)
    assert errors(page) == ["the list has 49 digits; this model takes 1 to 48"]
    page.text_input("list").set_value("314159265358" * 4).run()
    assert not page.error
    assert answers(page)[0] == " ".join(sorted("314159265358" * 4))


@pytest.mark.parametrize("text", ["![](//e.example/x)", "[a](b) *c* `d` $e$ :red[f] <g> http://h"])
def test_what_was_typed_is_never_markdown(text: str) -> None:
    """Every punctuation mark is escaped, so that no image is fetched and no link made."""
    shown = plain(text)
    assert re.sub(r"\\(.)", r"\1", shown).replace("\u2060", "") == text
    assert not re.search(r"(?<!\\)[^\w\s\\\u2060]", shown)


# -- masked blanks ------------------------------------------------------------------------------


def test_the_mask_changes_the_numbers_and_says_what_it_does_not_prove(
    page: AppTest, folder: Path
) -> None:
    assert len(answers(page)) == 1
    assert not page.metric
    scored(page.toggle("masked").set_value(True).run())
    opened = open_model(Places((folder,)), str(folder / "with"))
    model, batch = opened.loaded.model, opened.task.held_out(results.SAMPLE)
    expected = []
    task = opened.task
    blanks = range(task.sep_pos + 1, task.first_output_row + 1)
    closed = Mask(range(task.first_output_row, task.n_ctx), blanks)
    for masks in ([], [closed]):
        exact = wilson(int(score(model, batch, interventions=masks).exact.sum()), len(batch))
        expected.append(f"{100 * exact.value:.1f} %")
    assert [metric.value for metric in page.metric] == expected
    assert len(answers(page)) == 2
    assert strips(page)[0] != strips(page)[1]
    assert "attention sink" in captions(page)
    assert address(page)["do"] == "mask:0-3"
    assert "What it means." in "\n".join(m.value for m in page.markdown)
    under_mask = strips(page)[1]
    page.toggle("as_published").set_value(True).run()
    assert address(page)["do"] == "published"
    assert strips(page)[1] != under_mask
    page.toggle("masked").set_value(False).run()
    assert "do" not in address(page)
    assert len(answers(page)) == 1


@shipped
def test_masking_the_blanks_of_the_shipped_model_breaks_it(start: Any) -> None:
    page = scored(start(do="published"))
    plain_rate, masked_rate = (float(metric.value.split()[0]) for metric in page.metric)
    assert plain_rate > 97
    assert masked_rate < plain_rate - 20


def test_a_model_without_blanks_has_nothing_to_mask(start: Any, folder: Path) -> None:
    page = start(model=str(folder / "without"), do="published")
    masks = [one for one in page.sidebar.toggle if one.label == "Mask the blanks"]
    assert [toggle.disabled for toggle in masks] == [True]
    assert not page.sidebar.toggle[0].value
    assert "trained without blanks" in captions(page)
    assert not page.metric
    assert "do" not in address(page)
    assert page.code
    assert address(page)["list"] == "3,1,4,1,5,9"  # the first list, cut to what this model takes


# -- models -------------------------------------------------------------------------------------


def test_the_folders_of_the_server_are_offered(page: AppTest, folder: Path) -> None:
    values = page.selectbox("model").options
    theirs = [*shipped_models(), *compiled_names(), *shipped_task_models()]
    assert len(values) == len(theirs) + 3  # two in the folder, and a path of one's own
    page.selectbox("model").set_value(str(folder / "without")).run()
    assert not page.exception
    assert address(page)["model"] == str(folder / "without")
    assert "no blanks, after 7 updates" in captions(page).replace("\\", "")


@pytest.mark.parametrize(
    "name", ["blonks", "/etc", "../..", "~", "a\0b", "x" * 5000, "![](//e.x/)"]
)
def test_a_model_that_may_not_be_opened_says_why_and_the_page_goes_on(
    start: Any, name: str
) -> None:
    page = start(model=name, list="2,1")
    assert page.selectbox("model").value == OTHER
    assert len(page.sidebar.error) == 1
    assert "is no model that this page may open" in errors(page)[0]
    assert "--models DIR" in errors(page)[0]
    assert "Still shown: " in captions(page)
    assert page.code


def test_a_path_that_is_refused_leaves_the_last_model_open(page: AppTest, folder: Path) -> None:
    page.selectbox("model").set_value(str(folder / "without")).run()
    page.selectbox("model").set_value(OTHER).run()
    assert not page.error  # nothing was typed yet
    page.text_input("folder").set_value("/etc/passwd").run()
    assert "is no model that this page may open" in errors(page)[0]
    assert f"Still shown: {folder / 'without'}" in captions(page).replace("\\", "")
    page.text_input("folder").set_value(str(folder / "with")).run()
    assert not page.error
    assert f"Open: {folder / 'with'}" in captions(page).replace("\\", "")


def test_nothing_outside_the_folders_is_found(folder: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    places = Places((inside,))
    for outside in (folder / "with", inside / ".." / "inside", inside / ".." / ".."):
        if not outside.resolve().is_relative_to(inside):
            with pytest.raises(UserError, match="is no model that this page may open"):
                places.find(str(outside))
    (inside / "link").symlink_to(folder / "with")
    with pytest.raises(UserError, match="is no model that this page may open"):
        places.find(str(inside / "link"))
    with pytest.raises(UserError, match="no model"):
        places.find(str(inside / "nothing"))
    assert Places((folder,)).find(str(folder / "with")) == (folder / "with").resolve()


@pytest.mark.parametrize("damage", ["truncated", "other sizes", "newer", "no json", "huge"])
def test_a_damaged_model_says_why_and_the_page_goes_on(
    start: Any, folder: Path, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    config = json.loads((folder / "with" / CONFIG).read_text())
    weights = (folder / "with" / WEIGHTS).read_bytes()
    if damage == "other sizes":
        config["model"]["d_mlp"] = 25
    if damage == "huge":
        config["model"]["d_mlp"] = 10**15
    if damage == "newer":
        config["format"] = 999
    (broken / CONFIG).write_text("{" if damage == "no json" else json.dumps(config))
    (broken / WEIGHTS).write_bytes(weights[:-9] if damage == "truncated" else weights)
    monkeypatch.setattr("explorer.server.places.RUNS", folder)
    monkeypatch.setenv("SORTSCOPE_MODELS", str(tmp_path))
    page = open_page("sort", model=str(broken), list="2,1")
    assert len(page.error) == 1
    assert "broken" in errors(page)[0]
    assert "Still shown: " in captions(page)
    assert page.code


def test_with_no_trained_model_a_compiled_sorter_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.server.places.RUNS", tmp_path)
    monkeypatch.setattr("interp.checkpoints.PRETRAINED", tmp_path)
    monkeypatch.delenv("SORTSCOPE_MODELS", raising=False)
    page = open_page("sort")
    assert page.selectbox("model").value == compiled_names()[0]
    assert answers(page)[0] == "1 1 2 3 3 4 5 5 6 9"[: len(answers(page)[0])]


def test_what_the_server_is_started_with(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    both = places_from(["--models", str(one)], {"SORTSCOPE_MODELS": f"{two}::{one}"})
    assert both.folders == (Path("runs"), one, two)
    assert places_from([], {}).folders == (Path("runs"),)
    with pytest.raises(UserError, match="is no folder"):
        places_from(["--models", str(tmp_path / "three")], {})
    with pytest.raises(UserError, match="it takes --models DIR"):
        places_from(["--modles", str(one)], {})


def test_a_wrong_start_is_a_message_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORTSCOPE_MODELS", "/no/such/folder")
    page = AppTest.from_file(str(APP), default_timeout=120).run()
    assert not page.exception
    assert errors(page) == ["the page was started with '/no/such/folder', which is no folder"]


# -- the link -----------------------------------------------------------------------------------


def test_a_link_opens_the_same_view(start: Any, folder: Path) -> None:
    wanted = {"model": str(folder / "with"), "list": "5,0,2", "do": "published"}
    page = start(**wanted)
    assert wanted.items() <= address(page).items()
    assert page.text_input("list").value == "5,0,2"
    assert page.toggle("masked").value
    assert page.toggle("as_published").value
    again = start(**address(page))
    assert [html.value for html in again.html] == [html.value for html in page.html]


def test_a_link_opens_the_same_head(start: Any, folder: Path) -> None:
    wanted = {"model": str(folder / "with"), "list": "5,0,2", "layer": "0", "head": "1"}
    page = open_page("attention", **wanted)
    assert (page.radio("layer").value, page.radio("head").value) == (0, 1)
    page.radio("layer").set_value(1).run()
    assert address(page)["layer"] == "1"
    again = open_page("attention", **address(page))
    assert again.radio("layer").value == 1


@pytest.mark.parametrize("number", ["99999999999999999999", "-1", "x", "٣", ""])
def test_a_link_to_a_head_that_is_not_there_shows_one_that_is(
    start: Any, folder: Path, number: str
) -> None:
    link = {"model": str(folder / "with"), "list": "2,1", "layer": number, "head": number}
    page = open_page("attention", **link)
    assert (page.radio("layer").value, page.radio("head").value) == (1, 0)
    assert address(page)["head"] == "0"


def test_a_bad_list_does_not_lose_what_else_was_chosen(start: Any, folder: Path) -> None:
    page = open_page("attention", model=str(folder / "with"), list="2,1")
    page.radio("head").set_value(1).run()
    page.text_input("list").set_value("x").run()
    page.text_input("list").set_value("2,1").run()
    assert page.radio("head").value == 1


# -- other interventions ------------------------------------------------------------------------


def test_an_intervention_in_the_link_is_done_and_said(start: Any, folder: Path) -> None:
    page = start(model=str(folder / "with"), list="3,1,2", do="transplant:0-2:504")
    assert "blanks 0-2: keys and values of the list 5 0 4" in captions(page).replace("\\", "")
    assert len(answers(page)) >= 2
    model = open_model(Places((folder,)), str(folder / "with")).model
    done = Treatment.parse("transplant:0-2:504").on_list(model, (3, 1, 2))
    said = greedy_decode(model, [(3, 1, 2)], interventions=done).lists[0]
    names = {SEP: "SEP", BLANK: "BLANK"}
    assert answers(page)[1] == " ".join(names.get(t, str(t)) for t in said)
    button(page, "Stop intervening").click().run()
    assert "do" not in address(page)
    assert "nothing is changed" in captions(page)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("zero:9", "blank 9 is not in this model: its blanks are 0 to 3"),
        ("transplant:0:12", "has 2 digits, the list to sort 3"),
        ("![](//e.co/x)", "is nothing that can be done"),
    ],
)
def test_an_intervention_that_cannot_be_done_is_a_message_beside_its_field(
    start: Any, folder: Path, typed: str, message: str
) -> None:
    page = start(model=str(folder / "with"), list="3,1,2", do=typed)
    assert message in errors(page)[0]
    assert len(page.sidebar.error) == 1
    assert "nothing is changed" in captions(page)
    assert page.code
    page.text_input("do").set_value("").run()
    assert not page.error


def test_a_typed_intervention_takes_the_place_of_the_mask(page: AppTest) -> None:
    page.toggle("masked").set_value(True).run()
    page.text_input("do").set_value("zero:0-3").run()
    assert not page.toggle("masked").value
    assert address(page)["do"] == "zero:0-3"


# -- attention ---------------------------------------------------------------------


@pytest.mark.parametrize("act", [Act.NOTHING, Act.PUBLISHED, Act.PUBLISHED_LAST])
def test_attention_is_the_models_own_under_the_mask(folder: Path, act: Act) -> None:
    mask = Treatment(act)
    opened = open_model(Places((folder,)), str(folder / "with"))
    said = results.answer(opened, (3, 1, 4), mask)
    seen = results.attention(opened, (3, 1, 4), mask)
    n = 3 + 1 + 4 + 2  # digits, SEP, blanks, outputs but the last
    assert seen.pattern.shape == (2, 2, n, n)
    assert abs(seen.pattern.sum(-1) - 1).max() < 1e-5
    answer = [output.token for output in said.outputs]
    assert seen.labels[:5] == ("in 0: 3", "in 1: 1", "in 2: 4", "SEP", "blank 0")
    assert seen.labels[-1].startswith("out 1: ")
    assert seen.row_labels[0] == f"blank 3 → {seen.emitted[0]}"
    to_blanks = seen.pattern[..., 8:, 4:8].sum(-1)
    assert (to_blanks.max() == 0) == bool(mask)
    assert (seen.pattern[..., 7, 4:7].max() == 0) == (act is Act.PUBLISHED_LAST)
    # Slow and literal: the model itself, on the sequence that it wrote.
    tokens = torch.cat([opened.task.encode([(3, 1, 4)]).tokens[0, :11], torch.tensor(answer[:-1])])
    if not mask:
        hooked = load_model(folder / "with").model
        _, cache = hooked.run_with_cache(tokens[None])
        for layer in range(2):
            whole = cache[f"blocks.{layer}.attn.hook_pattern"][0, :, 3:, 3:]
            torch.testing.assert_close(torch.from_numpy(seen.pattern[layer]), whole)


# -- visitors -----------------------------------------------------------------------------------


def test_visitors_with_different_interventions_do_not_see_each_others(folder: Path) -> None:
    """Threads on one model, all missing the cache: each must get what it gets alone."""
    opened = open_model(Places((folder,)), str(folder / "with"))
    rng = random.Random(0)
    treatments = [Treatment.parse(text) for text in ("", "published", "zero:0-3", "resample:1")]
    jobs = [(tuple(rng.choices(range(10), k=6)), done) for _ in range(8) for done in treatments]

    def visit(job: tuple[tuple[int, ...], Treatment]) -> tuple[Answer, torch.Tensor]:
        done = job[1].on_list(opened.model, job[0])  # not from the cache, nor what follows
        said = decode_list(opened.model, job[0], done).answer
        return said, torch.from_numpy(attention_of(opened.model, said, done).pattern)

    alone = [visit(job) for job in jobs]
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(visit, jobs))
    for (said, seen), (said_too, seen_too) in zip(alone, together, strict=True):
        assert said == said_too
        assert torch.equal(seen, seen_too)
