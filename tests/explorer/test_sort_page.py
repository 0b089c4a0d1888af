"""The page "Sort": its numbers are the library's, its steps those of decoding."""

from __future__ import annotations

import base64
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from analyses.experiment import main as run_command
from analyses.one_list import answer as experiment
from analyses.one_list.answer.result import attention_by_head, weights_at
from analyses.one_list.answers import Answer, Output, attention_of
from explorer.pages.sort import steps as sort_steps
from explorer.parts.elements import share, strip
from explorer.server import results
from explorer.server.models import OpenModel, open_model
from explorer.server.places import Places
from interp.answers.ablation import published_mask
from interp.answers.decode import greedy_decode, score
from interp.answers.treatment import Treatment
from interp.checkpoints import load_bare, shipped_models
from interp.interventions import Mask
from interp.stats import wilson
from interp.task import BLANK, SEP, SortTask
from tests.pages import address, captions, errors, open_page, scored, sequences

TASK = SortTask(max_len=6, n_blanks=4)
DIGITS = (3, 1, 4, 1, 5)
LIST = "3,1,4,1,5"
TREATMENTS = ["", "published", "published+last", "zero:1-2", "mean:0-3", "transplant:0-3:59265"]
shipped = pytest.mark.skipif("blanks" not in shipped_models(), reason="no model is shipped yet")


@pytest.fixture(autouse=True)
def _served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))


def start(folder: Path, **link: str) -> AppTest:
    return open_page("sort", **{"model": str(folder / "with"), "list": LIST, **link})


def opened(folder: Path) -> OpenModel:
    return open_model(Places((folder,)), str(folder / "with"))


def library(folder: Path, do: str = "") -> tuple[list[str], np.ndarray, Any]:
    """The answer's tokens, their probabilities, and what is done, without the page."""
    model = load_bare(folder / "with").model
    done = Treatment.parse(do).on_list(model, DIGITS)
    decoded = greedy_decode(model, [DIGITS], interventions=done)
    return [_name(t) for t in decoded.lists[0]], decoded.probabilities[0].numpy(), done


def _name(token: int) -> str:
    return {SEP: "SEP", BLANK: "BLANK"}.get(token, str(token))


def figures(page: AppTest) -> dict[str, Any]:
    """The page's figures by their titles."""
    specs = [json.loads(one.proto.spec) for one in page.get("plotly_chart")]
    return {spec["layout"]["title"]["text"]: spec for spec in specs}


def values_of(figure: dict[str, Any]) -> np.ndarray:
    """The cells of a figure's heatmap."""
    z = figure["data"][0]["z"]
    flat = np.frombuffer(base64.b64decode(z["bdata"]), z["dtype"])
    return flat.reshape([int(n) for n in z["shape"].split(",")])


def commands(page: AppTest) -> list[str]:
    """What the page says to type."""
    return [code.value for code in page.code if code.value.startswith("python -m")]


def table(page: AppTest) -> list[list[str]]:
    """The cells of the table of heads."""
    (shown,) = [one.value for one in page.html if '<table class="heads">' in one.value]
    rows = re.findall(r"<tr>(<th scope='row'>.*?)</tr>", shown)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def strips(page: AppTest) -> list[str]:
    return [one.value for one in page.html if '<ol class="outputs' in one.value]


# -- the answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("do", TREATMENTS)
def test_both_answers_are_the_librarys_and_changes_are_named(folder: Path, do: str) -> None:
    page = start(folder, do=do)
    whole, _, _ = library(folder)
    said, _, _ = library(folder, do)
    shown = [code.value for code in page.code if not code.value.startswith("python")]
    assert shown == [" ".join(whole), *([" ".join(said)] if do else [])]
    text = "\n".join(m.value for m in page.markdown)
    if not do:
        assert "⇄" not in text
        return
    changed = [i for i in range(5) if whole[i] != said[i]]
    for i in changed:
        assert f"out {i}: {whole[i]} → {said[i]}" in text
        assert f"out {i}: {said[i]}, " in strips(page)[1]
        assert f"changed, was {whole[i]}" in strips(page)[1]
    assert strips(page)[1].count("⇄ was") == len(changed)
    assert "⇄" not in strips(page)[0]
    count = f"{len(changed)} of 5 outputs change" if changed else "No output changes** (of 5)"
    assert f"⇄ {count}" in text


