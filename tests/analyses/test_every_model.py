"""Every command on its own defaults, with models of every shape: a result, or one line that says
what about the model the command is not about."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from analyses import circuit, experiment
from analyses.experiment import Experiment, catalogue
from analyses.experiment.subjects import OfList, OfModel, OfTwoModels
from interp.checkpoints import save_model
from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.task import SortTask
from tests.covers import crossed

SHAPES: dict[str, dict[str, Any]] = {
    "one layer": {"n_layers": 1},
    "three layers": {"n_layers": 3},
    "one head": {"n_heads": 1},
    "no blanks": {"task": SortTask(5, 0)},
    "one blank": {"task": SortTask(5, 1)},
    "two blanks": {"task": SortTask(5, 2)},
    "60 blanks": {"task": SortTask(5, 60)},
    "single digits": {"task": SortTask(1, 2)},
    "single digits, no blanks": {"task": SortTask(1, 0)},
    "no norm": {"norm": "none"},
    "post-norm": {"norm": "post"},
    "learned positions": {"positions": "learned"},
    "attention only": {"d_mlp": 0},
    "GELU, lists of one length": {"activation": "gelu_new", "task": SortTask(5, 6, min_len=5)},
    "the least of all": {"task": SortTask(1, 1), "n_layers": 1, "n_heads": 1},
    "as published": {"task": SortTask(48, 49)},
}
FEWER = {"lists": 12, "lists_each": 4, "pairs": 6, "reference": 12, "pattern_lists": 6, "steps": 3}
FEWER |= {"lists_any_length": 60, "lists_one_length": 60, "decoded": 4}
FEWER |= {
    "prompts": 40,
    "parted": 4,
    "tries": 300,
    "fit": 20,
    "searched": 4,
    "right": 8,
    "examples": 8,
}
LOOSE = (0.5,)  # what circuits may lose: untrained weights have none, so each edge is tried singly
ABOUT_BLANKS = "has no blanks"
ABOUT_LENGTH = "lists of at least 3 digits"
ABOUT_PREFIX = "lists of at least 2 digits"  # what comes after an output


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    for name, shape in SHAPES.items():
        sizes = {"d_model": 8, "n_heads": 2, "d_head": 4, "d_mlp": 12, "task": SortTask(5, 6)}
        model = SortTransformer(ModelConfig(**{**sizes, **shape}), seed=1)
        with torch.no_grad():  # sharp attention, so that there is something to find
            for block in model.blocks:
                block.attn.W_Q.mul_(6)
        save_model(folder / name, model)
    return folder


def on(one: Experiment, model: Path, out: Path) -> list[str]:
    """The command with its defaults, but fewer lists."""
    flags = ["--model", str(model), "--out", str(out), "--json"]
    if issubclass(kind_of(one), OfTwoModels):
        flags += ["--other", str(model)]
    for field in fields(one.settings):
        value, most = getattr(one.settings, field.name), FEWER.get(field.name)
        if most is not None and isinstance(value, int):
            flags += [f"--{field.name.replace('_', '-')}", str(min(most, value))]
    return [*flags, "--keep", str(LOOSE[0])] if one.name == "circuit" else flags


def asked_of_models() -> list[Experiment]:
    return [one for one in catalogue.experiments().values() if issubclass(kind_of(one), OfModel)]


def kind_of(one: Experiment) -> type:
    return one.about if isinstance(one.about, type) else type(one.about)


def check(one: Experiment, argv: list[str], shape: str, status: Any, capsys: Any) -> None:
    if code := status(partial(experiment.main, one), argv):
        err = capsys.readouterr().err
        assert code == 2
        assert len(err.splitlines()) == 1
        task = SHAPES[shape].get("task", SortTask(5, 6))
        no_blanks, short = not task.n_blanks, task.max_len < 3
        assert (
            (no_blanks and ABOUT_BLANKS in err)
            or (short and ABOUT_LENGTH in err)
            or (task.max_len < 2 and ABOUT_PREFIX in err)
            or (
                task.min_len > 1 and "of lists of any length; this model's is sort, of lists" in err
            )
        )
        return

    def no_number(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    assert json.loads(capsys.readouterr().out, parse_constant=no_number)["finding"] is not None


COMMANDS = {one.name: one for one in asked_of_models()}
FEW = ("one layer", "no blanks", "two blanks", "the least of all")
OF_ONE_LIST = [
    (name, shape)
    for name, one in COMMANDS.items()
    for shape in FEW
    if issubclass(kind_of(one), OfList)  # three of them refused what their defaults did not fit
]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "shape"), crossed(list(COMMANDS), list(SHAPES), every=7, always=OF_ONE_LIST)
)
def test_every_command_fits_every_model(name, shape, models, tmp_path, status, capsys, monkeypatch):
    monkeypatch.setattr(circuit, "LEVELS", LOOSE)
    one = COMMANDS[name]
    check(one, on(one, models / shape, tmp_path), shape, status, capsys)
