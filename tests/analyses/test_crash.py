"""A drop taken apart: its steps are the run's, its mistakes are counted right, its groups whole."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from analyses.crash import EXPERIMENT, CrashSettings
from analyses.crash.body import WAYS, groups_of, mistakes
from analyses.crash.drops import first_drop
from analyses.experiment import main
from analyses.settle import SettleSettings
from interp.answers.decode import score
from interp.sorters.compiled import compile_sorter
from interp.support.errors import UserError
from interp.support.progress import SILENT
from interp.task import SortTask
from tests.models import small_model
from tests.training.test_average import SMALL
from training.course import train
from training.loop import Trainer
from training.replay import replayed
from training.runs import create_run

SETTINGS = CrashSettings(step=14, before=6, after=4, lists=40, others=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    trainer = Trainer(replace(SMALL, lr=0.02))
    folder = create_run(tmp_path_factory.mktemp("runs"), trainer.config, trainer)
    train(trainer, folder)
    return folder


def test_the_window_is_the_runs_and_unchanged_steps_come_again_to_the_bit(run):
    result = EXPERIMENT.compute(run, SETTINGS)
    assert [m.step for m in result.course] == list(range(9, 19))
    assert result.before < result.during and result.before < 14
    held_out = SMALL.sort_task().held_out(40, 0)
    for moment in result.course[::4]:
        exact = score(replayed(run, moment.step).model, held_out).exact
        assert moment.exact == pytest.approx(float(exact.float().mean()))
    by_step = {m.step: m.exact for m in result.course}
    same = result.again[0]
    assert same.name == "as it was"
    for step, exact in zip(same.steps, same.exact, strict=True):
        assert by_step.get(step, exact) == exact
    assert [one.name for one in result.again][-2:] == ["other lists 0", "other lists 1"]


@pytest.mark.parametrize("decay", [0.2, 0.4])
def test_the_average_is_of_the_decay_that_is_asked_for(run, decay):
    result = EXPERIMENT.compute(run, replace(SETTINGS, decay=decay))
    held_out, literal = SMALL.sort_task().held_out(40, 0), replayed(run, 8).model
    for moment in result.course:
        now = replayed(run, moment.step).model
        with torch.no_grad():
            for mine, new in zip(literal.parameters(), now.parameters(), strict=True):
                mine.copy_(decay * mine + (1 - decay) * new)
        exact = score(literal, held_out).exact
        assert moment.averaged == pytest.approx(float(exact.float().mean()))


@pytest.mark.parametrize("settings", [CrashSettings, SettleSettings])
@pytest.mark.parametrize("decay", [0.0, 1.0, -1.0, float("nan")])
def test_a_decay_that_is_none_is_refused(settings, decay):
    with pytest.raises(UserError, match="--decay must be above 0 and below 1"):
        settings(decay=decay)


def test_mistakes_are_told_apart_as_literal_code_does():
    model, task = small_model(seed=3), SortTask(6, 4)
    batch = task.held_out(60, 5)
    found = mistakes(model, batch, 0)
    counts, n = dict.fromkeys(WAYS, 0), 0
    logits = model(batch.tokens)
    for row, length in enumerate(batch.lengths.tolist()):
        answer = sorted(batch.tokens[row, task.max_len - length : task.max_len].tolist())
        for i, right in enumerate(answer):
            n += 1
            said = int(logits[row, task.first_output_row + i].argmax())
            if said == right:
                continue
            if i == 0:
                counts["first"] += 1
            elif right == answer[i - 1]:
                counts["leaves early"] += 1
            elif said == answer[i - 1]:
                counts["stays long"] += 1
            else:
                counts["wrong next"] += 1
    assert sum(counts.values()) > 50  # an untrained model makes them all
    assert {k: round(v.value * n) for k, v in found.items()} == counts
    right = compile_sorter("direct", SortTask(6, 7)).model
    assert all(
        rate.value == 0 for rate in mistakes(right, SortTask(6, 7).held_out(30, 1), 0).values()
    )


def test_every_parameter_is_in_one_group():
    names = [name for name, _ in small_model().named_parameters()]
    groups = groups_of(names)
    assert sorted(name for group in groups.values() for name in group) == sorted(names)
    assert set(groups["QK 1"]) == {f"blocks.1.attn.{n}" for n in ("W_Q", "W_K", "b_Q", "b_K")}
    expected = {f"{part} {layer}" for part in ("QK", "OV", "MLP") for layer in (0, 1)}
    assert set(groups) == {"embedding", "norms", "unembedding", *expected}


def test_a_run_that_never_fell_says_so(run):
    with pytest.raises(UserError, match="never fell by more than 20 points"):
        first_drop(run)


def test_the_command_writes_what_it_found(run, tmp_path, capsys):
    flags = ["--step", "14", "--before", "6", "--after", "4", "--lists", "20", "--others", "1"]
    main(EXPERIMENT, ["--run", str(run), *flags, "--out", str(tmp_path), "--json"])
    data = json.loads(capsys.readouterr().out)
    assert data["analysis"] == "crash" and data["config"]["step"] == 14
    assert data["states"]["before"]["step"] < data["states"]["during"]["step"]
    assert len(list((tmp_path / "crash").glob(f"{run.name}*/figure.html"))) == 1
    outcome = EXPERIMENT.outcome(EXPERIMENT.compute(run, SETTINGS, 0, SILENT))
    assert {row["part"] for row in outcome.rows} == {
        *("course", "mistakes", "before", "groups", "again"),
    }
