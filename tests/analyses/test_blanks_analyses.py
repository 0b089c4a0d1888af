"""The analyses of blanks on sorters whose algorithm is known, and on any model at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from analyses import ablate_blanks, blank_output_matrix, shift_blanks, transplant_blanks
from analyses.ablate_blanks import AblateConfig
from analyses.ablate_blanks import body as ablate_blanks_body
from analyses.blank_output_matrix import MatrixConfig
from analyses.blank_output_matrix import body as blank_output_matrix_body
from analyses.shift_blanks import ShiftConfig
from analyses.shift_blanks import body as shift_blanks_body
from analyses.transplant_blanks import TransplantConfig
from analyses.transplant_blanks import body as transplant_blanks_body
from interp.answers.trials import Trials
from interp.checkpoints import save_model
from interp.model import SortTransformer
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS, truth_of
from interp.task import SortTask
from tests.checks import without_checks
from tests.covers import crossed, few
from tests.models import small_model

TASK = SortTask(8, 9)
CASES: dict[Any, Any] = {
    ablate_blanks: AblateConfig(16, 12),
    transplant_blanks: TransplantConfig(32),
    blank_output_matrix: MatrixConfig(24, 8),
    shift_blanks: ShiftConfig(32, 2),
}


@pytest.fixture(scope="module")
def results() -> dict[tuple[str, str], Any]:
    """Every analysis on every compiled sorter."""
    with without_checks():
        return results_of_sorters()


def results_of_sorters() -> dict[tuple[str, str], Any]:
    return {
        (module.EXPERIMENT.name, name): module.compute(compile_sorter(name, TASK).model, config)
        for module, config in CASES.items()
        for name in SORTERS
    }


@pytest.mark.parametrize("name", few(SORTERS, "slots", "sink"))
def test_ablation_tells_presence_from_content(results: dict[Any, Any], name: str) -> None:
    truth, result = truth_of(name, TASK), results["ablate_blanks", name]
    said = ablate_blanks_body.verdicts(result)
    assert said["mask"] == truth.blanks_needed
    assert said["resample"] == said["mean"] == truth.blanks_content
    assert said["mask, weights kept"] == truth.blanks_content
    # Where nothing is needed of the blanks, the control shows that ablation can hurt at all.
    if not truth.blanks_needed:
        assert result.exact("mask", "all").value == 1
        assert result.exact("mask", "control").value < 0.5


def test_the_finding_tells_no_use_of_contents_from_a_little() -> None:
    """The same answers but for those under another list's blanks: 100, 66 and 10 of 100 lists."""
    found = {}
    for exact in (100, 66, 10):
        answers = torch.zeros(100, 1, dtype=torch.long)
        names = ("as it is", "mask: all", "mask, weights kept: all", "resample: all")
        predicted = torch.ones(4, 100, 1, dtype=torch.long)
        predicted[0], predicted[3, :exact] = 0, 0
        trials = Trials(
            TASK,
            names,
            torch.ones(100, dtype=torch.long),
            answers,
            predicted,
            torch.zeros(4, 100, 1),
            0,
        )
        kinds = ("mask", "mask, weights kept", "resample")
        result = ablate_blanks_body.AblateResult(trials, trials, trials, kinds, 1, (1,))
        found[exact] = ablate_blanks_body._finding(result)
    assert "and not what is special to a list" in found[100]
    assert "and only in part what is special to a list" in found[66]
    assert found[10].startswith("The answer needs what is in the blanks")


@pytest.mark.parametrize("name", SORTERS)
def test_transplants_follow_the_donor_where_the_content_is_read(
    results: dict[Any, Any], name: str
) -> None:
    truth, result = truth_of(name, TASK), results["transplant_blanks", name]
    said = transplant_blanks_body.verdicts(result)
    assert said["blanks"] == float(truth.blanks_content)
    assert said["digits"] == float(truth.digits_content)
    assert (said["prefix"] > 0) == truth.prefix_used
    assert result.self_change == 0
    values, keys = (result.rate(f"{part} of the blanks").value for part in ("values", "keys"))
    assert values == float(truth.blanks_content) and keys == 0  # keys hold places only


