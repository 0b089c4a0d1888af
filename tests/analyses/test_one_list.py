"""The commands about one list, and the one of its answer: against slow plain code and by hand."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analyses.experiment import catalogue
from analyses.experiment import main as run_command
from analyses.one_list.answer import EXPERIMENT
from analyses.one_list.answer.body import heads_at_step, one_step, whole_answer
from analyses.one_list.answer.result import attention_by_head, weights_at
from analyses.one_list.answers import Answer, Attention, Output, attention_of, decode_list
from interp.answers.ablation import published_mask
from interp.answers.treatment import Treatment
from interp.checkpoints import save_model
from interp.interventions import Intervention, intervene
from interp.model import SortTransformer
from interp.task import BLANK, SEP, Region, SortTask
from tests.models import TASK, small_model

DIGITS = (3, 1, 4, 1)
main = partial(run_command, EXPERIMENT)


def slow_decode(
    model: SortTransformer, digits: Sequence[int], done: Sequence[Intervention]
) -> tuple[torch.Tensor, list[int]]:
    """The hooked model on the whole sequence, once for every token: [step, 12], and the tokens."""
    tokens = model.task.encode([tuple(digits)]).tokens[:, : model.task.prompt_len]
    steps, said = [], []
    with torch.no_grad(), intervene(model, done):
        for _ in digits:
            steps.append(model(tokens)[0, -1].softmax(-1))
            said.append(int(steps[-1].argmax()))
            tokens = torch.cat([tokens, torch.tensor([[said[-1]]])], 1)
    return torch.stack(steps), said


def decoded(array: Any) -> np.ndarray:
    """An array as plotly writes it."""
    if not isinstance(array, dict):
        return np.array(array)
    flat = np.frombuffer(base64.b64decode(array["bdata"]), array["dtype"])
    shape = [int(n) for n in str(array.get("shape", flat.size)).split(",")]
    return flat.reshape(shape)


# -- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_an_answer_is_what_the_hooked_model_says_token_by_token(norm: str, masked: bool) -> None:
    model = small_model(norm)
    done = published_mask(TASK) if masked else []
    found = decode_list(model, DIGITS, done)
    expected, said = slow_decode(model, DIGITS, done)
    torch.testing.assert_close(torch.from_numpy(found.probabilities), expected)
    for step, output in enumerate(found.answer.outputs):
        best = expected[step].sort(descending=True)
        assert [output.token, output.runner_up] == best.indices[:2].tolist()
        assert output.token == said[step]
        assert output.probability == pytest.approx(float(best.values[0]))
        assert output.runner_up_probability == pytest.approx(float(best.values[1]))
        assert output.expected == sorted(DIGITS)[step]


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_the_hooked_models_on_the_sequence_that_it_wrote(masked: bool) -> None:
    model = small_model()
    done = published_mask(TASK) if masked else []
    said = decode_list(model, DIGITS, done).answer
    seen = attention_of(model, said, done)
    tokens = TASK.encode([DIGITS]).tokens[:, : TASK.prompt_len + 3]
    tokens[0, TASK.prompt_len :] = torch.tensor([output.token for output in said.outputs[:3]])
    with torch.no_grad(), intervene(model, done):
        _, cache = model.run_with_cache(tokens)
    for layer in range(2):
        whole = cache[f"blocks.{layer}.attn.hook_pattern"][0, :, seen.start :, seen.start :]
        torch.testing.assert_close(torch.from_numpy(seen.pattern[layer]), whole)
    row = TASK.first_output_row + 2  # emits out 2
    for step, position in ((0, TASK.first_output_row), (3, row + 1)):
        at = weights_at(seen, step)
        assert at.shape == (2, 2, position + 1 - seen.start)
        np.testing.assert_array_equal(at, seen.pattern[:, :, position - seen.start, : at.shape[2]])
        np.testing.assert_allclose(at.sum(-1), 1, rtol=1e-5)


def test_positions_are_named_and_put_into_regions() -> None:
    model = small_model()
    said = decode_list(model, (3, 1)).answer
    seen = attention_of(model, said)
    token = said.text.split()[0]
    blanks = tuple(f"blank {i}" for i in range(4))
    assert seen.labels == ("in 0: 3", "in 1: 1", "SEP", *blanks, f"out 0: {token}")
    assert (seen.start, seen.edges) == (4, (2, 3, 6, 7))
    assert seen.regions[5:] == (Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)
    assert seen.row_labels == [
        f"blank 3 → {token}",
        f"out 0: {token} → {said.text.split()[1]}",
    ]


def test_what_heads_look_at_most_by_hand() -> None:
    regions = (Region.DIGITS, Region.DIGITS, Region.SEP, Region.OUTPUTS)
    pattern = np.zeros((1, 2, 4, 4), dtype=np.float32)
    pattern[0, 0, 2] = [0.25, 0.5, 0.25, 0]
    pattern[0, 1, 3] = [0.125, 0.125, 0, 0.75]
    seen = Attention(pattern, ("in 0: 2", "in 1: 1", "SEP", "out 0: 1"), ("1", "2"), regions, 2)
    first, nothing = attention_by_head(seen, 0, most=2)
    assert (first.layer, first.head) == (0, 0)
    assert first.top == (("in 1: 1", 0.5), ("in 0: 2", 0.25))  # of equals the earlier
    assert first.shares == ((Region.DIGITS, 0.75), (Region.SEP, 0.25))
    assert (nothing.head, nothing.top) == (1, ())
    assert attention_by_head(seen, 1)[1].top == (
        ("out 0: 1", 0.75),
        ("in 0: 2", 0.125),
        ("in 1: 1", 0.125),
    )
    assert attention_by_head(seen, 1)[1].shares[-1] == (Region.OUTPUTS, 0.75)
    assert seen.edges == (2, 3)


def test_changes_and_mistakes_by_hand() -> None:
    def answer(*tokens: int) -> Answer:
        pairs = zip(tokens, (1, 2, 3), strict=True)
        return Answer((3, 1, 2), tuple(Output(t, e, 1.0, 0, 0.0) for t, e in pairs))

    one = answer(1, BLANK, 3)
    assert (one.wrong, one.text) == ([1], "1 BLANK 3")
    assert one.changed_from(answer(2, BLANK, SEP)) == [0, 2]
    assert one.changed_from(one) == []


# -- figures ------------------------------------------------------------------------------------


def test_figures_show_the_numbers() -> None:
    model = small_model()
    found = decode_list(model, DIGITS)
    whole = json.loads(whole_answer(found).figure.to_json())["data"]
    np.testing.assert_array_equal(decoded(whole[0]["z"]), found.probabilities.T)
    assert whole[0]["x"] == ["out 0", "out 1", "out 2", "out 3"]
    assert whole[1]["y"] == ["1", "1", "3", "4"]  # what should be said
    wrong = found.answer.wrong
    assert wrong, "an untrained model that sorts"
    assert whole[2]["x"] == [f"out {i}" for i in wrong]
    assert whole[2]["y"] == [found.answer.text.split()[i] for i in wrong]

    (bars,) = json.loads(one_step(found, wrong[0]).figure.to_json())["data"]
    np.testing.assert_array_equal(decoded(bars["x"]), found.probabilities[wrong[0]])
    output = found.answer.outputs[wrong[0]]
    assert [i for i, shape in enumerate(bars["marker"]["pattern"]["shape"]) if shape] == [
        output.token
    ]

    seen = attention_of(model, found.answer)
    (heat,) = json.loads(heads_at_step(seen, 2).figure.to_json())["data"]
    np.testing.assert_array_equal(decoded(heat["z"]), weights_at(seen, 2).reshape(4, -1))
    assert heat["y"] == ["0.0", "0.1", "1.0", "1.1"]
    assert heat["x"] == list(seen.labels[:-1])


# -- the command --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save_model(folder / "model", small_model())
    return folder / "model"


def run(saved: Path, out: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    main(["--model", str(saved), "--list", "3141", "--out", str(out), "--json", *flags])
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_the_command_gives_the_numbers_and_says_what_they_are_of(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = run(saved, tmp_path, capsys, "--do", "published")
    expected, said = slow_decode(small_model(), DIGITS, published_mask(TASK))
    assert (data["analysis"], data["list"], data["do"]) == ("one_list.answer", "3141", "published")
    assert (data["seed"], len(data["model_hash"])) == (0, 16)
    assert data["intervention"] == "blanks masked for the outputs after the first"
    rows = data["rows"]
    assert [(row["output"], row["token"]) for row in rows[11:14]] == [
        (0, "BLANK"),
        (1, "0"),
        (1, "1"),
    ]
    got = torch.tensor([row["probability"] for row in rows]).view(4, 12)
    torch.testing.assert_close(got, expected)
    assert [i % 12 for i, row in enumerate(rows) if row["said"]] == said
    assert [i % 12 for i, row in enumerate(rows) if row["right"]] == sorted(DIGITS)
    right = sum(a == b for a, b in zip(said, sorted(DIGITS), strict=True))
    assert data["finding"][1].startswith(f"{right} of 4 outputs are right")
    (folder,) = (tmp_path / "one_list" / "answer").iterdir()
    assert json.loads((folder / "result.json").read_text()) == data
    assert "Plotly.newPlot" in (folder / "figure.html").read_text()


def test_one_step_and_its_attention(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = run(saved, tmp_path, capsys)["rows"]
    assert run(saved, tmp_path, capsys, "--step", "2")["rows"] == every[24:36]
    data = run(saved, tmp_path, capsys, "--step", "2", "--attention")
    model = small_model()
    at = weights_at(attention_of(model, decode_list(model, DIGITS).answer), 2)
    got = np.array([row["attention"] for row in data["rows"]]).reshape(at.shape)
    np.testing.assert_allclose(got, at, rtol=1e-5, atol=1e-7)
    first = data["rows"][0]
    assert (first["position"], first["label"], first["region"]) == (2, "in 0: 3", "digits")
    assert [line.split(":")[0] for line in data["finding"]] == [
        f"head {layer}.{head}" for layer in range(2) for head in range(2)
    ]


def test_the_seed_is_that_of_what_is_sampled(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, model = [], small_model()
    for seed in (0, 1):
        flags = ("--do", "resample:0-3", "--seed", str(seed))
        rows = run(saved, tmp_path, capsys, *flags)["rows"]
        done = Treatment.parse("resample:0-3").on_list(model, DIGITS, seed)
        expected, _ = slow_decode(model, DIGITS, done)
        found.append(torch.tensor([row["probability"] for row in rows]).view(4, 12))
        torch.testing.assert_close(found[-1], expected)
    assert not torch.equal(*found)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--attention"], "--attention is of one step: give --step as well"),
        (["--step", "3", "--list", "314"], "--step must be 0 to 2 for this list, not 3"),
        (["--step", "-1", "--list", "314"], "--step must be 0 to 2 for this list, not -1"),
        (["--list", "3,12"], "'12' is not a digit from 0 to 9"),
        (["--list", "3,x"], "'3,x' is neither a list like 3,1,4,1,5 nor a file of lists"),
        (["--list", "1234567"], "the list has 7 digits; this model takes 1 to 6"),
        (["--do", "zero:4", "--list", "1"], "blank 4 is not in this model"),
        (["--do", "nothing", "--list", "1"], "'nothing' is nothing that can be done"),
        (["--do", "transplant:0:12", "--list", "1"], "they must be of the same length"),
        (["--seed", "-1"], "--seed must be 0 or more, not -1"),
    ],
)
def test_what_cannot_be_asked(
    saved: Path,
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    given = ["--model", str(saved), "--out", str(tmp_path / "out"), *flags]
    assert status(main, given) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not said.out
    assert not (tmp_path / "out").exists()


TAKE_A_SECOND_LIST = {
    "patch": "corrupt",
    "without": "other",
    "programs": "prefix",
    "dial": "prefix",
}


@pytest.mark.parametrize(("name", "flag"), TAKE_A_SECOND_LIST.items())
def test_a_second_list_may_stand_in_a_file(
    saved: Path,
    tmp_path: Path,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    name: str,
    flag: str,
) -> None:
    one = catalogue.experiment(f"one_list.{name}")
    out = ["--model", str(saved), "--list", "3141", "--out", str(tmp_path / "out"), "--json"]

    def said(given: str) -> str:
        run_command(one, [*out, f"--{flag}", given])
        return capsys.readouterr().out

    (tmp_path / "one").write_text("\n3,1,4,2\n")
    (tmp_path / "two").write_text("3142\n3143\n")
    typed = "1,2" if flag == "prefix" else "3,1,4,2"
    if flag == "prefix":
        (tmp_path / "one").write_text("1,2")
    assert said(str(tmp_path / "one")) == said(typed)
    for file, why in (("two", "holds 2 lists"), ("none", "neither a list")):
        assert status(partial(run_command, one), [*out, f"--{flag}", str(tmp_path / file)]) == 2
        assert why in capsys.readouterr().err


def test_no_other_experiment_of_a_list_takes_a_second() -> None:
    """What a body parses may stand in a file only if its settings say so."""
    said = {
        one.name.removeprefix("one_list."): one.settings.typed_lists[0]
        for one in catalogue.experiments().values()
        if hasattr(one.settings, "typed_lists")
    }
    assert said == TAKE_A_SECOND_LIST


def test_blanks_of_a_model_that_has_none(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "bare", small_model(task=SortTask(5, 0)))
    given = ["--model", str(tmp_path / "bare"), "--list", "21", "--out", str(tmp_path)]
    assert status(main, [*given, "--do", "zero:0"]) == 2
    assert "this model has no blanks" in capsys.readouterr().err
    main([*given, "--json", "--step", "0", "--attention"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["region"] for row in rows} == {"digits", "sep"}  # SEP emits the first output


def test_help_is_quick() -> None:
    code = (
        "import sys\n"
        "from analyses.experiment import main\n"
        "from analyses.one_list.answer import EXPERIMENT\n"
        "try: main(EXPERIMENT, ['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'plotly', 'streamlit'} & set(sys.modules), 'imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--attention" in done.stdout
