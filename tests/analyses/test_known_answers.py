"""The scoreboard: right where it must be, wrong only where docs/methods.md says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from analyses import shift_blanks
from analyses.experiment import catalogue
from analyses.experiment.catalogue import reported
from analyses.known_answers import EXPERIMENT, KnownAnswersConfig, asked
from analyses.known_answers.body import KnownAnswers, Row, summary, to_json
from interp.sorters.truth import SORTERS, compiled_for
from interp.support.errors import UserError
from tests.covers import few

METHODS = Path(__file__).parents[2] / "docs" / "methods.md"
MISLEADING = {
    "heads.attention_patterns: attention taken for use: blank i feeds output i": {
        "direct",
        "successor",
    },
    "heads.head_finder: heads by pattern alone": set(SORTERS),
    "logit_lens: sorted[j] is at blank j": {"slots", "histogram", "direct"},
    "probe_blanks: readable taken for use: blanks are read": {"direct"},
}
"""Which answers may be wrong; each question is explained, under its own words, in the document."""


def compute(settings: KnownAnswersConfig = EXPERIMENT.settings) -> KnownAnswers:
    return EXPERIMENT.compute(torch.device("cpu"), settings)


def wrong_in(result: KnownAnswers) -> dict[str, set[str]]:
    """By method, the models about which it is wrong."""
    wrong: dict[str, set[str]] = {}
    for row in result.wrong:
        wrong.setdefault(row.method, set()).add(row.sorter)
    return wrong


def check(result: KnownAnswers) -> None:
    assert wrong_in(result) == MISLEADING
    assert len(result.rows) == sum(len(one.questions) for one in asked()) * len(SORTERS)


ASKED = [one.name for one in asked()]
QUICK = [
    *("ablate_blanks", "attribution", "behaviour", "blank_output_matrix", "logit_lens"),
    *("heads.attention_patterns", "reduce_blanks", "transplant_blanks"),
]
"""Those that take a second or two; every run takes some of the others on one sorter elsewhere."""


@pytest.mark.slow
@pytest.mark.parametrize("method", few(ASKED, *QUICK))
def test_a_method_on_small_sorters(method: str, unchecked: None) -> None:
    result = compute(KnownAnswersConfig(8, only=(method,)))
    misled = {words: about for words, about in MISLEADING.items() if words.startswith(f"{method}:")}
    assert wrong_in(result) == misled
    assert len(result.rows) == len(catalogue.experiment(method).questions) * len(SORTERS)


@pytest.mark.exhaustive  # the same questions as of the small ones
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_method_on_sorters_of_full_size(unchecked: None) -> None:
    check(compute())


BY_PATTERN = "heads.head_finder: heads by pattern alone"
OF_OTHER_TASKS = {
    "reverse": {
        "heads.attention_patterns: attention taken for use: blank i feeds output i": {"mirror"},
        BY_PATTERN: {"relay", "mirror"},
        "logit_lens: sorted[j] is at blank j": {"relay", "mirror"},
    },
    "parity": {BY_PATTERN: {"tally"}},
}
"""As ``MISLEADING``."""


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("task", OF_OTHER_TASKS)
def test_every_method_on_models_of_another_task(task: str, unchecked: None) -> None:
    result = compute(KnownAnswersConfig(8, task=task))
    assert wrong_in(result) == OF_OTHER_TASKS[task]
    assert result.sorters == compiled_for(task)
    assert len(result.rows) == sum(len(one.questions) for one in asked(task)) * len(result.sorters)


def test_what_is_of_sorting_alone_is_not_asked_elsewhere() -> None:
    names = {task: {one.name for one in asked(task)} for task in ("sort", *OF_OTHER_TASKS)}
    of_sorting = {"which_program", "align_program", "one_reader", "probe_blanks"}
    assert names["sort"] - names["reverse"] == of_sorting
    assert names["sort"] - names["parity"] == {*of_sorting, "shift_blanks"}
    with pytest.raises(UserError, match=r"no analysis 'which_program'|which_program"):
        KnownAnswersConfig(8, ("which_program",), "reverse")


def test_every_analysis_is_asked_something() -> None:
    assert asked() == reported()


def test_what_is_wrong_is_explained() -> None:
    text = " ".join(METHODS.read_text().split())
    for method in MISLEADING:
        assert f"`{method}`" in text
    for one in asked():
        assert f"`{one.name}`" in text


@pytest.mark.parametrize(
    ("said", "true", "right"),
    [
        (True, True, True),
        (None, True, False),
        (0.995, 1.0, True),
        (0.98, 1.0, False),
        (None, 1.0, False),
        ([[0, 1]], [[0, 1]], True),
        ([[0, 1]], [[0, 1], [1, 0]], False),
        ("flat", "flat", True),
    ],
)
def test_what_counts_as_right(said: object, true: object, right: bool) -> None:
    assert Row("m", "slots", said, true).right == right


def test_a_method_that_is_wrong_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        shift_blanks.EXPERIMENT.body, "verdicts", lambda result: {"answer": "moves"}
    )
    result = compute(KnownAnswersConfig(5, ("shift_blanks",)))
    assert [row.sorter for row in result.wrong] == ["histogram", "direct", "sink", "successor"]
    assert "WRONG" in summary(result)[1] and summary(result)[-1].startswith("1 of 5")


def test_command(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--max-len", "5", "--only", "shift_blanks", "--out", str(tmp_path), "--json"]
    assert status(EXPERIMENT, flags) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["rows"][0]) == {"method", "sorter", "said", "true", "right"}
    assert printed == json.loads((tmp_path / "known_answers" / "result.json").read_text())
    again = compute(KnownAnswersConfig(5, ("shift_blanks",)))
    assert to_json(again)["rows"] == printed["rows"]
    assert (tmp_path / "known_answers" / "figure.html").is_file()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--max-len", "3"], "--max-len must be at least 4, not 3"),
        (["--task", "match3"], "nothing is compiled by hand for the task 'match3'"),
        (["--max-len", "1000000000"], "--max-len must be at most 128, not 1,000,000,000"),
        (["--only", "astrology"], "no analysis 'astrology'; there are behaviour, ablate_blanks"),
    ],
)
def test_bad_input(
    flags: list[str],
    words: str,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status(EXPERIMENT, flags) == 2
    assert words in capsys.readouterr().err
