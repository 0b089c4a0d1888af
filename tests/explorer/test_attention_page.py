"""The page "Attention", and the two commands that make its figures without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from analyses.experiment import main as run_command
from analyses.heads import head_circuits, head_finder
from analyses.heads.head_circuits import CircuitConfig
from analyses.heads.head_circuits.body import approximation
from analyses.heads.head_finder import HeadConfig
from analyses.one_list import attention as experiment
from analyses.one_list.answers import Answer, Attention, Output, attention_of, decode_list
from analyses.one_list.attention.body import scores, targets
from analyses.one_list.attention.figure import overview
from analyses.one_list.attention.result import head_map, key_span, queries_of
from interp.answers.decode import greedy_decode
from interp.answers.treatment import Treatment
from interp.checkpoints import load_model
from interp.config import ModelConfig
from interp.interventions import intervene
from interp.methods.attention import ANSWER_ROWS, KEYS, ROWS, Target, attention_stats
from interp.methods.circuits import ov_circuit, qk_circuit
from interp.model import SortTransformer
from interp.sorters.compiled import compile_sorter
from interp.support.errors import UserError
from interp.support.progress import SILENT
from interp.task import BLANK, SortTask
from tests.models import small_model
from tests.pages import address, captions, errors, open_page, run_job

NOTHING = Treatment()
main = partial(run_command, experiment.EXPERIMENT)
LIST = (3, 1, 4, 1, 5)


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Open the page with a link, on a server that may open ``folder``."""
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))
    return partial(open_page, "attention")


def drawn(page: AppTest) -> dict[str, Any]:
    """The page's figures by their titles."""
    specs = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    return {spec["layout"]["title"]["text"]: spec for spec in specs}


def cells(spec: dict[str, Any]) -> np.ndarray:
    """The numbers of a heatmap, as the browser gets them."""
    import base64

    z = spec["data"][0]["z"]
    shape = [int(n) for n in z["shape"].split(",")]
    return np.frombuffer(base64.b64decode(z["bdata"]), z["dtype"]).reshape(shape)


def tables(page: AppTest) -> list[Any]:
    return [table.value for table in page.dataframe]


def attend(
    model: Any, digits: tuple[int, ...], treatment: Treatment = NOTHING
) -> tuple[Attention, Answer]:
    """As the page has it: the attention under the treatment, and the answer."""
    done = treatment.on_list(model, digits)
    said = decode_list(model, digits, done).answer
    return attention_of(model, said, done), said


def by_hand(outputs: tuple[int, ...]) -> tuple[Attention, Answer]:
    """The list 3 1 1 before three blanks, and an answer."""
    task = SortTask(max_len=4, n_blanks=3)
    names = ("in 0: 3", "in 1: 1", "in 2: 1", "SEP", "blank 0", "blank 1", "blank 2")
    emitted = tuple("BLANK" if token == BLANK else str(token) for token in outputs)
    given = tuple(f"out {i}: {token}" for i, token in enumerate(emitted[:-1]))
    regions = tuple(task.region_of(p, 3) for p in range(1, 10))
    pattern = np.zeros((1, 1, 9, 9), np.float32)
    right = zip(outputs, (1, 1, 3), strict=True)
    said = Answer((3, 1, 1), tuple(Output(token, e, 1.0, 0, 0.0) for token, e in right))
    return Attention(pattern, (*names, *given), emitted, regions, 1), said


def by_hooks(model: SortTransformer, digits: tuple[int, ...], treatment: Treatment) -> torch.Tensor:
    """The patterns over real positions, through TransformerLens. [layer, head, query, key]"""
    task, done = model.task, treatment.on_list(model, digits)
    outputs = greedy_decode(model, [digits], interventions=done).lists[0]
    tokens = task.encode([digits]).tokens
    for step, token in enumerate(outputs[:-1]):
        tokens[0, task.prompt_len + step] = token
    with intervene(model, done), torch.no_grad():
        _, cache = model.run_with_cache(tokens)
    layers = range(model.cfg.n_layers)
    patterns = torch.stack([cache["pattern", layer][0] for layer in layers])
    real = slice(task.max_len - len(digits), task.prompt_len + len(digits) - 1)
    return patterns[:, :, real, real]


# -- the numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "zero:1-2", "published"])
def test_attention_is_that_of_the_hooked_model_along_its_own_outputs(text: str) -> None:
    model, treatment = small_model(), Treatment.parse(text)
    seen, _ = attend(model, LIST, treatment)
    expected = by_hooks(model, LIST, treatment).numpy()
    np.testing.assert_allclose(seen.pattern, expected, atol=1e-6)


