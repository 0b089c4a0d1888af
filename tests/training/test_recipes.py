"""The published recipe against the literal facts, schedules at known points, and bad values."""

import json
import math
from dataclasses import replace

import pytest

from interp.support.errors import UserError
from interp.task import SortTask
from training.recipes import ORIGINAL, RECIPES, STABLE, TrainConfig, first_difference


def test_the_original_recipe_is_the_published_experiment():
    assert ORIGINAL.sort_task() == SortTask(max_len=48, n_blanks=49, pos_offset=0)
    network = (ORIGINAL.n_layers, ORIGINAL.d_model, ORIGINAL.n_heads, ORIGINAL.d_head)
    assert network == (2, 100, 5, 20)
    assert (ORIGINAL.d_mlp, ORIGINAL.norm, ORIGINAL.positions) == (2048, "post", "sinusoidal")
    assert (ORIGINAL.embed_bias, ORIGINAL.init, ORIGINAL.dropout) == (True, "pytorch", 0.1)
    assert (ORIGINAL.optimizer, ORIGINAL.lr, ORIGINAL.beta2) == ("adam", 1e-3, 0.999)
    assert (ORIGINAL.warmup_steps, ORIGINAL.clip_norm, ORIGINAL.weight_decay) == (0, 0, 0)
    assert (ORIGINAL.batch_size, ORIGINAL.steps) == (342, 6000)
    assert (ORIGINAL.log_every, ORIGINAL.checkpoint_every) == (10, 500)
    assert {ORIGINAL.lr_at(step) for step in (0, 1, 49, 3000, 5999)} == {1e-3}


def test_the_arms_of_the_published_experiment():
    assert replace(ORIGINAL, no_blanks=True).sort_task() == SortTask(48, 0, 0)
    offset = replace(ORIGINAL, no_blanks=True, pos_offset=True)
    assert offset.sort_task() == SortTask(48, 0, 49)
    labels = [c.label() for c in (ORIGINAL, replace(ORIGINAL, no_blanks=True), offset)]
    assert labels == ["original-blanks-s0", "original-no-blanks-s0", "original-pos-offset-s0"]


def test_the_stable_recipe_is_ours_and_the_default():
    assert RECIPES == {"stable": STABLE, "original": ORIGINAL}
    assert TrainConfig() == STABLE
    assert (STABLE.norm, STABLE.dropout, STABLE.schedule) == ("pre", 0.0, "cosine")
    assert STABLE.warmup_steps > 0
    assert STABLE.clip_norm > 0
    assert STABLE.sort_task() == ORIGINAL.sort_task()


@pytest.mark.parametrize(
    ("flags", "task", "label"),
    [
        ({"max_len": 10}, SortTask(10, 11), "stable-blanks-len10-s0"),
        ({"max_len": 10, "n_blanks": 3}, SortTask(10, 3), "stable-3-blanks-len10-s0"),
        ({"n_blanks": 0, "seed": 4}, SortTask(48, 0), "stable-no-blanks-s4"),
        ({"n_blanks": 49}, SortTask(), "stable-blanks-s0"),
        (
            {"max_len": 9, "no_blanks": True, "pos_offset": True},
            SortTask(9, 0, 10),
            "stable-pos-offset-len9-s0",
        ),
    ],
)
def test_flags_decide_the_task(flags, task, label):
    config = TrainConfig(**flags)
    assert (config.sort_task(), config.label()) == (task, label)