@pytest.mark.parametrize("name", SORTERS)
def test_the_matrix_is_diagonal_flat_or_empty(results: dict[Any, Any], name: str) -> None:
    result = results["blank_output_matrix", name]
    assert blank_output_matrix_body.verdicts(result)["matrix"] == truth_of(name, TASK).blank_output
    if name == "slots":
        assert result.offset == 0
        expected = torch.eye(9)[:, :8]
        torch.testing.assert_close(result.mean, expected, atol=1e-4, rtol=0)
    if name == "histogram":  # every blank counts for one in nine
        rows = result.mean - result.mean[:1]
        torch.testing.assert_close(rows, torch.zeros_like(rows), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", SORTERS)
def test_only_slots_moves_with_its_values(results: dict[Any, Any], name: str) -> None:
    result = results["shift_blanks", name]
    expected = "moves" if truth_of(name, TASK).blank_output == "diagonal" else "stays"
    assert shift_blanks_body.verdicts(result) == {"answer": expected}
    for condition in result.names:  # all the way, in every rearrangement
        rate = result.rate(condition, expected)
        assert rate is None or rate.value == 1


def test_a_rearrangement_of_a_known_answer() -> None:
    """Shift by +1: blank i is given what blank i - 1 held."""
    sources = shift_blanks_body.rearrangements(4, 2, seed=0)
    assert sources["shift +1"].tolist() == [0, 0, 1, 2]
    assert sources["shift -2"].tolist() == [2, 3, 2, 3]
    assert sorted(sources["permuted"].tolist()) == [0, 1, 2, 3]


def test_whose_answer_is_followed() -> None:
    ours, theirs = torch.tensor([[1, 2, 3, 12]]), torch.tensor([[1, 5, 6, 12]])
    predicted = torch.tensor([[[1, 2, 3, 12]], [[5, 5, 0, 12]]])
    assert transplant_blanks_body._follows(predicted, ours, theirs).tolist() == [
        [[-1, 0, 0, -1]],
        [[-1, 1, 2, -1]],
    ]


@pytest.mark.parametrize(
    ("follow", "follow_alone", "words"),
    [
        (90, 40, "The answer is read from the blanks"),
        (40, 0, "The blanks' content matters in part"),
        (40, 42, "The model is often wrong, and no more so with another list's blanks"),
        (5, 0, "The answer does not come from what is in the blanks"),
    ],
)
def test_what_a_model_gets_wrong_by_itself_is_not_laid_on_the_blanks(
    follow: int, follow_alone: int, words: str
) -> None:
    """Of 100 pairs of lists, an output each, so many say what the other list has there."""
    follows = torch.zeros(2, 100, 1, dtype=torch.long)
    follows[0, :follow_alone], follows[1, :follow] = 1, 1
    names, lengths = ("nothing", "blanks"), torch.ones(100, dtype=torch.long)
    result = transplant_blanks_body.TransplantResult(names, lengths, follows, 0.0, 0)
    assert transplant_blanks_body._finding(result).startswith(words)


LISTS = {
    ablate_blanks: lambda result: result.together.answers,
    transplant_blanks: lambda result: result.follows,
    blank_output_matrix: lambda result: result.effects.nan_to_num(9.0),
    shift_blanks: lambda result: result.counted,
}


def as_text(module: Any, result: Any) -> str:
    return json.dumps(module.EXPERIMENT.outcome(result).json)


@pytest.mark.parametrize("module", CASES, ids=lambda module: module.EXPERIMENT.name)
def test_same_seed_same_bits_and_another_seed_other_lists(module: Any) -> None:
    model, config = small_model(task=SortTask(5, 3)), CASES[module]
    first, again, other = (module.compute(model, config, seed) for seed in (1, 1, 2))
    assert as_text(module, first) == as_text(module, again)
    assert torch.equal(LISTS[module](first), LISTS[module](again))
    assert not torch.equal(LISTS[module](first), LISTS[module](other))


TASKS = {"one digit": (1, 1), "a blank more": (1, 2), "one blank": (3, 1), "few blanks": (9, 4)}
NORMS_AND_LAYERS = list(product(("pre", "post", "none"), (1, 3)))


@pytest.mark.parametrize(("task", "sizes"), crossed(list(TASKS), NORMS_AND_LAYERS, every=4))
def test_any_model_with_blanks_can_be_analysed(task: str, sizes: tuple[str, int]) -> None:
    """Untrained ones, too: every number is finite or absent, and there are words and a figure."""
    model = small_model(*sizes, SortTask(*TASKS[task]))
    for module, config in CASES.items():
        result = module.compute(model, config)
        outcome = module.EXPERIMENT.outcome(result)
        json.dumps([outcome.json, outcome.rows], allow_nan=False)
        assert outcome.words[-1].endswith((".", ")."))
        outcome.figure.to_json()


@pytest.mark.parametrize("module", CASES, ids=lambda module: module.EXPERIMENT.name)
def test_commands(
    module: Any,
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = small_model(task=SortTask(4, 3))
    save_model(tmp_path / "model", model)
    save_model(tmp_path / "bare", small_model(task=SortTask(4, 0)))
    flags = ["--out", str(tmp_path / "out"), "--json"]
    sizes = {"ablate_blanks": ["--lists", "8", "--lists-each", "4"]}
    flags += sizes.get(module.EXPERIMENT.name, [])
    assert status(module.EXPERIMENT, ["--model", str(tmp_path / "model"), *flags]) == 0
    printed = json.loads(capsys.readouterr().out)
    (folder,) = (tmp_path / "out" / module.EXPERIMENT.name).iterdir()
    assert json.loads((folder / "result.json").read_text()) == printed
    assert printed["finding"] and (folder / "figure.html").is_file()
    assert status(module.EXPERIMENT, ["--model", str(tmp_path / "bare"), *flags]) == 2
    error = capsys.readouterr().err
    assert "has no blanks" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "flags", "words"),
    [
        (ablate_blanks, ["--lists", "0"], "--lists must be at least 1, not 0"),
        (transplant_blanks, ["--pairs", "0"], "--pairs must be at least 1"),
        (blank_output_matrix, ["--length", "0"], "--length must be at least 1"),
        (shift_blanks, ["--most", "0"], "--most must be at least 1"),
        (shift_blanks, ["--seed", "-1"], "--seed must be 0 or more"),
        (shift_blanks, ["--model", "compiled:bubble"], "no compiled sorter 'bubble'"),
    ],
)
def test_bad_input(
    module: Any,
    flags: list[str],
    words: str,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status(module.EXPERIMENT, flags) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_from_python_as_from_the_command_line(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    model: SortTransformer = small_model(task=SortTask(4, 3))
    save_model(tmp_path / "model", model)
    flags = ["--model", str(tmp_path / "model"), "--out", str(tmp_path), "--json", "--seed", "3"]
    assert status(transplant_blanks.EXPERIMENT, [*flags, "--pairs", "12"]) == 0
    printed = json.loads(capsys.readouterr().out)
    result = transplant_blanks.compute(model, TransplantConfig(12), 3)
    assert json.loads(json.dumps(transplant_blanks_body.to_json(result))).items() <= printed.items()