def test_rows_say_what_they_emit_and_columns_go_by_region() -> None:
    seen, _ = by_hand((1, BLANK, 3))
    assert queries_of(seen)[6:] == ["blank 2 → 1", "out 0: 1 → BLANK", "out 1: BLANK → 3"]
    assert queries_of(seen)[:6] == list(seen.labels[:6])
    assert key_span(seen, "digits") == slice(0, 3)
    assert key_span(seen, "blanks") == slice(4, 7)
    assert key_span(seen, "outputs") == slice(7, 9)


def test_targets_of_a_list_by_hand() -> None:
    found = {
        name: [row.nonzero()[0].tolist() for row in mask]
        for name, mask in targets(*by_hand((1, 1, 3)), SortTask(4, 3)).items()
    }
    assert found == {
        "equal digit": [[], [1, 2], [1, 2]],
        "next larger digit": [[], [0], [0]],
        "digit to emit": [[1, 2], [1, 2], [0]],
        "previous position": [[5], [6], [7]],
        "own blank": [[4], [5], [6]],
    }


@pytest.mark.parametrize("name", ["slots", "successor"])
def test_scores_are_those_of_the_statistics_over_many_lists(name: str) -> None:
    model = compile_sorter(name, SortTask(6, 8)).model  # always right: so along the right answer
    stats = attention_stats(model, model.task.encode([LIST, LIST]))
    rows = ROWS.index(ANSWER_ROWS)
    for row, head in zip(scores(*attend(model, LIST), model.task), stats.heads, strict=True):
        expected = {f"on {r.words}": stats.mass[0, *head, rows, i] for i, r in enumerate(KEYS)}
        expected |= {t.value: stats.target_mass[0, *head, i] for i, t in enumerate(Target)}
        expected["entropy, bits"] = stats.entropy[0, *head, rows]
        assert row.pop("head") == f"{head[0]}.{head[1]}"
        assert row == pytest.approx({k: float(v) for k, v in expected.items()}, abs=1e-5)


def test_a_part_of_a_head_and_what_cannot_be_shown() -> None:
    seen, _ = attend(small_model(), LIST)
    shown = head_map(seen, (1, 0), False, "blanks")
    np.testing.assert_array_equal(shown.weights, seen.pattern[1, 0, 9:, 6:10])
    assert shown.keys == ["blank 0", "blank 1", "blank 2", "blank 3"]
    assert shown.queries == queries_of(seen)[9:]
    assert shown.key_edges == [3] and shown.row_edges == [1]  # the last blank, and the outputs
    with pytest.raises(UserError, match=r"no head 1\.2: layers are 0 to 1, heads 0 to 1"):
        head_map(seen, (1, 2), False, "all")
    bare, _ = attend(small_model(task=SortTask(5, 0)), LIST)
    with pytest.raises(UserError, match="there are no blanks to look at"):
        head_map(bare, (0, 0), True, "blanks")


def test_the_overview_holds_every_number_once() -> None:
    seen, _ = attend(small_model(), LIST)
    trace = overview(seen, (0, 1)).data[0]
    at = {(trace.y[i], trace.x[j]): trace.z[i][j] for i, j in np.argwhere(~np.isnan(trace.z))}
    expected = {
        (f"head {h} · {query}", f"layer {layer} · {key}"): seen.pattern[layer, h, q + 9, k]
        for layer, h in np.ndindex(2, 2)
        for q, query in enumerate(seen.row_labels)
        for k, key in enumerate(seen.labels)
    }
    assert at == expected
    assert len(set(trace.x)) == len(trace.x) and len(set(trace.y)) == len(trace.y)


# -- circuits -----------------------------------------------------------------------------------


def circuit(model: SortTransformer, layer: int, head: int, asked: Any) -> Any:
    return head_circuits.compute(model, CircuitConfig(layer, head, asked))


def test_circuits_are_the_librarys_less_what_a_softmax_does_not_see() -> None:
    model = small_model()
    qk = qk_circuit(model, 1)
    found = circuit(model, 1, 1, "ov")
    torch.testing.assert_close(found.values, ov_circuit(model, 1)[1])
    raw = {
        "qk-tokens": qk.tokens[1],
        "qk-token-position": qk.token_to_position[1],
        "qk-position-token": qk.position_to_token[1],
        "qk-positions": qk.positions[1],
    }
    for asked, scores_ in raw.items():
        found = circuit(model, 1, 1, asked)
        assert found.values.shape == (len(found.rows), len(found.columns)) == scores_.shape
        for row, line in enumerate(scores_):
            seen = line[: row + 1] if asked == "qk-positions" else line
            fair = seen[:10] if asked.endswith("tokens") or asked == "qk-position-token" else seen
            shown = found.values[row, : len(seen)]
            torch.testing.assert_close(shown, seen - fair.mean(), atol=1e-5, rtol=1e-4)
            assert found.values[row, len(seen) :].isnan().all()  # nobody looks ahead


