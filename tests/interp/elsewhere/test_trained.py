"""Models that a plain TransformerLens script trained: the tutorial's, and one with MLPs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

from analyses.experiment.catalogue import experiments
from analyses.experiment.runner import check
from analyses.experiment.subjects import OfList, OfModel, OfTwoModels
from analyses.known_answers.body import smaller
from analyses.one_list.subject import ListSubject, TwoModels
from interp.checkpoints import load_model
from interp.checkpoints.__main__ import main
from interp.rules import read_rule
from interp.support.errors import UserError
from interp.task import Task
from tests.covers import few
from tests.interp.elsewhere.theirs import trained_on_digits

TUTORIAL = Path(__file__).parents[3] / "docs" / "your-own-weights.md"
REFUSED = {
    *("ablate_blanks", "transplant_blanks", "blank_output_matrix", "shift_blanks", "path_blanks"),
    *("probe_blanks", "reduce_blanks", "one_list.blanks", "one_list.without"),  # no blanks
    *("which_program", "align_program", "mechanism", "one_reader"),  # to sort digits
    *("one_list.programs", "one_list.dial"),  # that, too
}


SIX = Task(6, 0, min_len=6)


def blocks() -> tuple[str, str]:
    """The tutorial's script and its task, as a reader saves them."""
    script, task = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    return script, task


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.mark.exhaustive  # another tutorial trains, too, and what follows imports
@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_the_tutorial(tmp_path, capsys):
    """Trained, imported as it says, and looked at with every analysis that there is."""
    script, task = blocks()
    assert len(task.splitlines()) <= 40
    (tmp_path / "sort_51.py").write_text(task)
    (tmp_path / "theirs.py").write_text(script.replace("400", "250"))
    found = re.search(r"interp.checkpoints (import .*?0)\n", TUTORIAL.read_text(), re.DOTALL)
    assert found is not None
    with inside(tmp_path):
        one_core = {**os.environ, "OMP_NUM_THREADS": "1"}
        argv = [sys.executable, "theirs.py"]
        subprocess.run(argv, check=True, capture_output=True, env=one_core)
        main(found[1].replace("\\\n", " ").split())
    said = capsys.readouterr().out
    assert "lists of 10 numbers, 0 blanks" in said and "no MLPs, pre-norm, learned posi" in said
    proof = load_model(tmp_path / "runs" / "theirs").info["imported"]
    assert proof["exact_match"]["low"] > 0.8 and proof["chance"] < 0.01
    assert results(tmp_path / "runs" / "theirs", tmp_path / "sort_51.py") == REFUSED


