"""The page "Patch": its numbers against the library's, both ways to choose a cell, bad input."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from analyses.experiment import main as run_command
from analyses.one_list import patch
from analyses.one_list.patch.body import both_runs, one_digit_changed, one_patch, patch_map
from analyses.one_list.patch.figure import figure as drawn
from analyses.one_list.patch.result import PatchMap, map_sites, short_name
from analyses.one_list.patch.words import rows as rows_of
from analyses.one_list.patch.words import summary, wrong_words
from analyses.one_list.subject import ListSubject
from explorer.pages.patch import map as page_map
from explorer.pages.patch import page as patch_page
from explorer.pages.patch.map import Cell, chart, clicked, read_cell, take_click
from explorer.pages.patch.pair import PRESETS, table
from interp.answers.decode import greedy_decode
from interp.answers.kinds import Act
from interp.answers.treatment import Treatment
from interp.checkpoints import load_bare
from interp.interventions import edits_of
from interp.methods.agreement import agreement
from interp.methods.attribution_patching import attributed_effects
from interp.passes.forward import forward
from interp.passes.packed import Window
from interp.sites import Component, Site
from interp.support.errors import UserError
from tests.models import TASK, small_model
from tests.pages import address, button, captions, errors, open_page

CLEAN, CORRUPT = (3, 1, 4, 1, 5, 9, 2, 6, 5, 3), (3, 1, 4, 1, 5, 9, 2, 6, 5, 8)
SLOTS = "compiled:slots"


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page on the small model with blanks, or on another."""
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))

    def start(model: str = str(folder / "with"), **link: str) -> AppTest:
        return open_page("patch", model=model, **link)

    return start


def slots(**link: str) -> AppTest:
    """The page on a sorter whose algorithm is known."""
    return open_page("patch", model=SLOTS, list="3141592653", corrupt="3141592658", **link)


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def outputs(page: AppTest) -> dict[str, str]:
    """The answers' table by row, as read: ``{"patched": "1 1 2"}``."""
    rows = re.findall(r'<tr class="(\w+)">(.*?)</tr>', page.html[-1].value)
    return {name: " ".join(re.findall(r"<td[^>]*>(.*?)</td>", row)) for name, row in rows}


