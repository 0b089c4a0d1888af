"""The analysis of probes: the truth about compiled sorters, words, JSON, figure, command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from analyses.probe_blanks import EXPERIMENT, ProbeConfig, compute
from analyses.probe_blanks.body import (
    NO_USE,
    ProbeResult,
    figure,
    quick_verdicts,
    summary,
    to_json,
    verdicts,
)
from interp.checkpoints import save_model
from interp.config import ModelConfig
from interp.methods.probes import Kind
from interp.model import SortTransformer
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS
from interp.support.errors import UserError
from interp.task import SortTask
from tests.covers import few
from tests.models import TASK, small_model

SMALL = SortTask(8, 9)  # of still shorter lists, too much can be read from an untrained twin
FEW = ProbeConfig(lists_any_length=200, lists_one_length=100, blanks=2)


@cache
def probed(sorter: str) -> ProbeResult:
    """Of as many lists as by default: from an untrained twin nearly as much can be read."""
    return compute(compile_sorter(sorter, SMALL).model, ProbeConfig(blanks=4))


@pytest.fixture(scope="module")
def result() -> ProbeResult:
    return compute(small_model(), FEW)


@pytest.mark.parametrize("name", few(SORTERS, "slots", "direct"))
def test_what_is_readable_is_what_is_decodable(name: str) -> None:
    truth = compile_sorter(name, SMALL).truth
    said = verdicts(probed(name))
    assert {what for what in ("sorted", "counts") if said[what]} == truth.decodable
    assert said["length"] == ("counts" in truth.decodable)  # C(<=9)


def test_a_copy_that_nothing_reads_is_readable_and_the_words_say_so() -> None:
    used, unused = (probed(name) for name in ("slots", "direct"))
    assert not compile_sorter("direct", SMALL).truth.blanks_content
    for found in (used, unused):
        assert found.any_length.score("sorted", Kind.TRAINED, found.site).value > 0.99
        assert "sorted[j] can be read from the blanks" in summary(found)[-1]
        assert summary(found)[-1].endswith(NO_USE)


@pytest.mark.parametrize("name", few(["sink", "successor"], "sink"))
def test_identical_blanks_tell_nothing(name: str) -> None:
    found = probed(name)
    assert found.any_length.skill("counts", found.site).high < 0.05
    assert "cannot be read from the blanks any better" in summary(found)[-1]


def test_an_untrained_model_that_is_its_own_twin_is_credited_with_nothing() -> None:
    """However much can be read from it."""
    model = SortTransformer(ModelConfig(task=SMALL, d_model=32, n_heads=2, d_head=16, d_mlp=64), 0)
    found = compute(model, FEW, seed=0)
    assert found.any_length.skill("counts", found.site).low > 0.5
    assert found.any_length.beyond("counts", Kind.UNTRAINED, found.site).high == 0.0
    assert not any(verdicts(found).values())
    assert "no better than without training" in summary(found)[-1]


def test_json_and_words(result: ProbeResult) -> None:
    data = json.loads(json.dumps(to_json(result), allow_nan=False))
    assert set(data["sets"]) == {"any length", "6 digits"}
    mixed = data["sets"]["any length"]
    assert mixed["blanks"] == [0, 2] and set(mixed["by_blank"]["sorted"]) == {"0", "2"}
    at = mixed["by_site"]["sorted"][result.site.hook_name]
    ours, theirs = (at["scores"][kind]["value"] for kind in ("the model", "control task"))
    assert at["selectivity"]["value"] == pytest.approx(ours - theirs)
    assert data["sets"]["6 digits"]["by_site"]["length"][result.site.hook_name]["skill"] is None
    assert len(summary(result)) == 1 + 3 + 2 + 1  # no length to tell of one length


def test_same_seed_same_bits(result: ProbeResult) -> None:
    assert to_json(compute(small_model(), FEW)) == to_json(result)
    assert to_json(compute(small_model(), FEW, seed=1)) != to_json(result)


def test_figure_draws_every_kind_of_score_by_blank(result: ProbeResult) -> None:
    drawn = figure(result)
    assert len(drawn.data) == 6 * len(Kind)
    first = drawn.data[0]
    score = result.any_length.score("sorted", Kind.TRAINED, result.site, 2)
    assert list(first.x) == [0, 2] and first.y[1] == pytest.approx(100 * score.value)
    assert "not that anything reads it" in drawn.layout.title.text


@pytest.mark.parametrize(
    ("task", "n_layers", "norm"),
    [
        (SortTask(1, 1), 1, "pre"),
        (SortTask(6, 1), 2, "post"),
        (SortTask(3, 9), 3, "none"),
        (SortTask(48, 49), 1, "pre"),
    ],
)
def test_any_model_with_blanks(task: SortTask, n_layers: int, norm: str) -> None:
    found = compute(small_model(norm, n_layers, task), FEW)
    assert found.site.layer == n_layers - 1
    json.dumps(to_json(found), allow_nan=False)
    assert figure(found).data and NO_USE in summary(found)[-1]


@pytest.mark.parametrize("field", ["lists_any_length", "lists_one_length", "length", "blanks"])
def test_sizes_are_at_least_1(field: str) -> None:
    with pytest.raises(UserError, match=f"--{field.replace('_', '-')} must be at least 1, not 0"):
        ProbeConfig(**{field: 0})


def test_command(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "m", small_model())
    flags = ["--lists-any-length", "200", "--lists-one-length", "100", "--blanks", "2"]
    flags += ["--model", str(tmp_path / "m"), "--out", str(tmp_path / "out"), "--json"]
    assert status(EXPERIMENT, flags) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = json.loads(json.dumps(to_json(compute(small_model(), FEW))))
    assert {key: printed[key] for key in expected} == expected
    (folder,) = (tmp_path / "out" / "probe_blanks").iterdir()
    assert {f.name for f in folder.iterdir()} == {
        "figure.html",
        "result.json",
        "manifest.json",
    }


@pytest.mark.parametrize(
    ("blanks", "flags", "words"),
    [
        (0, [], "this model has no blanks"),
        (4, ["--least", "1"], "--least must be between 0 and 1"),
        (4, ["--lists-any-length", "12"], "12 lists are too few"),
        (4, ["--lists-any-length", "1"], "1 lists are too few"),
    ],
)
def test_bad_input(
    tmp_path: Path,
    blanks: int,
    flags: list[str],
    words: str,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_model(tmp_path / "m", small_model(task=SortTask(TASK.max_len, blanks)))
    where = ["--model", str(tmp_path / "m"), "--out", str(tmp_path / "out")]
    assert status(EXPERIMENT, [*where, *flags]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from analyses.experiment import main\n"
        "from analyses.probe_blanks import EXPERIMENT\n"
        "try:\n    main(EXPERIMENT, ['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'sklearn', 'plotly'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_sorter_of_full_size(unchecked: None) -> None:
    """With as many lists as by default; the scoreboard asks the same of every sorter."""
    compiled = compile_sorter("slots")
    said = quick_verdicts(compiled.model, EXPERIMENT.settings, 0)
    assert {what for what in ("sorted", "counts") if said[what]} == compiled.truth.decodable


@pytest.mark.parametrize("length", few(range(1, TASK.max_len + 1), 1, TASK.max_len))
def test_the_lists_of_one_length_may_have_any(length: int) -> None:
    """Blanks that stand for no digit of theirs are left out, of these lists alone."""
    config = ProbeConfig(lists_any_length=90, lists_one_length=60, length=length, blanks=20)
    result = compute(small_model(), config)
    n = min(TASK.n_blanks - 1, TASK.max_len)
    assert result.one_length.blanks == tuple(range(min(n, length)))
    assert result.any_length.blanks == tuple(range(n))
    assert json.dumps({**to_json(result), "words": summary(result)}, allow_nan=False)
    figure(result)