def test_some_treatment_changes_outputs_and_none_is_alike(folder: Path) -> None:
    """The test above would also pass if nothing ever changed."""
    found = {do: library(folder, do)[1] for do in TREATMENTS}
    assert any((found[do].argmax(1) != found[""].argmax(1)).any() for do in TREATMENTS)
    for do in TREATMENTS[1:]:
        assert not np.allclose(found[do], found[""])


def test_wrong_outputs_are_marked_and_counted(folder: Path) -> None:
    page = start(folder)
    whole, _, _ = library(folder)
    wrong = sum(a != b for a, b in zip(whole, "11345", strict=True))
    assert wrong
    assert strips(page)[0].count("✗ not") == wrong
    assert any(f"{wrong} of 5 outputs" in m.value for m in page.markdown)


def test_a_strip_says_in_words_what_it_shows() -> None:
    said = Answer((2, 1), (Output(1, 1, 0.99999, 2, 0.00001), Output(BLANK, 2, 0.6, 2, 0.3)))
    before = Answer((2, 1), (Output(1, 1, 0.5, 2, 0.5), Output(2, 2, 0.6, 3, 0.3)))
    shown = strip(said, "Outputs", before)
    assert "out 0: 1, right; probability &gt;99.9 %, runner-up 2 with &lt;0.1 %" in shown
    spoken = "out 1: BLANK, wrong, should be 2; probability 60.0 %, runner-up 2 with 30.0 %"
    assert f'{spoken}; changed, was 2"' in shown
    assert shown.count("⇄") == 1
    assert "⇄" not in strip(said, "Outputs")


def test_as_a_figure_all_probabilities_are_shown(folder: Path) -> None:
    page = start(folder, do="published", answer_as="figure")
    assert not strips(page)
    assert address(page)["answer_as"] == "figure"
    charts = [json.loads(one.proto.spec) for one in page.get("plotly_chart")][:2]
    for chart, do in zip(charts, ("", "published"), strict=True):
        _, probabilities, _ = library(folder, do)
        np.testing.assert_allclose(values_of(chart), probabilities.T, rtol=1e-5)
    page.radio("answer_as").set_value("tokens").run()
    assert len(strips(page)) == 2
    assert "answer_as" not in address(page)


# -- the sequence -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "blanks"),
    [("", []), ("zero:1-2", [1, 2]), ("published", [0, 1, 2, 3]), ("patch:v.1:8:59265", [1])],
)
def test_what_is_intervened_on_is_hatched(folder: Path, do: str, blanks: list[int]) -> None:
    (shown,) = sequences(start(folder, do=do))
    assert [token - shown["firstBlank"] for token in shown["touched"]] == blanks


def test_the_step_of_the_sequence_is_the_sliders_once_it_was_moved(folder: Path) -> None:
    page = start(folder)
    assert sequences(page)[0]["step"] is None
    assert "step" not in address(page)
    page.slider(sort_steps.STEP).set_value(3).run()
    assert sequences(page)[0]["step"] == 3
    assert address(page)["step"] == "3"
    page.slider(sort_steps.STEP).set_value(0).run()
    assert (sequences(page)[0]["step"], address(page)["step"]) == (0, "0")


# -- step by step -------------------------------------------------------------------------------