def understood_pair(model: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A pair of which even an untrained model happens to prefer both right answers."""
    for clean in itertools.product(range(0, 10, 3), repeat=3):
        for digit in range(10):
            corrupt = (*clean[:2], digit)
            if (
                sorted(clean) != sorted(corrupt)
                and patch_map(both_runs(model, clean, corrupt), "stream", "gradient").understood
            ):
                return clean, corrupt
    raise AssertionError("none")


# -- the map ------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["denoising", "noising"])
@pytest.mark.parametrize("rows", patch.ROWS)
def test_a_cell_is_the_logit_difference_of_an_edited_pass(
    rows: patch.Rows, direction: patch.Direction
) -> None:
    """Against an ordinary pass with the treatment that the page links to."""
    model = small_model()
    clean, corrupt = (3, 1, 4), (3, 1, 8)
    found = patch_map(both_runs(model, clean, corrupt, direction), rows)
    base, other = (clean, corrupt) if direction == "noising" else (corrupt, clean)
    row = int(found.pairs.rows[0])
    assert found.positions == range(3, row + 1)
    view = Window(TASK, 3, TASK.first_output_row)
    tokens = found.pairs.clean if direction == "noising" else found.pairs.corrupt

    @torch.no_grad()
    def difference(treatment: Treatment) -> float:
        edits = edits_of(model, treatment.on_list(model, base))
        logits = forward(model, tokens, view, edits).logits[0, row - TASK.first_output_row]
        ours, theirs = found.pairs.answers[0].tolist()
        return float(logits[ours] - logits[theirs])

    before = difference(Treatment())
    assert before == pytest.approx(found.difference[0 if direction == "noising" else 1], abs=1e-5)
    runs = both_runs(model, clean, corrupt, direction)
    for r, site in enumerate(found.sites):
        last = site.layer == 1 and site.component not in (Component.RESID_PRE, *"kv")
        for c, position in enumerate(found.positions):
            effect = float(found.effects[r, c])
            if last and position < TASK.sep_pos:
                assert effect == 0
                continue
            after = difference(Cell(site, position).patch(other))
            assert after - before == pytest.approx(effect, abs=1e-5)
            assert one_patch(runs, site, position) - before == pytest.approx(effect, abs=1e-5)
    gap = found.difference[0] - found.difference[1]
    shares = found.effects / (gap if direction == "denoising" else -gap)
    assert torch.allclose(found.shares, shares)


def test_a_preview_is_the_gradients_guess() -> None:
    runs = both_runs(small_model(), (3, 1, 4), (3, 1, 9))
    found = patch_map(runs, "k", "gradient")
    sites = map_sites(runs.model.config, "k")
    assert [short_name(site) for site in sites] == [
        "keys 0 (all heads)",
        "keys 0.0",
        "keys 0.1",
        "keys 1 (all heads)",
        "keys 1.0",
        "keys 1.1",
    ]
    assert torch.equal(
        found.effects, attributed_effects(runs, sites, "gradient")[0, :, : len(found.positions)]
    )


@pytest.fixture(scope="module")
def known() -> PatchMap:
    """Head 2 of layer 1 fetches the answer from the blank of its rank; head 1 fetched it there."""
    return patch_map(both_runs(load_bare(SLOTS).model, CLEAN, CORRUPT, "noising"), "v")


def test_the_map_of_a_compiled_sorter_shows_its_algorithm(known: PatchMap) -> None:
    big = (known.shares > 0.5).nonzero().tolist()
    assert [(known.names[r], known.holds[c]) for r, c in big] == [
        ("values 0 (all heads)", "in 9: 3, corrupted 8"),
        ("values 0.1", "in 9: 3, corrupted 8"),
        ("values 1 (all heads)", "blank 4"),
        ("values 1.2", "blank 4"),
    ]
    assert summary(known) == [
        "The lists differ in 1 of 10 digits (in 9). Their answers part at out 4: 3 for the clean "
        "list, 4 for the corrupted one. It is read at out 3, which emits it.",
        "Noising, by itself: values 0 (all heads) at in 9: 100 %, values 0.1 at in 9: 100 %, "
        "values 1 (all heads) at blank 4: 100 %, values 1.2 at blank 4: 100 %.",
    ]
    assert [known.labels[edge] for edge in known.edges] == ["SEP", "blank 0", "blank 48", "out 0"]


def test_where_a_list_is_not_understood_there_is_no_share(known: PatchMap) -> None:
    wrong = replace(known, difference=(-0.5, -1.0))
    assert not wrong.understood
    said = summary(wrong)[-1]
    assert said.startswith("The model prefers the wrong answer of the two for the clean list:")
    both = wrong_words(replace(known, difference=(-1.0, 1.0)))
    assert "for the clean and the corrupted list" in both
    assert "no effect to share" in drawn(wrong).layout.title.text
    assert {row["share"] for row in rows_of(wrong)} == {None}
    assert not replace(known, difference=(1.0, 0.0)).understood


def test_the_figure_and_the_table_hold_the_map(known: PatchMap) -> None:
    figure = drawn(known)
    cells = figure.data[0]
    assert torch.allclose(torch.tensor(cells.z), known.shares)
    assert (cells.zmin, cells.zmax) == (-known.limit, known.limit)
    rows = rows_of(known)
    assert len(rows) == known.effects.numel()
    best = max(rows, key=lambda row: (row["share"], row["position"]))
    assert (best["site"], best["label"]) == ("blocks.1.attn.hook_v", "blank 4")
    assert best["effect"] == pytest.approx(
        best["share"] * (known.difference[1] - known.difference[0])
    )


def test_the_command_gives_the_pages_rows(
    known: PatchMap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = slots(patch_way="noising", patch_rows="v")
    typed = next(code.value for code in command.code if "one_list.patch" in code.value)
    words = typed.removeprefix("python -m analyses.one_list.patch ").split(" ")
    run_command(patch.EXPERIMENT, [*words, "--json", "--out", str(tmp_path)])
    said = json.loads(capsys.readouterr().out)
    assert said["rows"] == rows_of(known)
    assert said["model_hash"] == load_bare(SLOTS).hash
    assert said["corrupt"] == "3,1,4,1,5,9,2,6,5,8"


def test_a_sweep_takes_no_other_intervention() -> None:
    with pytest.raises(UserError, match="leave out --do"):
        patch.EXPERIMENT.compute(
            ListSubject(small_model(), (3, 1), Treatment(Act.PUBLISHED)), patch.PatchSettings()
        )
    with pytest.raises(UserError, match="same answer"):
        patch.EXPERIMENT.compute(
            ListSubject(small_model(), (3, 1)), patch.PatchSettings(corrupt="1,3")
        )


def test_one_digit_is_always_another() -> None:
    for digit in range(10):
        assert one_digit_changed(TASK, (1, digit)) == (1, (digit + 5) % 10)


# -- choosing a cell ----------------------------------------------------------------------------


def test_a_click_is_read_as_streamlit_passes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    event = {"selection": {"cell": [{"code": "v.1.2", "position": 53}]}}
    assert clicked(event) == "v.1.2:53"
    assert clicked({"selection": {"cell": [{"code": "resid_pre.0", "position": 3.0}]}}) == (
        "resid_pre.0:3"
    )
    events: list[dict[str, Any]] = [{}, {"selection": {}}, {"selection": {"cell": []}}]
    for nothing in events:
        assert clicked(nothing) is None
    state = {"map": event, "none": {}, page_map.CELL: "k.0:1"}
    monkeypatch.setattr(page_map.st, "session_state", state)
    take_click("none")
    assert state[page_map.CELL] == "k.0:1"
    take_click("map")
    assert state[page_map.CELL] == "v.1.2:53"


def test_the_chart_selects_cells_by_their_code_and_position(known: PatchMap) -> None:
    chosen = Cell(Site(Component.V, 1, (2,)), 53)
    spec = chart(known, known.limit, chosen).to_dict()
    [param] = spec["params"]
    assert (param["name"], param["select"]["fields"]) == ("cell", ["code", "position"])
    assert not param["select"]["toggle"]
    cells, lines, frame = spec["layer"]
    assert cells["encoding"]["color"]["scale"]["domain"] == [-known.limit, known.limit]
    data = spec["datasets"][spec.get("data", cells.get("data"))["name"]]
    assert len(data) == known.effects.numel()
    [framed] = spec["datasets"][frame["data"]["name"]]
    assert (framed["code"], framed["position"], framed["holds"]) == ("v.1.2", 53, "blank 4")
    assert framed["share"] == pytest.approx(1, abs=0.01)
    assert [d["label"] for d in lines["data"]["values"]] == ["SEP", "blank 0", "blank 48", "out 0"]
    assert "params" not in chart(known, 1.0).to_dict()


@pytest.mark.parametrize("text", ["v.1.2:53", "v.1:53", "resid_pre.0:40", "attn_out.1:97"])
def test_a_cell_is_what_its_text_says(text: str) -> None:
    config = load_bare("compiled:slots").model.config
    cell = read_cell(text, config, range(38, 102))
    assert cell.text == text
    assert cell.patch((3, 1)).text == f"patch:{text}:3,1"
    assert cell.site.positions is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "is no cell; one looks like"),
        ("v.1.2", "is no cell"),
        ("v.1:5-9", "is no cell"),
        ("v.1:53:4", "is no cell"),
        ("pattern.0:53", "cannot be patched here"),
        ("v.7:53", "no layer 7"),
        ("v.1.9:53", "no head 9"),
        ("mlp_out.1.0:53", "has no heads"),
        ("v.1:37", "there are 38 to 101"),
        ("v.1:102", "there are 38 to 101"),
    ],
)
def test_a_text_that_is_no_cell_says_why(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_cell(text, load_bare(SLOTS).model.config, range(38, 102))


def test_a_link_to_no_cell_says_why_and_the_page_goes_on() -> None:
    page = slots(cell="v.1:102")
    assert "there are 38 to 101" in errors(page)[0]
    assert "cell" not in address(page)
    assert metrics(page)["Share of the way"] == "100.0 %"  # the changed digit itself
    page.selectbox("cell_position").set_value(53).run()
    assert not page.error


def test_boxes_choose_a_cell_and_the_answer_changes() -> None:
    page = slots(patch_way="noising", patch_rows="v", cell="v.1.2:53")
    assert outputs(page) == {
        "clean": "1 1 2 3 3 4 5 5 6 9",
        "corrupted": "1 1 2 3 4 5 5 6 8 9",
        "patched": "1 1 2 3 4 4 5 5 6 9",  # out 4 alone
    }
    boxes = [page.selectbox(key).value for key in ("cell_place", "cell_head", "cell_position")]
    assert boxes == ["v.1", "2", 53]
    assert metrics(page)["Share of the way"] == "100.0 %"
    page.selectbox("cell_position").set_value(54).run()
    assert outputs(page)["patched"] == "1 1 2 3 3 5 5 5 6 9"  # out 5 alone
    assert metrics(page)["Share of the way"] == "0.0 %"
    assert address(page)["cell"] == "v.1.2:54"
    page.selectbox("cell_place").set_value("resid_pre.1").run()
    assert address(page)["cell"] == "resid_pre.1:54"
    assert address(page)["patch_rows"] == "stream"  # the map that it is in
    assert page.selectbox("cell_head").disabled
    assert not page.exception


def test_a_cell_of_the_session_moves_the_boxes() -> None:
    """What a click does: the boxes follow."""
    page = slots(patch_way="noising", patch_rows="v")
    page.session_state[page_map.CELL] = "v.1.2:53"
    page.run()
    assert page.selectbox("cell_head").value == "2"
    assert outputs(page)["patched"] == "1 1 2 3 4 4 5 5 6 9"
    spec = json.loads(page.get("vega_lite_chart")[0].proto.spec)
    assert spec["params"][0]["name"] == page_map.SELECTION


def test_a_link_opens_the_same_view() -> None:
    first = slots(patch_way="noising", patch_rows="z", cell="z.1.1:100")
    again = open_page("patch", **address(first))
    assert address(again) == address(first)
    assert again.radio("patch_way").value == "noising"
    assert again.radio("patch_rows").value == "z"
    assert metrics(again) == metrics(first)
    assert outputs(again) == outputs(first)
    odd = slots(patch_way="<b>", patch_rows="../..")
    assert (odd.radio("patch_way").value, odd.radio("patch_rows").value) == ("denoising", "stream")


# -- the numbers --------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_library(start: Any, folder: Path) -> None:
    model = load_bare(folder / "with").model
    clean, corrupt = understood_pair(model)
    text = ["".join(map(str, digits)) for digits in (clean, corrupt)]
    page = start(list=text[0], corrupt=text[1], cell="k.0.1:5", patch_way="denoising")
    exact = patch_map(both_runs(model, clean, corrupt), "k")
    at = exact.names.index("keys 0.1"), exact.labels.index("in 2")
    effect, share = float(exact.effects[at]), 100 * float(exact.shares[at])
    assert effect != 0
    found = metrics(page)
    before = float(found["Logit difference before"])
    assert before == pytest.approx(exact.difference[1], abs=6e-4)
    assert float(found["Under the patch"]) == pytest.approx(before + effect, abs=2e-3)
    assert float(found["In the other run"]) == pytest.approx(exact.difference[0], abs=6e-4)
    assert float(found["Share of the way"][:-2]) == pytest.approx(share, abs=0.06)
    patch = Treatment.parse(f"patch:k.0.1:5:{text[0]}")
    said = greedy_decode(model, [corrupt], interventions=patch.on_list(model, corrupt)).lists[0]
    assert outputs(page)["patched"] == " ".join(
        {10: "SEP", 11: "BLANK"}.get(token, str(token)) for token in said
    )


def test_the_preview_stands_beside_the_exact_map() -> None:
    page = slots(patch_way="denoising", patch_rows="v")
    assert len(page.get("vega_lite_chart")) == 1
    page.toggle(patch_page.BESIDE).set_value(True).run()
    assert len(page.get("vega_lite_chart")) == 2
    runs = both_runs(load_bare(SLOTS).model, CLEAN, CORRUPT)
    exact, guess = (patch_map(runs, "v", method) for method in ("exact", "gradient"))
    said = agreement(guess.effects[None], exact.effects[None], exact.possible[None])
    assert said.rank and said.linear and said.recovered
    assert metrics(page)["Order (rank correlation)"] == f"{said.rank.value:.2f}"
    assert metrics(page)["Size (linear correlation)"] == f"{said.linear.value:.2f}"
    assert metrics(page)["Sum of guesses / sum of effects"] == f"{said.recovered.value:.2f}"
    assert said.recovered.value < 0.99  # a guess, not the same map twice
    assert f"over the {int(exact.possible.sum())} cells" in captions(page)


@pytest.mark.parametrize("quick", [False, True])
def test_the_preview_is_there_before_the_sweep_begins(
    monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    """Where the sweep takes long; one that is quick comes at once."""
    if not quick:
        monkeypatch.setattr(patch_page, "_QUICK", 0)
    preview = [] if quick else ["gradient"]
    seen: list[str] = []
    shown, sweep = patch_page._plain_map, patch_page.outcome

    def show(found: PatchMap, *rest: Any) -> None:
        seen.append(found.method)
        shown(found, *rest)

    def compute_exactly(view: Any, experiment: Any, settings: Any, *rest: Any) -> Any:
        if settings.method == "exact":
            seen.append("patch map")
        return sweep(view, experiment, settings, *rest)

    monkeypatch.setattr(patch_page, "_plain_map", show)
    monkeypatch.setattr(patch_page, "outcome", compute_exactly)
    page = open_page("patch", model=SLOTS, list=f"271{int(quick)}", corrupt="2719")
    assert seen == [*preview, "patch map"]
    page.run()
    assert seen == [*preview, "patch map", "patch map"]  # there already: no preview


def test_the_whole_analysis_is_computed_when_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    page = slots()
    assert not page.get("plotly_chart")
    page.session_state[patch_page.WHOLE] = True
    page.run()
    assert not page.exception
    assert len(page.get("plotly_chart")) == 1
    assert any(
        "the blanks (all but the last, together) bring back 100 %" in t.value for t in page.text
    )
    [command] = [code.value for code in page.code if "patch_blanks" in code.value]
    assert command == (
        "python -m analyses.patch_blanks --list 3,1,4,1,5,9,2,6,5,3 "
        "--corrupt 3,1,4,1,5,9,2,6,5,8 --model compiled:slots --seed 0"
    )


# -- models and lists of all kinds --------------------------------------------------------------


def test_a_pair_that_is_not_understood_leaves_the_page_usable(start: Any, folder: Path) -> None:
    model = load_bare(folder / "without").model
    clean = next(
        digits
        for digits in itertools.product(range(10), repeat=2)
        if not patch_map(
            both_runs(model, digits, one_digit_changed(model.task, digits)), "stream", "gradient"
        ).understood
    )
    page = start(model=str(folder / "without"), list="".join(map(str, clean)))
    assert "no effect to share out" in page.info[0].value
    assert not page.get("vega_lite_chart")
    assert metrics(page)["Share of the way"] == "none"
    assert float(metrics(page)["Under the patch"])
    page.session_state[patch_page.WHOLE] = True
    page.run()
    assert "no effect to share out" in page.info[1].value
    assert not page.exception


def test_a_model_without_blanks_is_patched_too(start: Any, folder: Path) -> None:
    model = load_bare(folder / "without").model
    clean, corrupt = understood_pair(model)
    text = ["".join(map(str, digits)) for digits in (clean, corrupt)]
    page = start(model=str(folder / "without"), list=text[0], corrupt=text[1])
    assert not page.error
    assert not page.info
    assert len(page.get("vega_lite_chart")) == 1
    assert metrics(page)["Share of the way"] == "100.0 %"  # the changed digit: all of it
    assert not any("blank" in option for option in page.selectbox("cell_position").options)


def test_a_place_that_no_answer_reads_changes_none() -> None:
    page = slots(cell="z.1.2:40", patch_way="noising")
    said = outputs(page)
    assert said["patched"] == said["clean"]
    assert metrics(page)["Share of the way"] == "0.0 %"
    assert "No answer reads this place" in captions(page)
    assert not [b for b in page.button if b.label.startswith("Intervene so")]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("3,1,4", "the two lists must have the same length, not 10 and 3"),
        ("3,5,6,2,9,5,1,4,1,3", "the two lists have the same answer"),
        ("3,x", "'x' is not a digit from 0 to 9"),
        ("![](//e.co/x)", "is not a digit from 0 to 9"),
        ("1" * 49, "the list has 49 digits; this model takes 1 to 48"),
    ],
)
def test_lists_that_cannot_be_compared_are_a_message(typed: str, message: str) -> None:
    page = open_page("patch", model=SLOTS, list="3141592653", corrupt=typed)
    assert message in errors(page)[0]
    assert not page.metric
    page.text_input("corrupt").set_value("").run()
    assert not page.error
    assert page.metric


def test_a_list_that_cannot_be_read_is_waited_for() -> None:
    page = open_page("patch", model=SLOTS, list="3,x")
    assert "Waiting for a list" in page.info[0].value
    assert not page.metric


@pytest.mark.parametrize("words", PRESETS)
@pytest.mark.parametrize("digits", ["3141592653", "7"])
def test_buttons_make_a_pair(words: str, digits: str) -> None:
    page = open_page("patch", model=SLOTS, list=digits)
    button(page, words).click().run()
    assert not page.error
    assert not page.exception
    task = load_bare(SLOTS).model.task
    clean, corrupt = (task.parse(str(page.text_input(key).value)) for key in ("list", "corrupt"))
    assert sorted(clean) != sorted(corrupt)
    changed = sum(a != b for a, b in zip(clean, corrupt, strict=True))
    if words == "Swap the two":
        assert corrupt == task.parse(digits)
    else:
        assert clean == task.parse(digits)
    assert changed == 1 or words == "Random list"
    assert address(page)["corrupt"] == page.text_input("corrupt").value


# -- the whole explorer -------------------------------------------------------------------------


def test_noising_is_put_into_the_whole_explorer() -> None:
    page = slots(cell="v.1.2:53", patch_way="noising")
    button(page, "Intervene so everywhere").click().run()
    assert not page.exception
    assert address(page)["do"] == "patch:v.1.2:53:3,1,4,1,5,9,2,6,5,8"
    assert page.text_input("do").value == "patch:v.1.2:53:3,1,4,1,5,9,2,6,5,8"
    assert page.text_input("list").value == "3141592653"
    assert [b.disabled for b in page.button if b.label == "Intervened so everywhere"] == [True]
    assert "Patched here is the model as it is" in captions(page)
    assert "values of head 1.2, at blank 4" in captions(page).replace("\\", "")


def test_denoising_is_put_there_with_the_lists_swapped() -> None:
    """The same patch of the same list, and the same numbers but for the sign."""
    page = slots(cell="v.1.2:53", patch_way="denoising")
    before, said = metrics(page), outputs(page)["patched"]
    button(page, "Intervene so everywhere (swaps the lists)").click().run()
    assert not page.exception
    assert address(page)["do"] == "patch:v.1.2:53:3,1,4,1,5,9,2,6,5,3"
    assert page.text_input("list").value == "3,1,4,1,5,9,2,6,5,8"
    assert page.text_input("corrupt").value == "3,1,4,1,5,9,2,6,5,3"
    assert page.radio("patch_way").value == "noising"
    assert outputs(page)["patched"] == said
    after = metrics(page)
    assert after["Share of the way"] == before["Share of the way"]
    assert float(after["Under the patch"]) == -float(before["Under the patch"])


def test_a_table_marks_what_differs_and_nothing_else() -> None:
    shown = table({"clean": ["1", "<b>"], "patched": ["1", "2"]}, "clean")
    assert shown.count('class="other"') == 1
    assert '<td class="other" aria-label="2, differs">2</td>' in shown
    assert "<b>" not in shown