@pytest.mark.parametrize(
    "norm, layer, asked, exact",
    [
        ("none", 1, "ov", True),
        ("post", 0, "qk-tokens", True),
        ("post", 0, "ov", False),
        ("post", 1, "qk-tokens", False),
        ("pre", 0, "qk-tokens", False),
    ],
)
def test_it_says_what_is_approximated(norm: Any, layer: int, asked: Any, exact: bool) -> None:
    said = approximation(ModelConfig(norm=norm), CircuitConfig(layer, 0, asked))
    assert ("Exact on that path" in said) == exact
    assert ("division by the standard deviation is left out" in said) != exact
    assert ("layers below" in said) == (layer > 0)


# -- the page -----------------------------------------------------------------------------------


def test_the_page_shows_the_head_and_a_link_opens_it_again(start: Any, folder: Path) -> None:
    link = {"list": "3,1,4,1,5", "layer": "0", "head": "1", "do": "zero:1-2"}
    choices = {"att_rows": "every", "att_keys": "digits", "att_change": "yes"}
    page = start(model=str(folder / "with"), att_circuit="qk-positions", **link, **choices)
    model = load_model(folder / "with").model
    treatment = Treatment.parse("zero:1-2")
    expected = by_hooks(model, LIST, treatment)[0, 1, :, :5].numpy()
    figures = drawn(page)
    np.testing.assert_allclose(cells(figures["Head 0.1"]), expected, atol=1e-6)
    said = decode_list(model, LIST, treatment.on_list(model, LIST)).answer
    as_it_is = attention_of(model, said).pattern[0, 1, :, :5]
    change = cells(figures["Head 0.1: what the intervention changes"])
    np.testing.assert_allclose(change, expected - as_it_is, atol=1e-6)
    qk = circuit(model, 0, 1, "qk-positions").values.numpy()
    np.testing.assert_allclose(cells(figures["Head 0.1: QK circuit"]), qk, atol=1e-5)
    again = start(**address(page))
    assert drawn(again) == figures
    assert address(again) == address(page)


def test_scores_of_the_list_stand_beside_the_overview(start: Any, folder: Path) -> None:
    page = start(model=str(folder / "with"), list="3,1,4,1,5")
    model = load_model(folder / "with").model
    expected = scores(*attend(model, LIST), model.task)
    (table,) = tables(page)
    assert table["head"].tolist() == ["0.0", "0.1", "1.0", "1.1"]
    for row, line in zip(expected, table.to_dict("records"), strict=True):
        assert line == pytest.approx(row, abs=1e-6)
    assert "there is no interval" in captions(page)


def test_choosing_a_head_changes_what_is_enlarged_and_its_weights(start: Any, folder: Path) -> None:
    page = start(model=str(folder / "with"), list="3,1,4,1,5")
    assert {"Every head", "Head 1.0", "Head 1.0: OV circuit"} <= set(drawn(page))
    page.radio("head").set_value(1).run()
    assert {"Head 1.1", "Head 1.1: OV circuit", "Head 1.1: QK circuit"} <= set(drawn(page))
    assert address(page)["head"] == "1"
    seen, _ = attend(load_model(folder / "with").model, LIST)
    np.testing.assert_allclose(cells(drawn(page)["Head 1.1"]), seen.pattern[1, 1, 9:], atol=1e-6)


def test_nonsense_in_the_address_is_put_right(start: Any, folder: Path) -> None:
    nonsense = {"att_rows": "x", "att_keys": "<b>", "att_circuit": "ov", "att_change": "9"}
    page = start(model=str(folder / "with"), list="3,1,4", layer="9", head="77", **nonsense)
    assert {"Every head", "Head 1.0", "Head 1.0: QK circuit"} <= set(drawn(page))
    assert not {"att_rows", "att_keys", "att_circuit", "att_change"} & set(address(page))


def test_a_list_that_cannot_be_read(start: Any, folder: Path) -> None:
    page = start(model=str(folder / "with"), list="3,x")
    assert errors(page) == ["'x' is not a digit from 0 to 9; a list looks like 3,1,4,1,5"]
    assert "Waiting for a list" in page.info[0].value
    assert set(drawn(page)) == {"Head 1.0: OV circuit", "Head 1.0: QK circuit"}  # need no list


def test_a_model_without_blanks(start: Any, folder: Path) -> None:
    page = start(model=str(folder / "without"), list="3,1,4,1,5", att_keys="blanks")
    assert page.radio("attention_keys").options == ["all", "digits", "outputs"]
    assert page.radio("attention_keys").value == "all"
    assert page.radio("attention_change").disabled
    seen, _ = attend(load_model(folder / "without").model, LIST)
    np.testing.assert_allclose(cells(drawn(page)["Head 1.0"]), seen.pattern[1, 0, 5:], atol=1e-6)