@pytest.mark.parametrize("do", ["", "zero:1-2"])
@pytest.mark.parametrize("step", [0, 3])
def test_a_step_shows_its_distribution_and_where_heads_look(
    folder: Path, step: int, do: str
) -> None:
    page = start(folder, step=str(step), do=do)
    said, probabilities, done = library(folder, do)
    shown = figures(page)
    bars = shown[f"Output {step}: which token"]["data"][0]
    np.testing.assert_allclose(bars["x"], probabilities[step], rtol=1e-5)
    answer = results.answer(opened(folder), DIGITS, Treatment.parse(do))
    seen = attention_of(load_bare(folder / "with").model, answer, done)
    (title,) = [title for title in shown if "attends to" in title]
    row = seen.row_labels[step].split(" → ")[0]
    assert title == f"Output {step}: what the row {row} attends to"
    values = values_of(shown[title])
    at = weights_at(seen, step)
    np.testing.assert_allclose(values, at.reshape(4, -1), rtol=1e-5, atol=1e-7)
    for row, look in zip(table(page), attention_by_head(seen, step), strict=True):
        layer, head = map(int, row[0].split("."))
        weights = at[layer, head]
        best = sorted(range(len(weights)), key=lambda i: -weights[i])[:3]
        assert row[1] == "; ".join(
            f"{seen.labels[i]} ({share(float(weights[i]))})" for i in best
        ).replace("<", "&lt;")
        assert (layer, head) == (look.layer, look.head)
        assert f"▲ digits {share(float(weights[:5].sum()))}" in row[2].replace("&lt;", "<")
    (sequence,) = sequences(page)
    assert [one["said"] for one in sequence["outputs"]] == said
    assert sequence["step"] == step


def test_the_slider(folder: Path) -> None:
    page = start(folder, step="3")
    assert page.slider(sort_steps.STEP).value == 3
    assert "Output 3: which token" in figures(page)
    page.slider(sort_steps.STEP).set_value(2).run()
    assert "Output 2: which token" in figures(page)
    page.text_input("list").set_value("2,1").run()  # has no output 2
    assert page.slider(sort_steps.STEP).value == 1
    page.text_input("list").set_value("2").run()
    assert not page.slider
    assert "This answer has one output" in captions(page)
    assert address(page)["step"] == "0"


@pytest.mark.parametrize(
    ("text", "step"), [("99999999999999", 4), ("-1", 0), ("x", 0), ("٣", 0), ("", 0), ("4", 4)]
)
def test_a_step_that_is_not_there(folder: Path, text: str, step: int) -> None:
    assert start(folder, step=text).slider(sort_steps.STEP).value == step


# -- bad input, links, other models -------------------------------------------------------------


def test_a_list_that_cannot_be_read(folder: Path) -> None:
    page = start(folder, step="2")
    page.text_input("list").set_value("3,x").run()
    assert not page.exception
    assert errors(page) == ["'x' is not a digit from 0 to 9; a list looks like 3,1,4,1,5"]
    assert "Waiting for a list" in page.info[0].value
    assert not page.html
    page.text_input("list").set_value(LIST).run()
    assert page.slider(sort_steps.STEP).value == 2  # what was chosen is not lost


def test_a_treatment_that_does_not_fit(folder: Path) -> None:
    page = start(folder, do="zero:4")
    assert "blank 4 is not in this model" in errors(page)[0]
    assert len(strips(page)) == 1


def test_a_link_opens_the_same_view(folder: Path) -> None:
    page = start(folder, do="zero:1-2", step="3", answer_as="figure")
    again = open_page("sort", **address(page))
    assert address(again) == address(page)
    assert address(page)["step"] == "3"
    assert [html.value for html in again.html] == [html.value for html in page.html]
    assert figures(again) == figures(page)
    assert commands(again) == commands(page)


def test_a_model_without_blanks(folder: Path) -> None:
    page = start(folder, model=str(folder / "without"))
    assert "blanks" not in table(page)[0][2]
    assert any("SEP says" in m.value for m in page.markdown)
    assert "BLANK tokens" not in captions(page)


def test_a_compiled_sorter_sorts_step_by_step() -> None:
    page = open_page("sort", model="compiled:slots", list="2,0,1", step="2")
    assert page.code[0].value == "0 1 2"
    assert any("✓ Sorted." in m.value for m in page.markdown)
    assert any("Out 1 says **2**" in m.value for m in page.markdown)


@shipped
@pytest.mark.parametrize("typed", ["3,1,4,1,5", "7", "314159265358" * 4])
def test_the_shipped_model_sorts(typed: str) -> None:
    page = open_page("sort", list=typed)
    digits = sorted(re.sub(r"\D", "", typed))
    assert page.code[0].value == " ".join(digits)
    assert strips(page)[0].count("<li ") == len(digits)
    (shown,) = sequences(page)
    assert sum(len(region["tokens"]) for region in shown["regions"]) == 2 * len(digits) + 1 + 49
    assert shown["outputs"] and all(output["right"] for output in shown["outputs"])
    assert not page.error