def results(folder: Path, task: Path) -> set[str]:
    """The analyses that refuse; of all others the result is whole."""
    read_rule(task)
    model, refused = load_model(folder).model, set()
    one = ListSubject(model, model.task.example)
    subjects = {OfModel: model, OfList: one, OfTwoModels: TwoModels(one, one)}
    for name, experiment in experiments().items():
        about = experiment.about
        subject = subjects.get(about if isinstance(about, type) else type(about))
        if subject is None:
            continue
        try:
            check(experiment, subject)
            found = experiment.outcome(experiment.compute(subject, smaller(experiment.settings)))
        except UserError:
            refused.add(name)
        else:
            found.figure.to_json()
            json.dumps([found.json, found.words, found.rows], allow_nan=False)
    return refused


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four heads, GELU and LayerNorms, trained to sort six digits; and its config beside it."""
    folder = tmp_path_factory.mktemp("digits")
    model = trained_on_digits(150, SIX)
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, folder / "theirs.pt")
    folded = trained_on_digits(0, SIX)
    folded.load_state_dict(model.state_dict())
    folded.process_weights_()
    state = {n: t for n, t in folded.state_dict().items() if ".ln" not in n and "ln_f" not in n}
    torch.save(state, folder / "folded.pt")
    (folder / "config.json").write_text(json.dumps(model.cfg.to_dict(), default=str))
    return folder


def asked(folder: Path, to: Path, *flags: str, file: str = "theirs.pt") -> list[str]:
    layout = ["--task", "sort", "--max-len", "6", "--min-len", "6", "--n-blanks", "0"]
    return ["import", str(folder / file), str(to), *layout, *flags]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "flags"),
    few(
        [
            ("theirs.pt", ["--activation", "gelu"]),
            ("theirs.pt", ["--config", "config.json"]),
            ("folded.pt", ["--activation", "gelu", "--norm", "pre"]),
        ],
        ("theirs.pt", ["--activation", "gelu"]),
    ),
)
def test_the_right_flags_are_believed(file, flags, digits, tmp_path, capsys):
    flags = [str(digits / flag) if flag.endswith(".json") else flag for flag in flags]
    main(asked(digits, tmp_path / "mine", *flags, file=file))
    said = capsys.readouterr().out
    assert "4 heads" in said and "128 neurons (gelu)" in said
    assert "suits them better" not in said
    assert load_model(tmp_path / "mine").info["imported"]["exact_match"]["low"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "flags", "words"),
    [
        (
            "theirs.pt",
            ["--activation", "gelu", "--attn-scale", "1"],
            "better: --attn-scale 4 (los",
        ),
        ("theirs.pt", ["--activation", "gelu", "--norm", "post"], "holds ln_final.b, which is no"),
        ("folded.pt", ["--activation", "gelu", "--norm", "none"], "better: --norm pre (loss "),
        ("theirs.pt", ["--activation", "gelu", "--max-len", "5", "--min-len", "5"], "read wrongly"),
        ("theirs.pt", ["--activation", "gelu", "--task", "sort-descending"], "or was read wrongly"),
    ],
)
def test_a_wrong_flag_is_refused(file, flags, words, digits, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(asked(digits, tmp_path / "mine", *flags, file=file))
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and words in error
    assert not (tmp_path / "mine").exists()


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "silu", "relu2", "solu"])
def test_a_wrong_activation_is_never_silent(activation, digits, tmp_path, capsys):
    """Some of them leave every answer right: it is the loss that tells, or is said not to."""
    with suppress(SystemExit):
        main(asked(digits, tmp_path / "mine", "--activation", activation))
    said = capsys.readouterr()
    assert "this suits them better: --activation gelu (loss " in said.err or (
        "The weights hardly tell these from what was said: " in said.out
        and "--activation gelu (" in said.out
    )


@pytest.mark.slow
def test_a_wrong_vocabulary_shows_in_the_accuracy(digits, tmp_path, capsys):
    flags = ["--activation", "gelu", "--vocabulary", "9,0-8,SEP", "--anyway"]
    main(asked(digits, tmp_path / "mine", *flags))
    assert load_model(tmp_path / "mine").info["imported"]["exact_match"]["high"] < 0.7


@pytest.mark.slow
def test_lists_of_other_lengths_show_in_the_accuracy(digits, tmp_path, capsys):
    main(asked(digits, tmp_path / "mine", "--activation", "gelu", "--min-len", "1", "--anyway"))
    assert load_model(tmp_path / "mine").info["imported"]["exact_match"]["high"] < 0.7


@pytest.mark.slow
def test_padding_that_is_attended_to_is_found_out(tmp_path, capsys):
    """A script without a mask: short lists come out wrong, and it is said why and what to do."""
    torch.save(trained_on_digits(250, Task(4, 0)).state_dict(), tmp_path / "theirs.pt")
    layout = ["--task", "sort", "--max-len", "4", "--n-blanks", "0", "--activation", "gelu"]
    argv = ["import", str(tmp_path / "theirs.pt"), str(tmp_path / "mine"), *layout]
    with pytest.raises(SystemExit):
        main(argv)
    error = capsys.readouterr().err
    assert "this suits them better: padding that is attended to, so give --min-len as" in error
    main([*argv, "--min-len", "4"])
    assert load_model(tmp_path / "mine").info["imported"]["exact_match"]["low"] > 0.9