def test_one_digit_has_no_outputs_to_look_at(start: Any, folder: Path) -> None:
    page = start(model=str(folder / "with"), list="7")
    assert page.radio("attention_keys").options == ["all", "digits", "blanks"]
    (table,) = tables(page)
    assert table["equal digit"].isna().all()  # the only row has emitted nothing before


def test_a_compiled_sorter_says_which_heads_carry_the_answer(start: Any) -> None:
    page = start(model="compiled:slots", list="3,1,4", layer="1", head="2")
    (table,) = tables(page)
    carriers = table[table["by construction"] == "carries the answer"]["head"].tolist()
    assert carriers == ["0.1", "1.2"]
    row = table[table["head"] == "1.2"].iloc[0]
    assert row["own blank"] == pytest.approx(1.0, abs=1e-6)
    assert "Exact on that path: there is no LayerNorm" in captions(page)


@pytest.mark.slow
def test_the_head_finder_runs_by_a_button_and_is_kept(
    start: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = HeadConfig(lists=12, reference=4, pattern_lists=8)
    body = head_finder.EXPERIMENT.body
    found = body.compute
    runs: list[int] = []

    def counted(model: Any, settings: Any, seed: int, progress: Any) -> Any:
        runs.append(seed)
        return found(model, quick, seed, progress)

    monkeypatch.setattr(body, "compute", counted)
    page = start(model=str(folder / "with"), list="3,1,4")
    assert not runs and len(tables(page)) == 1
    run_job(page, "run heads.head_finder")
    page = start(model=str(folder / "with"), list="5,1,4", att_finder="yes")
    assert runs == [0]  # the next visitor finds it there
    result = found(load_model(folder / "with").model, quick, 0, SILENT)
    for row, line in zip(body.rows(result), tables(page)[1].to_dict("records"), strict=True):
        assert {k: v for k, v in line.items() if v == v} == pytest.approx(row, abs=1e-5)
    effect = result.effect("resample", (0, 1))
    row = body.rows(result)[1]
    ends = ("resample, nats", "resample, low", "resample, high")
    assert [row[name] for name in ends] == [effect.value, effect.low, effect.high]
    assert any(title.startswith("What each head carries") for title in drawn(page))


# -- the commands that the page prints ----------------------------------------------------------


def command_of(page: AppTest, part_of_it: str) -> list[str]:
    import shlex

    (found,) = [code.value for code in page.code if part_of_it in code.value]
    return shlex.split(found)


@pytest.mark.slow
def test_the_printed_commands_give_the_same_numbers(
    start: Any,
    folder: Path,
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    choices = {"att_rows": "every", "att_keys": "digits", "att_change": "yes"}
    page = start(model=str(folder / "with"), list="3,1,4,1,5", layer="0", do="zero:1-2", **choices)
    figures = drawn(page)

    def rows_of(words: str, main: Any) -> np.ndarray:
        argv = [*command_of(page, words)[3:], "--json", "--out", str(tmp_path)]
        assert status(main, argv) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        return np.array([[v for v in row.values() if not isinstance(v, str)] for row in rows])

    change = rows_of("--difference", main)
    shown = cells(figures["Head 0.0: what the intervention changes"])
    np.testing.assert_allclose(change, shown, atol=1e-6)
    ov = rows_of("analyses.heads.head_circuits --model", head_circuits.EXPERIMENT)  # of head 0.0
    np.testing.assert_allclose(ov, cells(figures["Head 0.0: OV circuit"]), atol=1e-6)
    everything = rows_of("one_list.attention --model", main)
    grid = cells(figures["Every head"])
    assert everything[:, 2:].sum() == pytest.approx(float(np.nansum(grid)), abs=1e-4)
    assert len(everything) == 4 * 5  # heads, outputs


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--layer", "1"], "--layer and --head go together"),
        (["--keys", "digits"], "are of one head"),
        (["--layer", "0", "--head", "0", "--difference"], "give an intervention with --do"),
        (["--layer", "0", "--head", "5"], "there is no head 0.5"),
    ],
)
def test_flags_that_make_no_sense(
    flags: list[str],
    message: str,
    folder: Path,
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    unchecked: None,
) -> None:
    where = ["--model", str(folder / "with"), "--list", "314", "--out", str(tmp_path)]
    assert status(main, [*where, *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("flags", [["--layer", "2"], ["--head", "2"]])
def test_a_head_that_is_not_there(
    flags: list[str],
    folder: Path,
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = ["--model", str(folder / "with"), "--out", str(tmp_path)]
    assert status(head_circuits.EXPERIMENT, [*where, *flags]) == 2
    assert "there is no" in capsys.readouterr().err
