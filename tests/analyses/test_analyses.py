"""What holds for every analysis alike: any model, same bits, the same numbers by either way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analyses.experiment.catalogue import experiment, reported
from analyses.known_answers.body import smaller
from interp.checkpoints import save_model
from interp.model import SortTransformer
from interp.support.errors import UserError
from interp.task import SortTask
from tests.covers import crossed, few
from tests.models import small_model

NAMES = [one.name for one in reported()]
MODELS = {
    "ordinary": small_model(task=SortTask(6, 7)),
    "no blanks": small_model("post", task=SortTask(5, 0)),
    "one digit": small_model(task=SortTask(1, 2)),
    "one layer": small_model("none", n_layers=1, task=SortTask(4, 3)),
    "three layers": small_model("post", n_layers=3, task=SortTask(4, 3)),
}


def run(name: str, model: SortTransformer, seed: int = 0) -> dict[str, Any]:
    """The whole of an analysis: its JSON, with words, and a figure that can be drawn."""
    one = experiment(name)
    outcome = one.outcome(one.compute(model, smaller(one.settings), seed))
    data = {**outcome.json, "finding": outcome.words}
    outcome.figure.to_json()
    json.dumps(data, allow_nan=False)
    return data


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), crossed(NAMES, list(MODELS), every=5))
def test_any_model(name: str, kind: str, unchecked: None) -> None:
    model = MODELS[kind]
    if experiment(name).needs_blanks and not model.task.n_blanks:
        pytest.skip("about blanks, which this model has not")
    if name in ("which_program", "align_program", "one_reader") and model.task.max_len < 3:
        with pytest.raises(UserError, match="needs lists of at least 3 digits; this model takes 1"):
            run(name, model)
        return
    data = run(name, model)
    assert data["finding"][-1].rstrip().endswith((".", ":"))


@pytest.mark.slow
@pytest.mark.parametrize("name", few(NAMES, *NAMES[::4]))
def test_same_seed_same_bits(name: str, unchecked: None) -> None:
    model = MODELS["one layer"]  # seeds are asked of, whatever the model
    assert json.dumps(run(name, model, 3)) == json.dumps(run(name, model, 3))


@pytest.mark.parametrize("name", [name for name in NAMES if experiment(name).needs_blanks])
def test_blanks_asked_of_a_model_that_has_none(
    name: str, tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "bare", MODELS["no blanks"])
    assert status(experiment(name), ["--model", str(tmp_path / "bare")]) == 2
    error = capsys.readouterr().err
    assert "this model has no blanks" in error and error.count("\n") == 1
