"""``training.evaluate``: its numbers against the scores they summarise, and its command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from interp.answers.ablation import published_mask
from interp.answers.decode import score
from interp.checkpoints import save_model, shipped_models
from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.task import SortTask
from training import evaluate as command
from training.evaluation import check_decoding, evaluate

TASK = SortTask(max_len=5, n_blanks=4)
SIZES = {"d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 24}


@pytest.fixture(scope="module")
def model() -> SortTransformer:
    return SortTransformer(ModelConfig(task=TASK, **SIZES), seed=3)


@pytest.fixture(scope="module")
def folder(model: SortTransformer, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("evaluate") / "model"
    save_model(path, model)
    return str(path)


@pytest.fixture
def run(status: Callable[..., int]) -> Callable[[list[str]], int]:
    return partial(status, command.main)


def test_rates_are_counts_of_the_scores(model: SortTransformer) -> None:
    result = evaluate(model, 203, seed=1)
    scores = score(model, TASK.held_out(203, 1))
    assert result["exact_match"]["value"] == pytest.approx(int(scores.exact.sum()) / 203)
    assert result["exact_match"]["n"] == result["digit_accuracy"]["n"] == 203
    digits = int(scores.right.sum()) / int(scores.scored.sum())
    assert result["digit_accuracy"]["value"] == pytest.approx(digits)
    assert [rates["exact_match"]["n"] for rates in result["by_length"].values()] == [
        41, 41, 41, 40, 40,
    ]  # fmt: skip
    for length, rates in result["by_length"].items():
        of_length = scores.exact[scores.lengths == int(length)]
        assert rates["exact_match"]["value"] == pytest.approx(float(of_length.float().mean()))


@pytest.mark.parametrize("last_too", [False, True])
def test_a_masked_evaluation_is_that_of_the_mask(model: SortTransformer, last_too: bool) -> None:
    result = evaluate(model, 100, mask_blanks=True, mask_last_blank=last_too)
    scores = score(model, TASK.held_out(100), interventions=published_mask(TASK, last_too))
    digits = int(scores.right.sum()) / int(scores.scored.sum())
    assert result["digit_accuracy"]["value"] == pytest.approx(digits)
    assert ("last blank" in result["masked"]) == last_too


@pytest.mark.parametrize("distinct", [1, 2, 9])
def test_few_distinct_digits(distinct: int) -> None:
    lists = [set(TASK.decode_list(t)) for t in TASK.held_out(400, 0, distinct).tokens]
    assert max(len(digits) for digits in lists) == min(distinct, TASK.max_len)
    assert set.union(*lists) == set(range(10))


def test_json_alone_on_stdout_and_decoding_agrees(
    run: Callable[[list[str]], int], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--model", folder, "--lists", "60", "--json", "--decode"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {"exact_match", "digit_accuracy", "by_length", "model", "seed", "masked"} <= set(result)
    assert set(result["exact_match"]) == {"value", "low", "high", "n"}
    exact = round(result["exact_match"]["value"] * 60)
    assert result["decode"] == {"lists": 60, "exact": exact, "agree": 60}


def test_lists_of_ones_own(
    run: Callable[[list[str]], int],
    folder: str,
    model: SortTransformer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lists = [[3, 1, 4, 1], [5], [9, 2, 6], [5, 3, 5, 8, 9]]
    file = tmp_path / "lists.txt"
    file.write_text("\n".join(" ".join(map(str, values)) for values in lists))
    assert run(["--model", folder, "--lists", str(file), "--json", "--decode"]) == 0
    result, scores = json.loads(capsys.readouterr().out), score(model, TASK.encode(lists))
    digits = int(scores.right.sum()) / int(scores.scored.sum())
    assert result["digit_accuracy"]["value"] == pytest.approx(digits)
    assert list(result["by_length"]) == ["1", "3", "4", "5"]
    assert result["lists"] == str(file) and result["distinct_digits"] is None
    assert result["decode"]["lists"] == result["decode"]["agree"] == 4
    assert run(["--model", folder, "--lists", str(file)]) == 0
    assert f"4 lists, of {file}, masked: nothing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--lists", "0"], "--lists must be at least 1"),
        (["--seed", "-1"], "--seed must be 0 or more"),
        (["--distinct-digits", "11"], "distinct digits must be 1 to 10"),
        (["--mask-row-97"], "give both"),
        (["--model", "nonesuch"], "no model 'nonesuch'"),
        (["--lists", "many"], "--lists: 'many' is neither a number nor a file of lists"),
        (["--lists", __file__], "test_evaluate.py, line 1: "),
        (["--lists", __file__, "--distinct-digits", "2"], "those of a file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    run: Callable[[list[str]], int],
    folder: str,
    flags: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["--model", folder, *flags]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_there_must_be_blanks_to_mask(
    run: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "m", SortTransformer(ModelConfig(task=SortTask(4, 0), **SIZES)))
    assert run(["--model", str(tmp_path / "m"), "--mask-blanks"]) == 2
    assert "no blanks" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["blanks", "no-blanks"])
def test_the_shipped_models_keep_their_promise(name: str) -> None:
    if name not in shipped_models():
        pytest.skip("no shipped weights yet")
    from interp.checkpoints import PRETRAINED, load_model

    loaded = load_model(name)
    recorded = json.loads((PRETRAINED / name / "evaluation.json").read_text())
    assert recorded["model"]["hash"] == loaded.hash
    assert recorded["exact_match"]["value"] >= 0.995
    # A fresh seed, and few enough lists for a test: one mistake in 480 is within the promise.
    assert evaluate(loaded.model, 480, seed=11)["exact_match"]["value"] >= 0.995


def test_decoding_notices_when_the_single_pass_is_wrong(tmp_path, monkeypatch, capsys):
    """It would not, if it were that pass again."""
    from interp.answers import decode

    model = SortTransformer(ModelConfig(task=SortTask(4, 3), **SIZES))
    real = decode.packed_logits

    def always_right(model, tokens, view, dropout=None):  # type: ignore[no-untyped-def]
        targets = model.task.targets(tokens)[:, view.rows]
        return torch.nn.functional.one_hot(targets.clamp(max=11), 12).float() + 0 * real(
            model, tokens, view
        )

    monkeypatch.setattr(decode, "packed_logits", always_right)
    args = command.EvaluateArgs(lists=20)
    found = check_decoding(model, 20, args)
    assert found == {"lists": 20, "exact": 0, "agree": 0}
    assert "disagree on 20 lists" in capsys.readouterr().err
