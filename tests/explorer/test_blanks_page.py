"""The page "Blanks" and its command: the same numbers as the library's, and links that hold."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from analyses import ablate_blanks, blank_output_matrix, transplant_blanks
from analyses.experiment import main as run_command
from analyses.one_list import blanks as experiment
from analyses.one_list.answers import decode_list
from analyses.one_list.blanks import body as one_list_blanks
from analyses.one_list.blanks.body import controlled_answers, exchange, other_list, sample
from analyses.one_list.blanks.result import CONDITIONS, _whose
from explorer.pages.blanks.choice import PRESETS, parse, text_of
from explorer.pages.blanks.parts import attributed, cells, judged
from explorer.server.store import store
from interp.answers.ablation import Kind, ablate, control_positions
from interp.answers.decode import greedy_decode, score
from interp.answers.kinds import ABLATIONS
from interp.answers.treatment import Treatment
from interp.answers.trials import chunks, donors_for, stratified
from interp.checkpoints import compiled_names, load_bare, shipped_models
from interp.config import ModelConfig
from interp.interventions import Mask
from interp.stats import wilson
from interp.support.errors import UserError
from interp.task import SortTask
from tests.covers import few
from tests.pages import address, button, captions, errors, open_page, run_job, sequences

shipped = pytest.mark.skipif("blanks" not in shipped_models(), reason="no model is shipped yet")
A, B = (3, 1, 4, 1), (9, 9, 0, 1)


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))

    def opened(**link: str) -> AppTest:
        defaults = {"model": str(folder / "with"), "list": "3,1,4,1"}
        return open_page("blanks", **(defaults | link))

    return opened


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load_bare(folder / "with").model


@pytest.fixture(scope="module")
def slots() -> Any:
    return load_bare("compiled:slots").model


def texts(page: AppTest) -> str:
    """All text on the page, as a reader sees it."""
    return re.sub(r"\\(.)", r"\1", "\n".join(block.value for block in page.markdown))


def tokens(page: AppTest, name: str) -> list[int]:
    """What the row of cells of that name says."""
    found = [h.value for h in page.html if f'aria-label="Outputs: {name}' in h.value]
    assert len(found) == 1, [h.value[-200:] for h in page.html]
    said = re.findall(r'aria-label="out \d+: (\S+),', found[0])
    return [{"BLANK": 11, "SEP": 10}.get(token) or int(token) for token in said]


# -- choosing -----------------------------------------------------------------------------------


CONFIG = ModelConfig(task=SortTask(max_len=6, n_blanks=49))


@pytest.mark.parametrize(
    ("text", "blanks"),
    [
        ("3-5, 40", (3, 4, 5, 40)),
        ("7", (7,)),
        ("all", tuple(range(49))),
        ("0-48", tuple(range(49))),
        ("None", ()),
        ("  ", ()),
        ("5,3-4,4", (3, 4, 5)),
    ],
)
def test_spans_are_blanks(text: str, blanks: tuple[int, ...]) -> None:
    assert parse(text, CONFIG) == blanks
    assert parse(text_of(blanks, 49), CONFIG) == blanks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3-x", "'3-x' is neither a number nor a span"),
        ("10-3", "'10-3' is neither a number nor a span"),
        ("3:4", "'3:4' is neither a number nor a span"),
        ("49", "blank 49 is not in this model: its blanks are 0 to 48"),
        ("3,", "'' is neither"),
    ],
)
def test_what_are_no_blanks_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse(text, CONFIG)


def test_presets_for_many_blanks_and_for_one() -> None:
    made = {name: list(make(5)) for name, make in PRESETS.items()}
    assert len(set(made.pop("Random half"))) == 2
    assert made == {
        "All": [0, 1, 2, 3, 4],
        "None": [],
        "All but the last": [0, 1, 2, 3],
        "First half": [0, 1],
        "Every second": [0, 2, 4],
    }
    for name, make in PRESETS.items():
        assert list(make(1)) == ([] if name in ("None", "All but the last") else [0])


# -- the numbers of one list --------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(Kind))
def test_a_list_beside_its_control_is_what_the_library_says(model: Any, kind: Kind) -> None:
    act = dict(zip(Kind, ABLATIONS, strict=True))[kind]
    runs = controlled_answers(model, A, Treatment(act, (1, 2)), seed=4)
    batch = model.task.encode([A])
    chunk = next(chunks(model, batch, donors_for(model, batch, 4), 4))
    elsewhere = control_positions(model.task, 4, 2, 4)
    places = {"as it is": (), "blanks": (8, 9), "control": elsewhere}  # SEP is at 6
    for name, run in runs.runs:
        done = ablate(kind, chunk, places[name]) if places[name] else ()
        expected = greedy_decode(model, [A], interventions=done)
        torch.testing.assert_close(
            torch.from_numpy(run.probabilities), expected.probabilities[0], rtol=0, atol=1e-6
        )
        assert tuple(o.token for o in run.answer.outputs) == expected.lists[0]
    assert runs.n_control == 2
    assert not set(elsewhere) & {7, 8, 9, 10}


def test_a_short_list_has_a_small_control(model: Any) -> None:
    runs = controlled_answers(model, (3,), Treatment.parse("mask:0-3"))
    assert runs.n_control == 1  # the digit; its one output is never given back


@pytest.mark.parametrize(
    ("token", "ours", "theirs", "whose"),
    [(3, 3, 4, "A"), (4, 3, 4, "B"), (5, 3, 4, "neither"), (3, 3, 3, "both"), (4, 3, 3, "neither")],
)
def test_whose_digit(token: int, ours: int, theirs: int, whose: str) -> None:
    assert _whose(token, ours, theirs) == whose


def test_a_sorter_with_a_slot_for_each_output_gives_the_other_list(slots: Any) -> None:
    """Its blank j holds the digit of output j + 1 (output 0 is the last blank's own)."""
    found = exchange(slots, A, Treatment.parse("transplant:0-48:9901"))
    assert (sorted(found.a), sorted(found.b)) == ([1, 1, 3, 4], [0, 1, 9, 9])
    follows = found.follows(found.runs.blanks)
    assert found.differing == [0, 2, 3]
    assert follows[1] == "both"
    assert [follows[i] for i in (2, 3)] == ["B", "B"]
    assert found.follows(found.runs.as_it_is) == ("A", "both", "A", "A")
    assert found.other.answer.text == "0 1 9 9"
    assert found.self_change == 0
    # Its slots are made of the list in layer 0: to exchange digits after that changes nothing.
    assert found.follows(found.runs.control) == ("A", "both", "A", "A")
    told_of = found.tally(found.runs.control)
    assert told_of == (
        "of 3 outputs in which the sorted lists differ 3 follow A, 0 B and 0 neither"
    )


def test_a_sorter_that_reads_the_list_directly_keeps_its_answer() -> None:
    direct = load_bare("compiled:direct").model
    found = exchange(direct, A, Treatment.parse("transplant:0-48:9901"))
    assert found.follows(found.runs.blanks) == ("A", "both", "A", "A")


def test_the_self_check_can_fail(model: Any) -> None:
    treatment = Treatment.parse("transplant:0-3:9901")
    assert exchange(model, A, treatment).self_change == 0
    chunk = one_list_blanks._chunk(model, A, treatment, 0)
    others = replace(chunk, base=chunk.own_donor())  # what is put in is of another list
    assert one_list_blanks.self_change(others, (0, 3)) > 0


def test_the_other_list_is_another(model: Any) -> None:
    for digits in (A, (5,), (0, 0)):
        for seed in range(20):
            drawn = other_list(model, digits, seed)
            assert len(drawn) == len(digits)
            assert sorted(drawn) != sorted(digits)
    assert other_list(model, A) == other_list(model, A)


@pytest.mark.parametrize("do", ["", "published", "patch:v.1:3:27"])
def test_only_what_is_done_to_chosen_blanks_is_shown(model: Any, do: str) -> None:
    with pytest.raises(UserError, match="must take blanks away or exchange them"):
        controlled_answers(model, (3, 1), Treatment.parse(do))


# -- the sample ---------------------------------------------------------------------------------


def test_a_sample_counts_what_the_library_scores(model: Any) -> None:
    found = sample(model, Treatment.parse("mask:0,2"), lists=30, seed=1)
    batch = stratified(model, 30, 1, 8)
    masked = [Mask(range(10, 16), (7, 9))]
    scores = [score(model, batch, interventions=done) for done in ([], masked)]
    exact = [wilson(int(one.exact.sum()), 30) for one in scores]
    assert list(found.exact[:2]) == exact
    digits = [int(one.right.sum()) / int(one.scored.sum()) for one in scores]
    assert [rate.value for rate in found.digits[:2]] == digits
    right = 0
    for length in range(1, 7):
        of_length = batch[(batch.lengths == length).nonzero()[:, 0]]
        elsewhere = control_positions(model.task, length, 2, 1)
        control = [Mask(range(10, 16), elsewhere)]
        right += int(score(model, of_length, interventions=control).right.sum())
    assert found.digits[2].value == right / 105
    # Lengths 1 to 6 in turn have 1, 3, 5, ... other positions: 1 and then 2 where 2 are wanted.
    assert found.control_positions == pytest.approx((1 + 5 * 2) / 6)


@pytest.mark.slow
@shipped
def test_masking_breaks_the_shipped_model_and_resampling_does_not() -> None:
    model = load_bare("blanks").model
    masked = sample(model, Treatment.parse("mask:0-48"), lists=48)
    swapped = sample(model, Treatment.parse("resample:0-48"), lists=48)
    assert masked.exact[0].value > 0.9
    assert masked.exact[1].high < 0.5
    assert swapped.exact[1].value > 0.9
    assert swapped.exact[2].value < swapped.exact[1].value  # its control does worse


def test_a_sorter_that_rests_its_attention_on_blanks_needs_the_rest_alone() -> None:
    sink = load_bare("compiled:sink").model
    exact = [
        sample(sink, Treatment.parse(f"{kind}:0-48"), lists=16).exact[1].value
        for kind in ("mask", "mask-kept", "resample")
    ]
    assert exact[0] < 0.5
    assert exact[1:] == [1.0, 1.0]


# -- the command --------------------------------------------------------------------------------


def test_the_command_says_the_same(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: Any
) -> None:
    flags = ["--model", str(folder / "with"), "--list", "3,1,4,1", "--out", str(tmp_path), "--json"]
    run_command(experiment.EXPERIMENT, [*flags, "--do", "zero:1-2", "--lists", "12"])
    ablated = json.loads(capsys.readouterr().out)
    found = sample(model, Treatment.parse("zero:1-2"), lists=12)
    by_name = {(row["measure"], row["condition"]): row["value"] for row in ablated["rows"]}
    assert by_name == {
        (measure, name): rate.value
        for measure, rates in (("lists exact", found.exact), ("digits right", found.digits))
        for name, rate in zip(CONDITIONS, rates, strict=True)
    }
    run_command(experiment.EXPERIMENT, [*flags, "--do", "transplant:0-3:9901"])
    moved = json.loads(capsys.readouterr().out)
    pair = exchange(model, A, Treatment.parse("transplant:0-3:9901"))
    of_blanks = [row for row in moved["rows"] if row["from_b"] == "blanks"]
    assert [row["follows"] for row in of_blanks] == list(pair.follows(pair.runs.blanks))
    assert [row["digit_b"] for row in of_blanks] == [0, 1, 9, 9]
    step = pair.runs.blanks.probabilities[2]
    assert (of_blanks[2]["probability_a"], of_blanks[2]["probability_b"]) == (step[3], step[9])
    assert moved["finding"][-1].endswith("the largest change of a logit is 0")


# -- the page -----------------------------------------------------------------------------------


def test_the_page_shows_the_librarys_numbers(start: Any, model: Any) -> None:
    page = start(blanks="1-2", kind="zero", b="9,9,0,1")
    assert not page.error
    runs = controlled_answers(model, A, Treatment.parse("zero:1-2"))
    pair = exchange(model, A, Treatment.parse("transplant:1-2:9901"))
    for name, run in (
        ("As it is", runs.as_it_is),
        ("These blanks: blanks 1-2: keys and values zero", runs.blanks),
        ("Control: the same", runs.control),
        ("List A: 3 1 4 1", runs.as_it_is),
        ("List B: 9 9 0 1", pair.other),
        ("A with these blanks from B", pair.runs.blanks),
        ("Control: A with 2 other positions from B", pair.runs.control),
    ):
        assert tokens(page, name) == [output.token for output in run.answer.outputs], name
    assert pair.tally(pair.runs.blanks) in texts(page)
    assert "✓ largest change of any logit: 0 (no bit changes)" in texts(page)
    drawn = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    found = sample(model, Treatment.parse("zero:1-2"))
    exact, digits = drawn[0]["data"]
    assert exact["customdata"] == [rate.percent() for rate in found.exact]
    assert digits["customdata"] == [rate.percent() for rate in found.digits]
    assert f"how many of {found.exact[0].n} random lists (seed 0;" in captions(page)
    commands = [code.value for code in page.code]
    assert "--list 3,1,4,1 --do zero:1-2 --seed 0" in commands[0]
    assert "--list 3,1,4,1 --do transplant:1-2:9,9,0,1 --seed 0" in commands[1]


def chosen(page: Any) -> list[int]:
    """The blanks that the sequence shows as chosen."""
    (shown,) = sequences(page)
    assert [name for name, _, _ in shown["tools"]] == ["choose"]
    return [token - shown["firstBlank"] for token in shown["touched"]]


def test_sequence_and_field_show_the_same(start: Any) -> None:
    page = start()
    assert chosen(page) == [0, 1, 2, 3]
    assert address(page)["blanks"] == "all"
    page.text_input("blanks_spans").set_value("0, 2-3").run()
    assert chosen(page) == [0, 2, 3]
    button(page, "Every second").click().run()
    assert chosen(page) == [0, 2]
    assert (page.text_input("blanks_spans").value, address(page)["blanks"]) == ("0, 2", "0,2")
    button(page, "None").click().run()
    assert chosen(page) == []
    assert address(page)["blanks"] == "none"
    assert "Choose at least one blank." in [info.value for info in page.info]


def test_a_mistake_is_told_beside_its_field_and_the_page_goes_on(start: Any) -> None:
    page = start(blanks="1", b="9,9")
    assert len(page.error) == 1
    assert "must be of the same length. Until it is, list B is " in errors(page)[0]
    assert "b" not in address(page)
    page.text_input("blanks_list_b").set_value("9,9,x,1").run()
    assert "'x' is not a digit" in errors(page)[0]
    page.text_input("blanks_list_b").set_value("9,9,0,1").run()
    assert not page.error
    page.text_input("blanks_spans").set_value("1-9").run()
    assert errors(page) == ["blank 9 is not in this model: its blanks are 0 to 3"]
    assert "blank 1 masked" in texts(page)  # the last choice that could be read
    assert address(page)["blanks"] == "1"


@pytest.mark.parametrize("kind", ["", "none", "transplant", "![](//e.example/x)"])
def test_a_link_to_no_kind_shows_one(start: Any, kind: str) -> None:
    page = start(kind=kind, blanks="9-3", blanks_size="huge")
    assert address(page)["kind"] == "mask"
    assert address(page)["blanks"] == "all"
    assert address(page)["blanks_size"] == "quick"
    assert "is neither a number nor a span" in errors(page)[0]


def test_a_link_opens_the_same_view(start: Any) -> None:
    page = start(blanks="0,2-3", kind="mean", b="9901", blanks_size="full")
    link = address(page)
    assert {k: link[k] for k in ("blanks", "kind", "b", "blanks_size")} == {
        "blanks": "0,2-3",
        "kind": "mean",
        "b": "9,9,0,1",
        "blanks_size": "full",
    }
    again = start(**link)
    assert address(again) == link
    assert [html.value for html in again.html] == [html.value for html in page.html]
    assert texts(again) == texts(page)


def test_intervening_everywhere_sets_the_sidebar(start: Any) -> None:
    page = start(blanks="1-2", kind="zero", b="9,9,0,1")
    page.button("blanks take away everywhere").click().run()
    assert address(page)["do"] == "zero:1-2"
    assert "**Intervened on:** blanks 1" in captions(page)
    assert "sidebar's intervention" in captions(page)
    before = tokens(page, "As it is")
    page.button("blanks exchange everywhere").click().run()
    assert address(page)["do"] == "transplant:1-2:9,9,0,1"
    assert tokens(page, "As it is") == before  # nothing is added to what this page compares


def test_another_random_list_b(start: Any) -> None:
    page = start()
    drawn = page.text_input("blanks_list_b").placeholder
    assert "b" not in address(page)
    page.button("blanks another b").click().run()
    assert len(address(page)["b"].split(",")) == 4
    assert address(page)["b"] != drawn
    assert "List B: " + address(page)["b"].replace(",", " ") in texts(page)


def test_a_model_without_blanks_gets_one_sentence(start: Any, folder: Path) -> None:
    page = start(model=str(folder / "without"))
    assert [i.value for i in page.info] == [
        "This model was trained without blanks, so there is nothing to take away here."
    ]
    assert not page.main.get("plotly_chart")
    assert not page.main.button
    assert not page.main.text_input


def test_a_list_that_cannot_be_read_waits(start: Any) -> None:
    page = start(list="3,x")
    assert "Waiting for a list" in page.info[0].value
    assert not page.main.text_input


def test_a_change_of_list_scores_no_sample_again(start: Any, monkeypatch: Any) -> None:
    page = start(blanks="3", kind="mask-kept")

    scored: list[str] = []

    def again(*_: Any) -> None:
        scored.append("again")
        raise RuntimeError("the sample was scored again")

    monkeypatch.setattr(one_list_blanks, "sample", again)
    page.text_input("list").set_value("2,7,1").run()
    assert not page.exception and not scored
    assert "Outputs: List A: 2 7 1" in "".join(html.value for html in page.html)
    page.text_input("blanks_spans").set_value("2").run()
    assert page.exception and scored == ["again"]


def test_the_analyses_run_at_a_button_and_stay(start: Any, model: Any, folder: Path) -> None:
    page = start(blanks="1")
    assert len(page.get("plotly_chart")) == 2
    run_job(page, "run transplant_blanks")
    assert len(page.get("plotly_chart")) == 3
    one = transplant_blanks.EXPERIMENT
    assert one.on_page and one.on_page.quick
    config = replace(one.settings, **one.on_page.quick)
    finding = re.sub(r"\\(.)", r"\1", texts(page))
    assert one.outcome(one.compute(model, config)).words[-1] in finding
    assert "python -m analyses.transplant_blanks --pairs 96 --model " in page.code[2].value
    again = start(blanks="2")  # a visitor who comes later sees it at once
    assert len(again.get("plotly_chart")) == 3
    assert store().has(("transplant_blanks", load_bare(folder / "with").hash, config, 0))


def test_the_tables_of_the_analyses(model: Any) -> None:
    matrix = blank_output_matrix.EXPERIMENT
    result = matrix.compute(model, replace(matrix.settings, pairs=2, length=3))
    table = matrix.outcome(result).rows
    assert len(table) == 4 * 3
    value = result.mean[2, 1].item()
    assert table[2 * 3 + 1] == {
        "blank": 2,
        "output": 1,
        "mean_effect": value if value == value else None,
    }
    ablated = {"together": {"mask: all": {"exact_match": {"value": 0.5}}}, "each": {}, "dose": {}}
    assert ablate_blanks.EXPERIMENT.body.table(ablated) == [
        {"part": "together", "condition": "mask: all", "measure": "exact_match", "value": 0.5}
    ]
    moved = {"follows": {"blanks": {"A": {"value": 1.0}, "B": None}}, "blanks_by_output": [None]}
    assert transplant_blanks.EXPERIMENT.body.table(moved) == [
        {"from_b": "blanks", "output": "all", "follows": "A", "value": 1.0}
    ]


def test_cells_say_right_and_wrong_without_colour(model: Any) -> None:
    said = decode_list(model, A).answer
    html = cells(judged(said), "x")
    assert html.count("✗") == len(said.wrong)
    assert html.count("✓") == 4 - len(said.wrong)
    marked = cells(attributed(said, ["A", "B", "both", "neither"]), "x")
    assert re.findall(r"<span>(.*?)</span>", marked) == ["A", "B", "A=B", "✗"]


@pytest.mark.slow
@pytest.mark.parametrize("name", few(compiled_names(), "compiled:slots", "compiled:direct"))
def test_compiled_sorters_open(start: Any, name: str) -> None:
    bits = name == "compiled:tally"
    page = start(
        model=name, list="1,0,0" if bits else "3,1,4", b="1,1,0" if bits else "9,9,0", blanks="all"
    )
    assert not page.error
    assert not page.exception
    whose = re.findall(r"of \d+ outputs? in which .* (\d+) follow A, (\d+) B", texts(page))
    assert len(whose) == 2
    if name == "compiled:direct":
        assert whose[0][1] == "0"
    if name == "compiled:slots":
        assert int(whose[0][1]) >= 2
