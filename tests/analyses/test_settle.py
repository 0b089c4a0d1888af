"""Going on in several ways: the first is the run itself, and periods are those of known motions."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from analyses.experiment import main
from analyses.settle import EXPERIMENT, SettleSettings
from analyses.settle.result import Period
from interp.answers.decode import score
from interp.methods.variance_shift import ExpectDropout, norms_of
from interp.support.errors import UserError
from tests.models import trained_run
from tests.training.test_average import SMALL
from training.average import WeightAverage
from training.replay import replayed

SETTINGS = SettleSettings(step=6, steps=8, lists=40, every=3)


def a_run(folder, **changes):
    return trained_run(folder, replace(SMALL, lr=0.02, **changes))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return a_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def result(run):
    return EXPERIMENT.compute(run, SETTINGS)


def shares(run, steps, config=SMALL):
    held_out = config.sort_task().held_out(40, 0)
    return [float(score(replayed(run, s).model, held_out).exact.float().mean()) for s in steps]


def test_as_it_was_is_the_run_itself(run, result):
    assert result.as_it_was.exact == pytest.approx(shares(run, range(7, 15)))
    assert [step for step, _ in result.as_it_was.averaged] == [9, 12, 14]
    late = result.as_it_was.second_half
    assert result.as_it_was.weights.value == pytest.approx(sum(late) / len(late))
    average = [exact for step, exact in result.as_it_was.averaged if step > 10]
    assert result.as_it_was.average.value == pytest.approx(sum(average) / len(average))


def test_every_way_changes_what_it_says(run, result):
    rate = 0.02
    assert {name: (way.lr, way.dropout) for name, way in result.ways.items()} == {
        "as it was": (rate, 0.1),
        "rate / 4": (rate / 4, 0.1),
        "rate / 32": (rate / 32, 0.1),
        "no dropout after MLPs": (rate, 0.1),
        "no dropout": (rate, 0.0),
        "no dropout, rate / 32": (rate / 32, 0.0),
    }
    trainer = replayed(run, 6)
    for group in trainer.optimizer.param_groups:
        assert group["betas"][0] == result.momentum
    trainer.config = replace(trainer.config, lr=rate / 4)  # literally: the next steps, slower
    held_out, literal = SMALL.sort_task().held_out(40, 0), []
    for _ in range(8):
        trainer.update()
        literal.append(float(score(trainer.model, held_out).exact.float().mean()))
    assert result.slower.exact == pytest.approx(literal)


def test_the_average_is_measured_with_norms_that_expect_dropout_too(tmp_path):
    run = a_run(tmp_path, norm="post", dropout=0.3)
    found = EXPERIMENT.compute(run, SETTINGS)
    assert [way.expecting is None for way in found.ways.values()] == [False] * 4 + [True] * 2
    state = replayed(run, 6)
    average, looks = WeightAverage(state.model, SETTINGS.decay, 6), []
    held_out = state.model.task.held_out(40, 0)
    for number in range(1, 9):
        state.update()
        average.update(state.model)
        if number in (6, 8):  # every third of the second half, and the last
            told = [ExpectDropout(norm, 0.3) for norm in norms_of(state.model)]
            looks += score(average.model, held_out, interventions=told).exact.tolist()
    assert found.as_it_was.expecting.value == pytest.approx(sum(looks) / len(looks))
    said = EXPERIMENT.outcome(found).words
    assert "when its LayerNorms expect dropout" in said[1] and said[-1].count("expect dropout") == 1


def test_a_run_without_dropout_has_no_way_without_it(tmp_path):
    found = EXPERIMENT.compute(a_run(tmp_path, dropout=0.0), SETTINGS)
    assert list(found.ways) == ["as it was", "rate / 4", "rate / 32"]
    assert "dropout the average" not in EXPERIMENT.outcome(found).words[-1]
    assert found.as_it_was.expecting is None


def ball(k: float, momentum: float, steps: int = 400) -> tuple[float, ...]:
    """A ball in a valley, pushed by noise."""
    noise = torch.randn(steps, generator=torch.Generator().manual_seed(0)).tolist()
    places = [0.0, 0.0]
    for push in noise:
        places.append((1 + momentum - k) * places[-1] - momentum * places[-2] + push)
    return tuple(places[2:])


@pytest.mark.parametrize("k", [2.85, 1.2, 3.5])
def test_the_period_of_a_ball_and_of_the_same_ball_with_smaller_steps(k):
    momentum = 0.99
    found = Period.of(ball(k, momentum))
    turns = math.acos((1 + momentum - k) / (2 * math.sqrt(momentum)))
    assert found.steps == pytest.approx(2 * math.pi / turns, rel=0.02)
    assert found.p < 1e-6
    slower = Period.of(ball(k / 4, momentum))
    assert found.slower(4, momentum) == pytest.approx(slower.steps, rel=0.05)


def test_what_has_no_period():
    assert Period.of((0.5,) * 20) is None
    assert Period.of(tuple(0.1 + 0.01 * step for step in range(20))) is None  # a trend alone
    drift = [math.exp(-step / 9) for step in range(60)]
    swing = [math.cos(2 * math.pi * step / 5) / 20 for step in range(60)]
    both = tuple(map(sum, zip(drift, swing, strict=True)))
    assert Period.of(both).steps == pytest.approx(5, rel=0.02)
    noise = torch.rand(12, 60, generator=torch.Generator().manual_seed(1)).double().tolist()
    assert sum(Period.of(tuple(each)).p < 0.05 for each in noise) <= 3
    assert Period(300.0, 0.0).slower(1000, 0.5) is None  # too flat a valley to swing in


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": 13}, "--step must be 1 to 12, not 13"),
        ({"step": 0}, "--step must be 1 to 12, not 0"),
        ({"step": None}, "never fell by more than 20 points"),
    ],
)
def test_what_a_run_has_not_is_refused(run, changes, words):
    with pytest.raises(UserError, match=words):
        EXPERIMENT.compute(run, replace(SETTINGS, **changes))


def test_the_command_writes_what_it_found(run, tmp_path, capsys):
    flags = ["--step", "6", "--steps", "8", "--lists", "40", "--every", "3"]
    main(EXPERIMENT, ["--run", str(run), *flags, "--out", str(tmp_path), "--json"])
    data = json.loads(capsys.readouterr().out)
    assert data["analysis"] == "settle" and data["config"]["step"] == 6
    assert len(data["ways"]) == 6 and data["finding"][-1].startswith("As it was the weights get")
    assert len(list((tmp_path / "settle").glob(f"{run.name}*/figure.html"))) == 1