def test_exact_match_under_a_published_mask(folder: Path) -> None:
    page = scored(start(folder, do="published"))
    model = load_bare(folder / "with").model
    batch = model.task.held_out(results.SAMPLE)
    expected = []
    for masks in ([], published_mask(model.task)):
        exact = score(model, batch, interventions=masks).exact
        rate = wilson(int(exact.sum()), len(batch))
        assert f"interval {100 * rate.low:.1f} to {100 * rate.high:.1f} %" in captions(page)
        expected.append(f"{100 * rate.value:.1f} %")
    assert [metric.value for metric in page.metric] == expected
    assert f"n = {results.SAMPLE} lists" in captions(page)
    assert not start(folder, do="zero:0").metric


# -- to take along ------------------------------------------------------------------------------


def test_the_commands_give_the_numbers_of_the_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = start(folder, do="mean:0-3", step="2")
    as_it_is, changed, step, heads = commands(page)
    assert "--do" not in as_it_is
    rows = {}
    for name, command in (("0", as_it_is), ("1", changed), ("2", step), ("3", heads)):
        python, flag, module, *flags = shlex.split(command)
        assert (python, flag, module) == ("python", "-m", "analyses.one_list.answer")
        run_command(experiment.EXPERIMENT, [*flags, "--out", str(tmp_path), "--json"])
        rows[name] = json.loads(capsys.readouterr().out)["rows"]
    for name, do in (("0", ""), ("1", "mean:0-3")):
        got = [row["probability"] for row in rows[name]]
        np.testing.assert_allclose(np.reshape(got, (5, 12)), library(folder, do)[1], rtol=1e-4)
    np.testing.assert_allclose(
        [row["probability"] for row in rows["2"]], library(folder, "mean:0-3")[1][2], rtol=1e-4
    )
    for i, row in enumerate(table(page)):
        own = sorted(
            (one for one in rows["3"] if one["layer"] * 2 + one["head"] == i),
            key=lambda one: -one["attention"],
        )
        assert row[1].startswith(own[0]["label"])


def test_lists_behind_a_mean_run_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = []
    whole = Treatment.on_list
    monkeypatch.setattr(
        Treatment, "on_list", lambda self, *args: times.append(self.text) or whole(self, *args)
    )
    page = start(folder, list="5,9,2,6", do="mean:0-3")
    assert sorted(times) == ["", "mean:0-3"]
    page.slider(sort_steps.STEP).set_value(1).run()
    assert sorted(times) == ["", "mean:0-3"]


# -- one answer to one question -----------------------------------------------------------------


@shipped
def test_one_mask_gives_one_answer_on_every_page() -> None:
    """Sort's switch, the page Blanks as it opens, and the number that the tour names."""
    model, digits = load_bare("blanks").model, (3, 1, 4, 1, 5, 9, 2, 6, 5, 3)
    closed = Mask(range(97, model.task.n_ctx), range(49, 98))
    own = greedy_decode(model, [digits], interventions=[closed]).lists[0]
    wrong = sum(a != b for a, b in zip(own, sorted(digits), strict=True))
    page = open_page("sort")
    page.toggle("masked").set_value(True).run()
    assert page.code[2].value == " ".join(map(model.task.token_name, own))
    said = "\n".join(m.value for m in page.markdown)
    assert f"{wrong} of 10 outputs are wrong" in said
    assert said.count("given back its own outputs") == 2
    meaning = next(m.value for m in page.markdown if m.value.startswith("**What it means.**"))
    blanks = open_page("blanks")
    assert f"✗ {wrong} of 10 outputs wrong" in "\n".join(m.value for m in blanks.markdown)
    assert meaning in [m.value for m in blanks.markdown]
    # Given the right outputs, as the tour does it.
    batch = model.task.encode([digits])
    right = int(score(model, batch, interventions=[closed]).right.sum())
    assert f"{right} of 10 outputs are right with the blanks masked" in meaning
    tour = "\n".join(m.value for m in open_page("tour", tour="4").markdown)
    assert f"Masked, **{right} of 10 outputs** stay right" in tour
    assert "given back the right outputs" in tour
