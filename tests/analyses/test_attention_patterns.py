"""Attention patterns: who looks for what in known algorithms, words, figure, JSON, command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from analyses.heads.attention_patterns import EXPERIMENT, PatternConfig, compute
from analyses.heads.attention_patterns.body import figure, summary, to_json, verdicts
from analyses.heads.attention_patterns.result import BEST, PatternResult
from interp.checkpoints import save_model
from interp.methods.attention import Target
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS
from interp.task import SortTask
from tests.models import small_model

SMALL = SortTask(max_len=6, n_blanks=7)
OWN_BLANK = {
    "slots": [[1, 2]],  # which copies from there
    "histogram": [],
    "direct": [[1, 2]],  # a decoy with the same pattern
    "sink": [],
    "successor": [[1, 0]],  # another
}
PREVIOUS = {
    "slots": [[0, 2], [1, 0]],
    "histogram": [[0, 0], [1, 2]],
    "direct": [[0, 1], [1, 1]],
    "sink": [[0, 2], [1, 0]],
    "successor": [[0, 1], [1, 1]],
}


@pytest.fixture(scope="module")
def slots() -> PatternResult:
    return compute(compile_sorter("slots", SMALL).model, PatternConfig(lists=32))


@pytest.mark.parametrize("name", SORTERS)
def test_who_looks_at_its_own_blank_and_who_at_the_position_before(name: str) -> None:
    found = verdicts(compute(compile_sorter(name, SMALL).model, PatternConfig(lists=32)))
    assert found[Target.OWN_BLANK] == OWN_BLANK[name]
    assert found[Target.PREVIOUS] == PREVIOUS[name]


def test_the_table_of_the_copying_head(slots: PatternResult) -> None:
    row = slots.table[slots.stats.heads.index((1, 2))]
    wanted = {"on digits": 0, "on blanks": 1, "on outputs": 0, "entropy, bits": 0, BEST: 1}
    for name, value in wanted.items():
        estimate = row[name]
        assert estimate is not None and estimate.n == 32
        assert estimate.value == pytest.approx(value, abs=1e-4), name
    assert slots.stats.best_offset(1, 2) == 6  # n_blanks - 1


def test_words_say_where_and_that_it_does_not_show_use(slots: PatternResult) -> None:
    lines = summary(slots)
    assert lines[0].startswith("32 lists of 6 digits")
    assert len(lines) == 2 + len(slots.stats.heads)
    assert "best offset 6 back, 100 % [100, 100]" in lines[6]  # head 1.2
    assert "1.2 for the own blank" in lines[-1] and "see heads.head_finder" in lines[-1]


def test_circuits_come_with_their_tokens(slots: PatternResult) -> None:
    data = json.loads(json.dumps(to_json(slots), allow_nan=False))
    assert data["tokens"] == SortTask().token_labels
    equal = torch.tensor(data["heads"][0]["qk_tokens"])  # 0.0 looks for equal digits
    assert equal[:10, :10].argmax(1).tolist() == list(range(10))
    assert data["heads"][0]["copying"] is None  # it writes nothing
    assert data["looks_for"]["own blank"] == [[1, 2]]
    assert data["heads"][5]["mass"]["answer rows"]["blanks"]["value"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("task", "norm", "n_layers"),
    [
        (SortTask(1, 0), "pre", 1),
        (SortTask(1, 1), "post", 2),
        (SortTask(3, 0, pos_offset=4), "none", 3),
        (SortTask(5, 2), "pre", 2),
    ],
)
def test_any_model(task: SortTask, norm: str, n_layers: int) -> None:
    model = small_model(norm, n_layers, task)
    first, again = (compute(model, PatternConfig(lists=4), seed=2) for _ in range(2))
    data = json.dumps(to_json(first), allow_nan=False)
    assert data == json.dumps(to_json(again), allow_nan=False)  # the same seed: the same bits
    assert first.stats.length == task.max_len
    assert len(figure(first).data) == 1 + 3 * 2 * n_layers  # the table, three panels for each head
    assert f"lists of {task.max_len} digits" in summary(first)[-1]


def test_command_on_a_model_without_blanks(
    status: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "model", small_model(task=SortTask(4, 0)))
    flags = ["--model", str(tmp_path / "model"), "--out", str(tmp_path / "out"), "--lists", "3"]
    assert status(EXPERIMENT, [*flags, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    (folder,) = (tmp_path / "out" / "heads" / "attention_patterns").iterdir()
    assert printed == json.loads((folder / "result.json").read_text())
    assert printed["length"] == 4 and "blanks" not in printed["heads"][0]["mass"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--lists", "1"], "--lists must be at least 2, not 1"),
        (["--length", "0"], "--length must be at least 1"),
        (["--looks", "1"], "--looks must be from 0 to below 1"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    status: Callable[..., int], flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(EXPERIMENT, flags) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
