"""What a model does: sorters that never fail, one that fails as we know, calibration by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from analyses.behaviour import EXPERIMENT, BehaviourConfig, compute
from analyses.behaviour.body import figure, summary, to_json, verdicts
from analyses.behaviour.figure import text, what_is_wrong
from analyses.behaviour.result import BehaviourResult, source_names
from interp.answers.behaviour import (
    WeighedAnswers,
    answer,
    calibration,
    mistake,
    mistakes,
    offsets,
)
from interp.answers.decode import score
from interp.checkpoints import save_model
from interp.model import SortTransformer
from interp.rules import SORT_20
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS
from interp.support.errors import UserError
from interp.task import PAD, SortTask
from tests.models import TASK, small_model

SMALL = SortTask(5, 7)
RANDOM, FEWER = source_names(SMALL)
FEW = BehaviourConfig(lists=60, lists_each=10, listed=4, decoded=20)


def confused() -> SortTransformer:
    """Sorts by itself, and then says 8 for 7 and 7 for 8."""
    model = compile_sorter("direct", SMALL).model
    with torch.no_grad():
        model.unembed.W_U[:, [7, 8]] = model.unembed.W_U[:, [8, 7]].clone()
        model.unembed.b_U[[7, 8]] = model.unembed.b_U[[8, 7]].clone()
    return model


@pytest.fixture(scope="module")
def result() -> BehaviourResult:
    return compute(confused(), BehaviourConfig(lists=300, lists_each=40, listed=4, decoded=20))


# -- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_answers_are_those_of_the_model(norm: str) -> None:
    model, batch = small_model(norm), TASK.held_out(50)
    found = answer(model, batch)
    with torch.no_grad():
        probabilities = model(batch.tokens).softmax(-1)
    for i, length in enumerate(batch.lengths.tolist()):
        rows = list(TASK.output_rows(length))
        top = probabilities[i, rows].max(-1)
        assert found.predicted[i, :length].tolist() == top.indices.tolist()
        torch.testing.assert_close(found.probability[i, :length], top.values)
        assert found.wanted[i, :length].tolist() == sorted(TASK.decode_list(batch.tokens[i]))
        assert not found.scored[i, length:].any() and not found.right[i, length:].any()
    assert torch.equal(found.exact, score(model, batch).exact)


def test_the_commonest_digit_is_counted() -> None:
    batch = TASK.encode([[3], [1, 2, 1], [5, 5, 5, 5, 0, 0]])
    assert answer(small_model(), batch).copies.tolist() == [1, 2, 4]


def test_a_sorter_that_says_8_for_7() -> None:
    lists = [[7, 1, 7], [8, 7], [1, 2, 3], [9, 9, 8, 0]]
    model = confused()
    found = answer(model, SMALL.encode(lists))
    assert found.exact.tolist() == [False, False, True, False]
    assert found.first_error.tolist() == [1, 0, 3, 1]
    assert offsets(found).tolist() == [
        [0, 1, 1, 0, 0],
        [1, -1, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, -1, 0, 0, 0],
    ]
    made = {one.digits: one for one in mistakes(model, found, most=10)}
    assert set(made) == {(7, 1, 7), (8, 7), (9, 9, 8, 0)}
    assert made[7, 1, 7].answer == (1, 8, 8) and made[7, 1, 7].wrong == (1, 2)
    assert made[7, 1, 7].missing == (7, 7) and made[7, 1, 7].extra == (8, 8)
    assert made[8, 7].answer == (8, 7) and made[8, 7].keeps_digits and not made[8, 7].in_order(TASK)


@pytest.mark.parametrize(
    ("told", "wrong", "missing", "extra", "in_order"),
    [
        ((1, 1, 1), (2,), (3,), (1,), True),
        ((1, 3, 1), (1, 2), (), (), False),
        ((11, 10, 3), (0, 1), (1, 1), (10, 11), False),
        ((3, 3, 3), (0, 1), (1, 1), (3, 3), True),
    ],
)
def test_what_is_wrong_with_an_answer_to_3_1_1(
    told: tuple[int, ...],
    wrong: tuple[int, ...],
    missing: tuple[int, ...],
    extra: tuple[int, ...],
    in_order: bool,
) -> None:
    one = mistake(SortTask(), (3, 1, 1), told)
    assert (one.wrong, one.missing, one.extra) == (wrong, missing, extra)
    assert one.in_order(SortTask()) == in_order and one.keeps_digits == (not missing and not extra)


def test_outputs_that_are_no_digits() -> None:
    found = by_hand([[(11, 0.5, False)]])
    assert offsets(found).tolist() == [[10]]
    one = mistake(SortTask(), (3, 1, 1), (11, 1, 1))
    assert text(TASK, one.answer) == "-11"
    assert what_is_wrong(TASK, one) == "wrong at 0, 2, missing 3, too many -"


def test_numbers_of_two_figures_stand_apart() -> None:
    """12 3 and 1 23 were both written 123."""
    task = SortTask(5, 7, rule=SORT_20)
    assert text(task, (12, 3, task.sep)) == "12 3 -"


def test_greedy_decoding_first_goes_wrong_where_teacher_forcing_does() -> None:
    model = small_model()
    found = answer(model, TASK.held_out(40))
    made = mistakes(model, found, most=1000)
    wrong = {
        TASK.decode_list(t): int(e) for t, e in zip(found.tokens, found.first_error, strict=True)
    }
    assert len(made) == int((~found.exact).sum()) > 20
    for one in made:
        assert one.wrong[0] == wrong[one.digits]


def test_of_many_mistakes_all_lengths_are_decoded() -> None:
    model = small_model()
    found = answer(model, TASK.held_out(120))
    made = mistakes(model, found, most=12)
    assert len(made) == 12 and {len(one.digits) for one in made} >= {2, 3, 4, 5, 6}


# -- calibration ---------------------------------------------------------------------------------


def by_hand(outputs: list[list[tuple[int, float, bool]]]) -> WeighedAnswers:
    """Lists of (told, probability, whether that is right), of one output or several."""
    longest = max(map(len, outputs))
    shape = (len(outputs), longest)
    wanted, told = torch.full(shape, PAD), torch.full(shape, PAD)
    sure = torch.zeros(shape)
    for i, row in enumerate(outputs):
        for j, (token, probability, right) in enumerate(row):
            told[i, j], sure[i, j] = token, probability
            wanted[i, j] = token if right else (token + 1) % 10
    lengths = torch.tensor([len(row) for row in outputs])
    tokens = torch.zeros(len(outputs), TASK.n_ctx, dtype=torch.long)
    return WeighedAnswers(
        task=TASK, tokens=tokens, lengths=lengths, wanted=wanted, predicted=told, probability=sure
    )


def test_calibration_by_hand() -> None:
    """Said 75 % and right in 3 of 5, said 98 % and right in 5 of 5: (5 x .15 + 5 x .02) / 10."""
    unsure = [[(1, 0.75, k < 3)] for k in range(5)]
    found = calibration(by_hand(unsure + [[(2, 0.98, True)]] * 5))
    low, high = found.bins
    assert (low.low, low.high, low.n_outputs) == (0.7, 0.8, 5)
    assert low.accuracy.value == pytest.approx(0.6) and low.confidence == pytest.approx(0.75)
    assert (high.low, high.high) == (0.95, 0.99) and high.accuracy.value == 1.0
    assert found.error.value == pytest.approx(0.085, abs=1e-6)
    assert found.error.low < 0.085 < found.error.high and found.error.n == 10


def test_outputs_count_alike_and_lists_are_resampled() -> None:
    """Nine right outputs of one list and a wrong one of another: the gap is of outputs."""
    found = calibration(by_hand([[(1, 1.0, True)] * 9, [(1, 1.0, False)]]))
    assert found.error.value == pytest.approx(0.1)
    assert found.error.high == pytest.approx(1.0) and found.error.low == 0.0  # either list alone
    (only,) = found.bins
    assert only.accuracy.n == 2 and only.n_outputs == 10


def test_the_ends_of_bins() -> None:
    found = calibration(by_hand([[(1, p, True)] for p in (0.3, 0.5, 0.51, 0.999, 1.0)]))
    assert [(b.low, b.high, b.n_outputs) for b in found.bins] == [
        (0.0, 0.5, 2),
        (0.5, 0.6, 1),
        (0.99, 0.999, 1),
        (0.999, 1.0, 1),
    ]


def test_answers_as_often_right_as_said_are_calibrated() -> None:
    generator = torch.Generator().manual_seed(0)
    said = 0.5 + 0.5 * torch.rand(4000, generator=generator)
    right = torch.rand(4000, generator=generator) < said
    pairs = zip(said.tolist(), right.tolist(), strict=True)
    error = calibration(by_hand([[(1, p, r)] for p, r in pairs])).error
    assert error.value < 0.02 and error.high < 0.04


# -- the analysis --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SORTERS)
def test_compiled_sorters_are_always_right(name: str) -> None:
    found = compute(compile_sorter(name, SMALL).model, FEW)
    assert verdicts(found) == {"exact": 1.0, "exact_few_digits": 1.0, "shortest_wrong": None}
    assert all(rate.value == 1 for rate in (*found.by_length.values(), *found.by_output))
    assert not any(found.mistakes.values()) and not any(found.by_offset.values())
    assert summary(found)[-1].startswith("Every one of 60 held-out lists is sorted")
    drawn = figure(found)
    assert sum("no mistakes" in (note.text or "") for note in drawn.layout.annotations) == 3


def test_rates_of_the_confused_sorter(result: BehaviourResult) -> None:
    lists = [SMALL.decode_list(tokens) for tokens in SMALL.held_out(300, 0).tokens]
    fine = [not {7, 8} & set(values) for values in lists]
    assert result.exact.value == pytest.approx(sum(fine) / 300)
    for length, rate in result.by_length.items():
        mine = [ok for ok, values in zip(fine, lists, strict=True) if len(values) == length]
        assert rate.n == len(mine) == 60 and rate.value == pytest.approx(sum(mine) / 60)
    outputs = [min(values) not in (7, 8) for values in lists]
    assert result.by_output[0].value == pytest.approx(sum(outputs) / 300)
    assert [rate.n for rate in result.by_output] == [300, 240, 180, 120, 60]
    assert set(result.by_offset[RANDOM]) == {1, -1}
    assert sum(rate.value for rate in result.by_offset[RANDOM].values()) == pytest.approx(1)


def test_repeats_and_distinct_digits(result: BehaviourResult) -> None:
    assert sum(rate.n for rate in result.by_copies.values()) == 300
    single = [len(set(SMALL.decode_list(t))) for t in result.by_distinct[1].tokens]
    assert set(single) == {1}
    rate = result.distinct_rates[1]
    assert rate.n == 40 and 0.6 < rate.value < 1  # a list of 7s or 8s is one in five
    assert result.distinct_rates[10] == result.exact


def test_words_and_json(result: BehaviourResult) -> None:
    data = json.loads(json.dumps(to_json(result), allow_nan=False))
    assert data["exact_match"]["value"] == result.exact.value == data["exact"]
    assert data["by_length"]["5"]["n"] == 60
    assert set(data["wrong_by"][RANDOM]) == {"+1", "-1"}
    assert len(data["first_error"][RANDOM]) == data["lists_wrong"][RANDOM] > 20
    assert len(data["mistakes"][RANDOM]) == len(data["mistakes"][FEWER]) == 20
    lines = summary(result)
    assert len([line for line in lines if " -> " in line]) == 4
    assert lines[-1].startswith(f"{result.exact.percent()} of held-out lists are sorted")
    assert f"n = {result.exact.n}" in lines[-1]


def test_figure(result: BehaviourResult) -> None:
    drawn = figure(result)
    by_length = drawn.data[0]
    assert list(by_length.x) == [1, 2, 3, 4, 5]
    assert by_length.y[4] == pytest.approx(100 * result.by_length[5].value)
    table = drawn.data[-1]
    assert len(table.cells.values[0]) == 4 and table.cells.values[0][0] == text(
        TASK, result.shown[0].digits
    )


def test_same_seed_same_bits() -> None:
    one, two, other = (to_json(compute(confused(), FEW, seed)) for seed in (3, 3, 4))
    assert one == two and one != other


@pytest.mark.parametrize(
    ("task", "n_layers", "norm"),
    [
        (SortTask(1, 0), 1, "pre"),
        (SortTask(6, 0), 2, "post"),
        (SortTask(3, 9), 3, "none"),
        (SortTask(4, 0, pos_offset=5), 2, "pre"),
    ],
)
def test_any_model(task: SortTask, n_layers: int, norm: str) -> None:
    found = compute(small_model(norm, n_layers, task), FEW)
    json.dumps(to_json(found), allow_nan=False)
    assert figure(found).data and summary(found)


def test_command(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "m", small_model())
    flags = ["--lists", "60", "--lists-each", "10", "--listed", "4", "--decoded", "20", "--json"]
    flags += ["--model", str(tmp_path / "m"), "--out", str(tmp_path / "out")]
    assert status(EXPERIMENT, flags) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = json.loads(json.dumps(to_json(compute(small_model(), FEW))))
    assert {key: printed[key] for key in expected} == expected
    (folder,) = (tmp_path / "out" / "behaviour").iterdir()
    assert {f.name for f in folder.iterdir()} == {"figure.html", "result.json", "manifest.json"}


@pytest.mark.parametrize("field", ["lists", "lists_each", "listed", "decoded"])
def test_sizes_are_at_least_1(field: str) -> None:
    with pytest.raises(UserError, match=f"--{field.replace('_', '-')} must be at least 1, not 0"):
        BehaviourConfig(**{field: 0})


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from analyses.experiment import main\n"
        "from analyses.behaviour import EXPERIMENT\n"
        "try:\n    main(EXPERIMENT, ['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'plotly'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