def test_the_cosine_schedule_at_known_points():
    config = TrainConfig(lr=8.0, warmup_steps=10, steps=1000, schedule="cosine")
    assert config.lr_at(0) == pytest.approx(0.8)
    assert config.lr_at(4) == pytest.approx(4.0, rel=1e-3)
    assert config.lr_at(250) == pytest.approx(4.0 * (1 + math.sqrt(0.5)))
    assert config.lr_at(500) == pytest.approx(4.0)
    assert config.lr_at(750) == pytest.approx(4.0 * (1 - math.sqrt(0.5)))
    assert 0 < config.lr_at(999) < 1e-4
    rates = [config.lr_at(step) for step in range(1000)]
    assert rates.index(max(rates)) == 9
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_constant_schedule_warms_up_too():
    config = TrainConfig(lr=1.0, warmup_steps=4, schedule="constant")
    assert [config.lr_at(s) for s in (0, 1, 2, 3, 4, 999)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert replace(config, warmup_steps=0).lr_at(0) == 1


def test_a_config_survives_json():
    config = replace(ORIGINAL, no_blanks=True, lr=3e-4, n_blanks=None, seed=5)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(UserError, match="unknown key 'learning_rate'"):
        TrainConfig.from_dict({"learning_rate": 1})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"max_len": 0}, "--max-len must be at least 1, not 0"),
        ({"steps": -1}, "--steps must be at least 1, not -1"),
        ({"batch_size": 0}, "--batch-size must be at least 1, not 0"),
        ({"log_every": 0}, "--log-every must be at least 1, not 0"),
        ({"checkpoint_every": 0}, "--checkpoint-every must be at least 1, not 0"),
        (
            {"drop_mlp_out": False},
            "--no-drop-mlp-out leaves out one place of dropout",
        ),
        ({"n_blanks": -1}, "the number of blanks must be at least 0, not -1"),
        ({"lr": 0.0}, "--lr must be above 0, not 0.0"),
        ({"lr": -1.0}, "--lr must be above 0, not -1.0"),
        ({"lr": math.nan}, "--lr must be above 0, not nan"),
        ({"lr": math.inf}, "--lr must be above 0, not inf"),
        ({"weight_decay": -0.1}, "--weight-decay must be 0 or more, not -0.1"),
        ({"clip_norm": math.nan}, "--clip-norm must be 0 or more, not nan"),
        ({"threads": -1}, "--threads must be 0 or more, not -1"),
        ({"dropout": 1.0}, "--dropout must be at least 0 and below 1, not 1.0"),
        ({"beta2": 1.0}, "--beta2 must be at least 0 and below 1, not 1.0"),
        ({"norm": "middle"}, "norm must be one of pre, post, none, not 'middle'"),
        ({"schedule": "linear"}, "--schedule must be one of constant, cosine, not 'linear'"),
        ({"d_model": 15}, "sinusoidal positions need an even d_model, not 15"),
        ({"no_blanks": True, "n_blanks": 3}, "--no-blanks contradicts --n-blanks 3"),
        ({"pos_offset": True}, "--pos-offset stands in for missing blanks"),
        ({"pos_offset": True, "n_blanks": 3}, "--pos-offset stands in for missing blanks"),
    ],
)
def test_a_run_that_cannot_be_is_refused(flags, message):
    with pytest.raises(UserError) as caught:
        TrainConfig(**flags)
    assert message in str(caught.value)


def test_another_task_is_told_from_to_sort() -> None:
    other = replace(STABLE, task="reverse")
    assert "task" not in STABLE.to_dict()
    assert TrainConfig.from_dict(json.loads(json.dumps(other.to_dict()))) == other
    words = "its training: task is 'reverse', not None"
    assert first_difference("its training", other.to_dict(), STABLE.to_dict()) == words
    assert first_difference("its training", STABLE.to_dict(), other.to_dict()) is not None
    assert other.label() == "stable-reverse-blanks-s0"
    with pytest.raises(UserError, match="there is no task 'sortt'"):
        replace(STABLE, task="sortt")


def test_a_recipe_written_when_task_was_called_rule_opens() -> None:
    other = replace(STABLE, task="reverse")
    older = {"rule" if key == "task" else key: value for key, value in other.to_dict().items()}
    assert "rule" in older and TrainConfig.from_dict(older) == other
    with pytest.raises(UserError, match="rule is an older word for task; give one of them"):
        TrainConfig.from_dict({**older, "task": "sort"})
