"""LayerNorms that expect dropout, through training: each number is that of its own change."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from analyses.experiment import main
from analyses.runs.variance_shift import EXPERIMENT, ShiftSettings
from analyses.runs.variance_shift.result import AS_IT_IS, EVERY_NORM, WITH_DROPOUT
from analyses.ship.shipped import course_subject, shipped
from interp.answers.decode import score
from interp.checkpoints import load_bare, run_checkpoints, shipped_runs
from interp.layout import Region
from interp.methods.variance_shift import AfterPart, ExpectDropout, norms_of, shrink
from interp.passes.forward import forward
from interp.passes.packed import window
from interp.sites import Component
from interp.support.errors import UserError
from tests.models import trained_run
from tests.training.test_average import SMALL

SETTINGS = ShiftSettings(lists=48)
MLP = AfterPart(0, Component.MLP_OUT)


def a_run(folder, **changes):
    config = replace(SMALL, norm="post", lr=0.02, dropout=0.3, steps=60, checkpoint_every=30)
    return trained_run(folder, replace(config, **changes))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return a_run(tmp_path_factory.mktemp("runs"))


def test_every_number_is_that_of_the_change_it_names(run):
    result = EXPERIMENT.compute(run, SETTINGS)
    assert (result.p, [shift.step for shift in result.shifts]) == (0.3, [30, 60])
    for folder, shift in zip(run_checkpoints(run), result.shifts, strict=True):
        loaded = load_bare(folder)
        model, lists = loaded.model, loaded.model.task.held_out(48, 0)
        expected = {
            AS_IT_IS: [],
            EVERY_NORM: [ExpectDropout(norm, 0.3) for norm in norms_of(model)],
            "norm after MLP 0": [ExpectDropout(MLP, 0.3)],
            "keys of layer 1": [ExpectDropout(MLP, 0.3, Component.K)],
            "keys of layer 1, digits alone": [ExpectDropout(MLP, 0.3, Component.K, range(4))],
            "keys of layer 1, SEP alone": [ExpectDropout(MLP, 0.3, Component.K, [4])],
            "keys of layer 1, blanks alone": [ExpectDropout(MLP, 0.3, Component.K, range(5, 10))],
        }
        for name, changes in expected.items():
            rate = score(model, lists, interventions=changes).exact_match()
            assert shift.exact[name] == rate, name
        assert shift.hash == loaded.hash and set(expected) < set(shift.exact)
        assert shift.exact[WITH_DROPOUT].n == 48
    assert result.norms == tuple(
        f"norm after {part} {layer}" for layer in (0, 1) for part in ("attention", "MLP")
    )
    assert len(result.readers) == 7


def test_how_much_shorter_the_stream_becomes_is_a_mean_over_real_tokens(run):
    last = EXPERIMENT.compute(run, SETTINGS).last
    model = load_bare(run_checkpoints(run)[-1]).model
    task, found = model.task, {region: [] for region in last.shorter}
    lists = task.held_out(48, 0)
    for index in range(48):
        batch = lists[index : index + 1]
        view = window(task, batch)
        kept = [(Component.RESID_MID, 0), (Component.MLP_OUT, 0)]
        one = forward(model, batch.tokens, view, keep=kept)
        factors = shrink(one.at(*kept[0]), one.at(*kept[1]), 0.3)[0]
        for at, factor in enumerate(factors.tolist(), view.start):
            region = task.region_of(at, batch.longest)
            found[Region.BLANKS if region is Region.LAST_BLANK else region].append(factor)
    assert last.shorter == pytest.approx({r: sum(f) / len(f) for r, f in found.items()}, rel=1e-4)
    assert list(last.shorter) == [Region.DIGITS, Region.SEP, Region.BLANKS, Region.OUTPUTS]


def test_a_run_without_blanks_has_no_row_of_them(tmp_path):
    last = EXPERIMENT.compute(a_run(tmp_path, no_blanks=True, steps=30), SETTINGS).last
    assert not [name for name in last.exact if "blanks" in name]
    assert Region.BLANKS not in last.shorter


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": 0.0}, "was trained without dropout: its norms expect nothing else"),
        ({"drop_mlp_out": False}, "was trained without dropout of what its MLPs add"),
        ({"norm": "pre"}, "models that normalise after each part .* this one has norm 'pre'"),
    ],
)
def test_a_run_that_has_no_such_norms_is_refused(tmp_path, changes, message):
    run = a_run(tmp_path, steps=30, **changes)
    with pytest.raises(UserError, match=message):
        EXPERIMENT.compute(run, SETTINGS)


def test_the_command_writes_what_it_found(run, tmp_path, capsys):
    main(EXPERIMENT, ["--run", str(run), "--lists", "20", "--out", str(tmp_path), "--json"])
    data = json.loads(capsys.readouterr().out)
    assert data["dropout"] == 0.3 and [one["step"] for one in data["checkpoints"]] == [30, 60]
    assert len(list((tmp_path / "runs" / "variance_shift").glob("*/figure.html"))) == 1
    outcome = EXPERIMENT.outcome(EXPERIMENT.compute(run, ShiftSettings(20)))
    assert len(outcome.rows) == 2 * (3 + 4 + 7)
    assert "Expecting dropout 0.3, the LayerNorms bring accuracy back at" in outcome.words[-1]


def test_what_is_shipped_says_that_one_norm_takes_the_accuracy_of_the_shipped_run():
    (name,) = shipped_runs()
    there = shipped(EXPERIMENT, course_subject(name))
    assert there is not None and there.is_current
    last = there.json["checkpoints"][-1]["exact"]
    assert last["norm after MLP 0"]["low"] > last[AS_IT_IS]["high"] + 0.3
    assert last["keys of layer 1, digits alone"]["low"] > 0.95
    assert there.json["gained"] > there.json["lost"]
