"""The page "Compare" and its command: two models on one list."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from analyses.experiment import main as run_command
from analyses.one_list.answers import Answer, Decoded, Output
from analyses.one_list.compare_models import EXPERIMENT, CompareSettings
from analyses.one_list.compare_models import body as compare_models
from analyses.one_list.compare_models import figure as compare_figure
from analyses.one_list.subject import ListSubject
from explorer.server import places
from explorer.server.store import store
from interp.answers.decode import greedy_decode, score
from interp.answers.treatment import Treatment
from interp.checkpoints import save_model
from interp.config import ModelConfig
from interp.interventions import Mask
from interp.model import SortTransformer
from interp.passes.bare import BareTransformer
from interp.rules import rule_named
from interp.stats import Estimate, wilson
from interp.support.errors import UserError
from interp.task import SortTask, Task
from tests.explorer.test_training_page import command, spec, values
from tests.models import TASK, small_model
from tests.pages import SIZES, address, captions, errors, open_page, run_job, small_models

DIGITS = (3, 1, 2, 1)
LIST = "3,1,2,1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``with``, ``twin`` (other weights), ``without`` blanks, and ``deep`` with three layers."""
    folder = tmp_path_factory.mktemp("models")
    small_models(folder)
    for name, n_layers in (("twin", 2), ("deep", 3)):
        config = ModelConfig(task=SortTask(6, 4), n_layers=n_layers, **SIZES)
        save_model(folder / name, SortTransformer(config, seed=8), step=9)
    return folder


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Open the page on the small models; ``a`` and ``b`` by their names in the folder."""
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))

    def opened(a: str = "with", b: str = "twin", **link: str) -> AppTest:
        names = {"model": str(folder / a), "other": str(folder / b)}
        return open_page("compare", **{**names, "list": LIST, **link})

    return opened


def side(model: Any, do: str = "") -> ListSubject:
    return ListSubject(model, DIGITS, Treatment.parse(do), "it")


def attention_of(model: SortTransformer, digits: tuple[int, ...], layer: int, head: int) -> Any:
    """The rows that answer, along the right answer, by the hooked model."""
    task, n = model.task, len(digits)
    with torch.no_grad():
        _, cache = model.run_with_cache(task.encode([digits]).tokens)
    rows = slice(task.first_output_row, task.first_output_row + n)
    keys = slice(task.max_len - n, task.first_output_row + n)
    return cache["pattern", layer][0, head, rows, keys].numpy()


# -- numbers ------------------------------------------------------------------------------------


def test_answers_are_greedy_and_probabilities_those_of_the_right_digits() -> None:
    model = small_model()
    found = side(model, "published").run().decoded
    masks = Treatment.parse("published").on_list(model, DIGITS)
    assert isinstance(masks[0], Mask)
    decoded = greedy_decode(model, [DIGITS], interventions=masks)
    assert found.answer.tokens == decoded.lists[0]
    for i, digit in enumerate((1, 1, 2, 3)):
        assert found.of_right[i] == float(decoded.probabilities[0, i, digit])
        assert found.answer.outputs[i].right == (found.answer.tokens[i] == digit)


def test_the_difference_is_one_hooked_pattern_less_the_other() -> None:
    a, b = small_model(seed=1), small_model(seed=2)
    seen = [compare_models.along_the_answer(side(model)) for model in (a, b)]
    gap = compare_models.difference(seen[0], seen[1], (1, 0), (0, 1))
    wanted = attention_of(a, DIGITS, 1, 0) - attention_of(b, DIGITS, 0, 1)
    np.testing.assert_allclose(gap.pattern[0, 0], wanted, atol=1e-6)
    assert abs(wanted).max() > 0.01
    drawn = compare_figure.attention(("A", "B"), gap, (1, 0), (0, 1))
    trace = drawn.figure.data[0]
    assert -trace.zmin == trace.zmax == pytest.approx(abs(wanted).max(), abs=1e-6)
    assert f"{abs(wanted).sum(1).mean() / 2:.2f} of a row's attention" in drawn.words[0]
    with pytest.raises(UserError, match="no head 2 in layer 0"):
        compare_models.difference(seen[0], seen[1], (0, 0), (0, 2))


def test_a_model_differs_from_itself_in_nothing() -> None:
    model = small_model()
    seen = compare_models.along_the_answer(side(model))
    gap = compare_models.difference(seen, seen, (1, 1), (1, 1))
    assert not gap.pattern.any()
    drawn = compare_figure.attention(("A", "B"), gap, (1, 1), (1, 1))
    assert drawn.words[1] == "They are the same everywhere."
    found = compare_models.lengths(model, model, 12)
    assert found.gap == Estimate(0.0, -0.25, 0.25, 12)
    assert all(m.apart == 0 and m.a == m.b for m in compare_models.matrices(model, model))


def test_lengths_are_of_lists_that_both_can_sort() -> None:
    short, long = small_model(), small_model(task=SortTask(9, 0), seed=4)
    found = compare_models.lengths(short, long, 60, seed=5)
    lists = [TASK.decode_list(t) for t in TASK.held_out(60, 5).tokens]
    for model, rates, whole in ((short, found.a, found.a_all), (long, found.b, found.b_all)):
        exact = score(model, model.task.encode(lists)).exact.tolist()
        assert whole == wilson(sum(exact), 60)
        for length in range(1, 7):
            of = [e for e, digits in zip(exact, lists, strict=True) if len(digits) == length]
            assert rates[length] == wilson(sum(of), len(of))
    assert set(found.a) == set(found.b) == set(range(1, 7))


def test_matrices_are_compared_by_their_norms() -> None:
    model = small_model()
    other = small_model()
    with torch.no_grad():
        other.blocks[1].attn.W_Q.mul_(-3)
    bare: Any = BareTransformer(other.config, other.state_dict())
    found = {m.name: m for m in compare_models.matrices(model, bare)}
    changed = found["blocks.1.attn.W_Q"]
    norm = float((model.blocks[1].attn.W_Q.detach().double() ** 2).sum() ** 0.5)
    assert (changed.a, changed.b) == (pytest.approx(norm), pytest.approx(3 * norm))
    assert changed.apart == pytest.approx(4 / 5**0.5)  # |1 + 3| over the root of (1 + 9) / 2
    assert {m.apart for name, m in found.items() if name != changed.name} == {0.0}
    deep = compare_models.matrices(model, small_model(n_layers=3))
    assert [m.name for m in deep if m.a is None][:1] == ["blocks.2.attn.W_Q"]


def _decoded(tokens: tuple[int, ...], of_right: tuple[float, ...]) -> Decoded:
    """An answer to 1 3, with those probabilities of the right digits."""
    probabilities = np.zeros((2, 12))
    probabilities[[0, 1], [1, 3]] = of_right
    outputs = (Output(t, e, 0.0, 0, 0.0) for t, e in zip(tokens, (1, 3), strict=True))
    return Decoded(Answer((1, 3), tuple(outputs)), probabilities)


def test_wrong_outputs_have_another_symbol_and_gaps_a_sign() -> None:
    a, b = _decoded((1, 2), (0.9, 0.25)), _decoded((1, 3), (0.8, 0.75))
    seen = compare_figure.outputs(("A: a", "B: b"), a, b)
    assert list(seen.figure.data[0].marker.symbol) == ["circle", "circle-x-open"]
    assert list(seen.figure.data[2].y) == pytest.approx([10, -50])
    low, high = seen.figure.layout.yaxis2.range
    assert low == -high
    assert seen.words[-1] == "They differ at outputs 1."
    assert [row["a_minus_b"] for row in seen.rows] == pytest.approx([0.1, -0.5])


# -- the command --------------------------------------------------------------------------------


def test_what_cannot_be_compared_is_one_line(
    folder: Path, tmp_path: Path, status: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*flags: str) -> str:
        paths = ["--model", str(folder / "with"), "--out", str(tmp_path), "--list", LIST]
        assert status(partial(run_command, EXPERIMENT), [*paths, *flags]) == 2
        return capsys.readouterr().err

    without = ("--other", str(folder / "without"))
    assert "A has 4 blanks and B 0" in said(*without, "--part", "attention")
    assert "this model has no blanks" in said(*without, "--do", "zero:1")
    assert "no head 7 in layer 1" in said("--other", str(folder / "twin"), *_head("7"))
    assert "no model 'nowhere'" in said("--other", "nowhere")
    assert "--lists must be at least 1" in said("--lists", "0")


def _head(number: str) -> tuple[str, ...]:
    return ("--part", "attention", "--other-head", number)


# -- the page -----------------------------------------------------------------------------------


def test_both_answers_stand_side_by_side(start: Callable[..., AppTest], folder: Path) -> None:
    page = start(do="zero:0-2")
    names = (folder / "with", folder / "twin")
    for number, path in enumerate(names):
        from interp.checkpoints import load_bare

        model = load_bare(path).model
        done = Treatment.parse("zero:0-2").on_list(model, DIGITS)
        said = greedy_decode(model, [DIGITS], interventions=done)
        assert page.code[number].value.split() == [SortTask().token_name(t) for t in said.lists[0]]
        right = [100 * float(said.probabilities[0, i, d]) for i, d in enumerate((1, 1, 2, 3))]
        assert values(spec(page, 0)["data"][number]["y"]) == pytest.approx(right)
        assert f"{'AB'[number]}: {path}" in captions(page).replace("\\", "")
    assert "Intervened on, both:** blanks 0-2" in captions(page).replace("\\", "")


def test_a_link_opens_the_same_view_with_heads_of_both(start: Callable[..., AppTest]) -> None:
    page = start(layer="0", head="1", other_layer="1", other_head="0")
    again = open_page("compare", **address(page))
    assert address(again) == address(page)
    assert spec(again, 2) == spec(page, 2)
    other = start(layer="0", head="1")
    assert "other_head" not in address(other)
    assert values(spec(other, 2)["data"][0]["z"]) != values(spec(page, 2)["data"][0]["z"])
    page.radio("compare_layer").set_value("as A").run()
    page.radio("compare_head").set_value("as A").run()
    assert values(spec(page, 2)["data"][0]["z"]) == values(spec(other, 2)["data"][0]["z"])


@pytest.mark.parametrize("part", ["outputs", "regions", "attention", "lengths", "weights"])
def test_the_commands_beside_the_figures_make_them_again(
    start: Callable[..., AppTest],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part: str,
) -> None:
    store.clear()
    page = start(do="published", layer="1", head="1", other_head="0")
    if part == "lengths":
        run_job(page, "compare lengths")
    number = ["outputs", "regions", "attention", "lengths", "weights"].index(part)
    if part == "weights":
        number = len(page.get("plotly_chart")) - 1
    asked = "" if part == "outputs" else f" --part {part}"
    flags = command(page, f"one_list.compare_models{asked} --")
    run_command(EXPERIMENT, [*flags, "--out", str(tmp_path), "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    traces = spec(page, number)["data"]
    drawn, wanted = {
        "outputs": lambda: (traces[2]["y"], [100 * r["a_minus_b"] for r in rows]),
        "regions": lambda: (traces[1]["z"], [r["share"] for r in rows if r["model"] == "B"]),
        "attention": lambda: (traces[0]["z"], [r["a_minus_b"] for r in rows]),
        "lengths": lambda: (
            traces[1]["y"],
            [100 * r["value"] for r in rows if r["model"] == "B"],
        ),
        "weights": lambda: (traces[2]["x"], [r["apart"] for r in rows]),
    }[part]()
    assert np.ravel(values(drawn)).tolist() == pytest.approx(wanted, abs=1e-6)


def test_other_layouts_are_compared_as_far_as_they_go(start: Callable[..., AppTest]) -> None:
    page = start(b="without", do="zero:1")
    warnings = "\n".join(w.value.replace("\\", "") for w in page.warning)
    assert "B is shown as it is, only A is intervened on: this model has no blanks" in warnings
    assert "A has 4 blanks and B 0" in warnings
    assert "--other-do ''" in "\n".join(code.value for code in page.code)
    traces = spec(page, 1)["data"]
    shapes = [np.reshape(values(t["z"]), (4, -1)).shape for t in traces]
    assert shapes == [(4, 5), (4, 3), (4, 3)]  # only the regions that both have are subtracted
    page = start(b="deep")
    assert any("other numbers of layers or heads" in w.value for w in page.warning)
    assert len(spec(page, 1)["data"]) == 2
    assert len(page.get("plotly_chart")) == 4  # a head of A against one of B is still possible


def test_what_is_no_model_or_no_list_for_b_is_said(
    start: Callable[..., AppTest], tmp_path: Path
) -> None:
    save_model(tmp_path / "out", small_model())
    page = start(other=str(tmp_path / "out"))
    assert any("is no model that this page may open" in words for words in errors(page))
    page.text_input("compare_folder").set_value("no-blanks").run()
    assert not page.error
    page = start(a="with", other="compiled:slots", list="1,2,3")
    assert not page.exception
    page.text_input("list").set_value("x").run()
    assert any("Waiting for a list" in info.value for info in page.info)


def test_the_same_weights_are_told(start: Callable[..., AppTest]) -> None:
    page = start(b="with")
    assert any("same weights" in info.value for info in page.info)
    assert not any(values(spec(page, 2)["data"][0]["z"]))


def test_what_is_proposed_does_the_same_task_on_this_list(start: Callable[..., AppTest]) -> None:
    page = open_page("compare", model="reverse", list="1,0,1", part="answers")
    assert page.selectbox("compare_other").value == "reverse-no-blanks"
    assert not page.error and len(page.code) > 2
    assert "blanks" not in page.selectbox("compare_other").options
    page.selectbox("model").set_value("parity").run()  # B's task does not follow by itself
    assert page.selectbox("compare_other").value == "parity-no-blanks"
    assert not page.error
    page = open_page("compare", model="reverse", other="blanks", list="3,1,2", part="answers")
    assert any("its task is sort, A's is reverse" in words for words in errors(page))


def test_the_one_that_is_proposed_reads_the_list(start: Callable[..., AppTest]) -> None:
    page = open_page("compare", model="blanks", list="1,2,3,4,5,6,7", part="answers")
    assert not page.error
    page = start(a="with", other="", list=LIST)
    assert page.selectbox("compare_other").value != page.selectbox("model").value


def test_where_no_other_model_does_the_task_a_sentence_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(6, 4, rule=rule_named("unique"))
    save_model(tmp_path / "only", SortTransformer(ModelConfig(task=task, **SIZES), seed=3))
    monkeypatch.setenv("SORTSCOPE_MODELS", str(tmp_path))
    monkeypatch.setattr(places, "shipped_task_models", list)  # as many tasks as ship have models
    page = open_page("compare", model=str(tmp_path / "only"), list=LIST)
    assert [info.value for info in page.info] == [
        "No other model of A's task is here to be B. Type the folder of the model to compare with."
    ]
    assert not page.error


def test_a_compiled_sorter_can_be_either(start: Callable[..., AppTest]) -> None:
    page = start(model="compiled:slots", other="compiled:slots")
    assert page.code[0].value == page.code[1].value == "1 1 2 3"
    assert not page.error


def test_a_list_too_long_for_b_is_refused(start: Callable[..., AppTest]) -> None:
    page = start(model="blanks", list="1,2,3,4,5,6,7")
    assert any("B cannot sort this list: the list has 7 digits" in words for words in errors(page))


def test_about_says_both_models(folder: Path) -> None:
    from explorer.pages.compare.pair import Pair
    from explorer.server.models import open_model
    from explorer.server.places import Places

    places = Places((folder,))
    a, b = (open_model(places, str(folder / name)) for name in ("with", "without"))
    pair = Pair(a, b, DIGITS, Treatment.parse("zero:1"), True)
    of = pair.about(CompareSettings("outputs"))
    assert of.model_hash == f"{a.hash} and {b.hash}"
    assert of.intervention == "blank 1: keys and values zero, in A alone"
    assert shlex.split(of.command)[-8:] == [
        "--list",
        LIST,
        "--do",
        "zero:1",
        "--seed",
        "0",
        "--other-do",
        "",
    ]
    assert replace(pair, b_as_it_is=False).b_treatment == Treatment.parse("zero:1")
