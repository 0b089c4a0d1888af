"""The page "Inside" and its command: lens, direct attribution and neurons of one list."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from analyses import logit_lens
from analyses.experiment import Experiment, flat, main
from analyses.one_list import direct, lens, neurons, position
from analyses.one_list.direct.figure import direct_bars
from analyses.one_list.direct.result import attribute
from analyses.one_list.lens.figure import lens_map
from analyses.one_list.lens.result import ListLens, read_lens
from analyses.one_list.margin import AnsweredList, answer_list, margin
from analyses.one_list.neurons.figure import neuron_bars
from analyses.one_list.neurons.result import ablate_neurons
from analyses.one_list.position.figure import lens_position
from analyses.one_list.subject import ListSubject
from interp.answers.decode import greedy_decode
from interp.answers.treatment import Treatment
from interp.checkpoints import load_bare, load_model
from interp.interventions import intervene
from interp.methods.lens import everywhere
from interp.methods.lens import lens as lens_of
from interp.model import SortTransformer
from interp.sorters.truth import truth_of
from interp.support.errors import UserError
from interp.task import SortBatch, SortTask
from tests.models import TASK, small_model
from tests.pages import address, captions, errors, open_page, run_job

LIST = (3, 1, 4, 1, 5)
ROW = TASK.first_output_row + 2  # emits output 2
OTHER = "86420"
PATCHED = {
    place: f"patch:{place}:{ROW}:{OTHER}"
    for place in (
        *("resid_pre.0", "resid_pre.1", "resid_mid.0", "resid_mid.1", "resid_post.0"),
        *("resid_post.1", "attn_out.1", "mlp_out.0", "mlp_out.1", "z.1.1", "post.0"),
    )
}
TREATMENTS = ["", "published+last", "mean:1", f"transplant:0-3:{OTHER}", *PATCHED.values()]
NORMS = ["pre", "post", "none"]


def write(model: Any, digits: tuple[int, ...], treatment: Treatment) -> AnsweredList:
    return answer_list(ListSubject(model, digits, treatment))


def written(norm: str = "pre", do: str = "") -> AnsweredList:
    return write(small_model(norm), LIST, Treatment.parse(do))


def hooked_logits(one: AnsweredList, do: str, model: SortTransformer | None = None) -> torch.Tensor:
    """[pos, token], by the hooked model under the same intervention."""
    done = Treatment.parse(do).on_list(one.model, LIST)
    with torch.no_grad(), intervene(model or one.model, done) as running:
        return running(one.tokens)[0]


# -- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_the_answer_is_what_the_model_wrote(norm: str) -> None:
    one = written(norm, "zero:0-2")
    done = Treatment.parse("zero:0-2").on_list(one.model, LIST)
    assert one.answer == greedy_decode(one.model, [LIST], interventions=done).lists[0]
    first = TASK.first_output_row
    assert one.tokens[0, first + 1 : first + len(LIST)].tolist() == list(one.answer[:-1])
    logits = hooked_logits(one, "zero:0-2")
    assert tuple(logits[first : first + len(LIST)].argmax(-1).tolist()) == one.answer


@pytest.mark.parametrize("norm", NORMS)
def test_the_lens_is_that_of_the_library(norm: str) -> None:
    one = written(norm)
    batch = SortBatch(one.tokens, torch.tensor([len(LIST)]))
    expected = lens_of(one.model, batch.tokens, everywhere(TASK, batch)).logits[0]
    found = read_lens(one)
    torch.testing.assert_close(found.logits, expected)
    assert found.labels[0] == "in 0"
    assert found.given[:6] == ("3", "1", "4", "1", "5", "SEP")
    assert found.depths == (
        "before layer 0",
        "after attention 0",
        "after MLP 0",
        "after attention 1",
        "after MLP 1",
    )


@pytest.mark.parametrize("do", TREATMENTS)
def test_the_last_depth_of_the_lens_is_the_model_under_the_intervention(do: str) -> None:
    one = written("pre", do)
    start = TASK.max_len - len(LIST)
    expected = hooked_logits(one, do)[start : TASK.first_output_row + len(LIST)]
    torch.testing.assert_close(read_lens(one).logits[-1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_blanks", [0, 1, 4])
def test_every_position_is_in_one_region(n_blanks: int) -> None:
    task = SortTask(TASK.max_len, n_blanks)
    found = read_lens(write(small_model(task=task), LIST, Treatment()))
    covered = sorted(p for region in found.regions.values() for p in region)
    assert covered == list(range(len(found.labels)))
    assert ("blanks" in found.regions) == (n_blanks > 1)
    first = found.labels[found.regions["outputs"].start]
    assert first == ("SEP" if n_blanks == 0 else f"blank {n_blanks - 1}")


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("do", TREATMENTS)
def test_parts_add_up_to_the_margin_also_under_interventions(norm: str, do: str) -> None:
    one = written(norm, do)
    found = attribute(one, 2)
    logits = hooked_logits(one, do)[ROW]
    other = max((float(logits[t]), t) for t in range(12) if t != 3)  # sorted: 1 1 3 4 5
    assert (found.margin.right, found.margin.other) == (3, other[1])
    expected = float(logits[3]) - other[0]
    assert found.total == pytest.approx(expected, abs=1e-4)
    assert sum(found.parts.values()) == pytest.approx(expected, abs=1e-4)
    assert found.error < 1e-4
    for head, sources in zip(found.heads, found.by_source, strict=True):
        if do == PATCHED["z.1.1"] and head == "head 1.1":
            assert sources.isnan().all()
        else:
            assert float(sources.sum()) == pytest.approx(found.parts[head], abs=1e-5)


def test_what_an_intervention_puts_in_is_a_part_of_its_own() -> None:
    do = f"patch:resid_mid.1:{ROW}:{OTHER}"
    one = written("none", do)
    found = attribute(one, 2)
    donor = TASK.encode([tuple(map(int, OTHER))]).tokens
    with torch.no_grad():
        mine, theirs = (
            one.model.run_with_cache(tokens)[1]["blocks.1.hook_resid_mid"][0, ROW]
            for tokens in (one.tokens, donor)
        )
    direction = one.model.W_U[:, 3] - one.model.W_U[:, found.margin.other]
    put_in = found.parts["put in by the intervention"]
    assert put_in == pytest.approx(float(((theirs - mine) @ direction).detach()), abs=1e-4)
    assert abs(put_in) > 0.01
    assert "put in by the intervention" not in attribute(written("none"), 2).parts


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("layer", "do"),
    [
        *((0, PATCHED[p]) for p in ("resid_pre.1", "mlp_out.0", "resid_post.0", "post.0")),
        *((0, ""), (0, "mean:1"), (1, ""), (1, "published+last")),
        *((1, PATCHED[p]) for p in ("resid_mid.0", "mlp_out.1", "resid_post.1")),
    ],
)
def test_a_neurons_effect_is_what_its_weights_loss_costs(norm: str, layer: int, do: str) -> None:
    """A neuron whose output weights are zero might as well be zero itself."""
    one = written(norm, do)
    found = ablate_neurons(one, 2, layer)
    whole = hooked_logits(one, do)[ROW]
    whole_margin = float(whole[found.margin.right] - whole[found.margin.other])
    assert found.total == pytest.approx(whole_margin, abs=1e-4)
    assert len(found.neurons) > 5
    lost = dict(zip(found.neurons.tolist(), found.lost.tolist(), strict=True))
    for neuron in range(0, 24, 5):
        maimed = copy.deepcopy(one.model)
        with torch.no_grad():
            maimed.blocks[layer].mlp.W_out[neuron] = 0
        left = hooked_logits(one, do, maimed)[ROW]
        expected = whole_margin - float(left[found.margin.right] - left[found.margin.other])
        assert lost.get(neuron, 0.0) == pytest.approx(expected, abs=2e-4)


def test_neurons_without_a_layernorm_write_exactly_what_is_lost() -> None:
    found = ablate_neurons(written("none"), 2, 1)
    assert found.last
    torch.testing.assert_close(found.lost, found.direct, rtol=1e-4, atol=1e-5)
    parts = attribute(written("none"), 2).parts
    assert float(found.direct.sum()) == pytest.approx(parts["MLP 1"], abs=1e-5)


def test_the_strongest_position_of_a_neuron_is_named() -> None:
    one = written()
    found = ablate_neurons(one, 2, 0)
    with torch.no_grad():
        hidden = one.model.run_with_cache(one.tokens)[1]["blocks.0.mlp.hook_post"][0]
    seen = hidden[TASK.max_len - len(LIST) : ROW + 1, found.neurons]
    torch.testing.assert_close(found.most, seen.max(0).values)
    torch.testing.assert_close(found.here, hidden[ROW, found.neurons])
    labels = TASK.labels(len(LIST))[TASK.max_len - len(LIST) :]
    assert found.where == tuple(labels[i] for i in seen.argmax(0).tolist())


@pytest.mark.parametrize("name", ["slots", "histogram"])
def test_the_planted_parts_of_a_compiled_sorter_are_found(name: str) -> None:
    one = write(load_bare(f"compiled:{name}").model, LIST, Treatment())
    truth = truth_of(name)
    assert one.answer == tuple(sorted(LIST))
    layer, head = max(truth.heads)
    planted = f"head {layer}.{head}"
    found = attribute(one, 2)
    largest = max(found.parts, key=lambda part: abs(found.parts[part]))
    blank_writes = truth.blank_output == "diagonal"
    assert largest == (planted if blank_writes else f"MLP {max(truth.mlps)}")
    seen = read_lens(one)
    blanks = seen.regions["blanks"]
    assert {seen.said[p] for p in blanks} == {"BLANK"}


def test_the_margin_is_against_the_strongest_other_token() -> None:
    logits = torch.tensor([[[0.0, 5, 9, 7, 1, 1, 1, 1, 1, 1, 8, 2]]])
    one = written()  # output 2 should be 3
    found = margin(one, 2, logits)
    assert found.words == "3 against 2"
    assert float(found.of(logits)) == 7 - 9
    assert margin(one, 0, logits).words == "1 against 2"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: attribute(written(), 5), "this list has outputs 0 to 4"),
        (lambda: ablate_neurons(written(), -1, 0), "there is no output -1"),
        (lambda: ablate_neurons(written(), 0, 2), "this model has 0 to 1"),
        (lambda: read_lens(written()).position("out 4"), "this list has in 0 to out 3"),
        (lambda: neurons.NeuronSettings(top=0), "--top must be at least 1"),
    ],
)
def test_what_is_not_there_is_refused(ask: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ask()


# -- figures ------------------------------------------------------------------------------------


def by_hand() -> ListLens:
    logits = torch.full((2, 4, 12), -20.0)
    logits[0, :, 11] = logits[1, 0, 7] = logits[1, 1, 11] = logits[1, 2, 10] = 20
    logits[1, 3, 5] = 20
    regions = {"outputs": range(2, 4), "digits": range(2)}
    labels, given = ("in 0", "SEP", "blank 0", "out 0"), ("7", "SEP", "BLANK", "7")
    right = torch.tensor([7, 5])
    return ListLens(
        SortTask(), ("before layer 0", "after MLP 0"), labels, given, (), regions, right, logits
    )


def test_the_map_shows_the_top_token_and_marks_wrong_outputs() -> None:
    outputs, digits = lens_map(by_hand(), ["outputs", "digits"]).data
    assert [list(row) for row in outputs.text] == [["_", "_"], ["S✗", "5"]]
    assert [list(row) for row in digits.text] == [["_", "_"], ["7", "_"]]
    assert outputs.z[1][0] == pytest.approx(1)
    layout = lens_map(by_hand(), ["outputs", "digits"]).layout
    assert layout.xaxis.ticktext == ("blank 0", "out 0: 7")
    assert layout.xaxis2.ticktext == ("in 0: 7", "SEP")


def test_a_position_shows_every_token_and_never_certainty() -> None:
    (cells,) = lens_position(by_hand(), 2).data
    assert list(cells.text[1]) == ["·"] * 10 + [">99 %", "·"]
    assert cells.z[0][11] == pytest.approx(1)


def test_bars_are_the_numbers() -> None:
    found = attribute(written(), 2)
    bars, cells = direct_bars(found, 2, list("abcde")).data
    assert list(bars.y) == ["the margin", *found.parts]
    assert list(bars.x) == [found.total, *found.parts.values()]
    assert len(cells.z) == len(found.heads)
    active = ablate_neurons(written(), 2, 0)
    lost, direct = neuron_bars(active, 2, 4).data
    order = sorted(range(len(active.lost)), key=lambda n: -abs(float(active.lost[n])))[:4]
    assert list(lost.y) == [float(active.lost[n]) for n in order]
    assert list(direct.y) == [float(active.direct[n]) for n in order]
    assert list(lost.x) == [f"neuron {int(active.neurons[n])}" for n in order]


def test_a_record_becomes_a_table() -> None:
    assert flat({"a": [{"b": 1}, 2], "c": None}) == [
        {"what": "a.0.b", "value": 1},
        {"what": "a.1", "value": 2},
        {"what": "c", "value": None},
    ]


# -- the command --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("experiment", "flags", "settings"),
    [
        (lens.EXPERIMENT, ["--show", "all"], lens.LensSettings(show="all")),
        (position.EXPERIMENT, ["--pos", "out 1"], position.PositionSettings(pos="out 1")),
        (direct.EXPERIMENT, ["--output", "1"], direct.DirectSettings(output=1)),
        (neurons.EXPERIMENT, ["--layer", "0"], neurons.NeuronSettings(layer=0)),
    ],
)
def test_the_command_writes_what_the_page_shows(
    experiment: Experiment,
    flags: list[str],
    settings: Any,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["--model", str(folder / "with"), "--list", "3,1,4,1,5", "--do", "zero:0-2"]
    main(experiment, [*flags, *asked, "--json", "--out", str(tmp_path)])
    printed = json.loads(capsys.readouterr().out)
    model = load_bare(folder / "with").model
    subject = ListSubject(model, LIST, Treatment.parse("zero:0-2"))
    seen = experiment.compute(subject, settings)
    assert len(printed["rows"]) == len(seen.rows)
    for mine, theirs in zip(printed["rows"], seen.rows, strict=True):
        assert mine == pytest.approx(dict(theirs), abs=1e-5)
    assert printed["finding"] == list(seen.words)
    name = experiment.name.split(".")[1]
    assert list((tmp_path / "one_list" / name).glob("with-*-31415*/figure.html"))


@pytest.mark.parametrize(
    ("experiment", "flags"),
    [
        (direct.EXPERIMENT, ["--output", "9"]),
        (lens.EXPERIMENT, ["--show", "blanks"]),
        (position.EXPERIMENT, ["--pos", "x"]),
    ],
)
def test_the_command_refuses_what_is_not_there(
    experiment: Experiment, flags: list[str], folder: Path, tmp_path: Path, status: Any
) -> None:
    asked = ["--model", str(folder / "without"), "--list", "3,1", "--out", str(tmp_path)]
    assert status(partial(main, experiment), [*flags, *asked]) == 2


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from analyses.experiment import main\n"
        "from analyses.one_list.neurons import EXPERIMENT\n"
        "try: main(EXPERIMENT, ['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "neurons" in done.stdout
    assert done.stdout.strip().endswith("False")


# -- the page -----------------------------------------------------------------------------------


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))

    def opened(**link: str) -> AppTest:
        return open_page("inside", **{"model": str(folder / "with"), "list": "3,1,4,1,5", **link})

    return opened


def commands(page: AppTest) -> list[str]:
    return [code.value for code in page.code if code.value.startswith("python -m")]


def words(page: AppTest) -> str:
    return "\n".join(code.value for code in page.code)


def chart(page: AppTest, number: int) -> dict[str, Any]:
    return json.loads(page.get("plotly_chart")[number].proto.spec)


def test_the_page_shows_the_numbers_of_the_list_under_the_intervention(
    start: Any, folder: Path
) -> None:
    page = start(do="zero:0-2", output="2", layer="0", pos="out 1")
    model = load_model(folder / "with").model
    done = Treatment.parse("zero:0-2").on_list(model, LIST)
    said = greedy_decode(model, [LIST], interventions=done)
    at_last = chart(page, 1)["data"][0]["z"][-1]
    assert at_last == pytest.approx(said.probabilities[0, 2].tolist(), abs=1e-5)
    first = chart(page, 0)["data"][0]
    tokens = [text.removesuffix("✗") for text in first["text"][-1]]
    names = [
        {"BLANK": "_", "SEP": "S"}.get(n, n) for n in map(SortTask().token_name, said.lists[0])
    ]
    assert tokens == names
    best = said.probabilities[0].max(-1).values.tolist()
    assert first["z"][-1] == pytest.approx(best, abs=1e-5)
    logits = said.probabilities[0, 2].log()
    expected = float(logits[3] - max(logits[t] for t in range(12) if t != 3))
    shown = [float(m) for m in re.findall(r"margin ([-+][\d.]+) logits", words(page))]
    assert shown == pytest.approx([expected, expected], abs=2e-4)  # of the parts, of the neurons
    rows = page.dataframe[0].value
    maimed = copy.deepcopy(model)
    neuron = int(rows["neuron"][0])
    with torch.no_grad():
        maimed.blocks[0].mlp.W_out[neuron] = 0
        tokens_in = write(model, LIST, Treatment.parse("zero:0-2")).tokens
        with intervene(maimed, done):
            left = maimed(tokens_in)[0, ROW]
    target = margin(write(model, LIST, Treatment()), 2, logits[None, None])
    lost = expected - float(left[3] - left[target.other])
    assert rows["lost_when_zeroed"][0] == pytest.approx(lost, abs=1e-3)
    assert abs(rows["lost_when_zeroed"]).is_monotonic_decreasing
    assert "blanks 0\\-2\\: keys and values zero" in "\n".join(m.value for m in page.markdown)


def test_a_link_opens_the_same_view(start: Any) -> None:
    link = {"lens": "all", "pos": "blank 1", "output": "3", "layer": "0", "do": "mean:1"}
    page = start(**link)
    assert link.items() <= address(page).items()
    assert len(chart(page, 0)["data"]) == 3
    again = open_page("inside", **address(page))
    assert [c.value for c in again.code] == [c.value for c in page.code]
    assert chart(again, 3) == chart(page, 3)
    page.radio("inside_show").set_value("blanks").run()
    page.selectbox("inside_pos").set_value("in 4").run()
    page.selectbox("inside_output").set_value("1").run()
    page.radio("layer").set_value(1).run()
    wanted = {"lens": "blanks", "pos": "in 4", "output": "1", "layer": "1"}
    assert wanted.items() <= address(page).items()
    assert [c.split(" --model")[0] for c in commands(page)] == [
        "python -m analyses.one_list.lens --show blanks",
        "python -m analyses.one_list.position --pos 'in 4'",
        "python -m analyses.one_list.direct --output 1",
        "python -m analyses.one_list.neurons --output 1 --layer 1",
    ]


def test_a_link_to_what_is_not_there_shows_what_is(start: Any, folder: Path) -> None:
    model = str(folder / "without")
    page = start(model=model, lens="blanks", pos="![](//e)", output="99", layer="7")
    found = {"lens": "outputs", "pos": "SEP", "output": "0", "layer": "1"}
    assert found.items() <= address(page).items()
    assert "blanks" not in page.radio("inside_show").options
    assert not errors(page)
    assert "This model has no blanks, so there is nothing to probe." in [i.value for i in page.info]
    page.sidebar.text_input("list").set_value("7").run()
    assert not page.exception
    assert len(page.get("plotly_chart")) == 4


def test_a_shorter_list_keeps_the_page(start: Any) -> None:
    page = start(pos="out 3", output="4")
    page.sidebar.text_input("list").set_value("2").run()
    assert {"pos": "blank 3", "output": "0"}.items() <= address(page).items()
    page.sidebar.text_input("list").set_value("2,x").run()
    assert not page.exception
    assert "Waiting for a list" in page.info[0].value
    assert "'x' is not a digit" in errors(page)[0]


def test_a_compiled_sorter_opens(start: Any) -> None:
    page = start(model="compiled:slots", list="3,1,4", output="1")
    assert "  after MLP 0: 0 of 3\n  after attention 1: 3 of 3" in words(page)
    layer, head = max(truth_of("slots").heads)
    assert f"The largest shares: head {layer}.{head}" in words(page)
    assert "that something is **not** there" in captions(page)


def test_the_lens_over_many_lists_starts_by_its_button(start: Any, folder: Path) -> None:
    page = start()
    before = len(page.get("plotly_chart"))
    run_job(page, "run logit_lens")
    assert len(page.get("plotly_chart")) == before + 1
    model = load_bare(folder / "with").model
    said = logit_lens.EXPERIMENT.outcome(logit_lens.compute(model)).words
    assert "\n".join(said) in [code.value for code in page.code]
    assert any(c.startswith("python -m analyses.logit_lens --model") for c in commands(page))
    assert "Seed 0; lists 192" in captions(page)
    assert not [b for b in page.button if b.key == "run logit_lens"]
    assert start().get("plotly_chart")  # and the next visitor finds it there
    assert len(start().get("plotly_chart")) == before + 1
