"""The head finder: names what was planted, no decoy, and is not fooled where ablations mislead."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from analyses.heads.head_finder import EXPERIMENT, HeadConfig, compute
from analyses.heads.head_finder.body import (
    NAMED,
    OTHERS,
    figure,
    on_top,
    summary,
    to_json,
    verdicts,
)
from analyses.heads.head_finder.result import HeadResult
from interp.answers.kinds import HEAD_KINDS
from interp.answers.trials import Condition, chunks, donors_for, nothing, run_trials
from interp.checkpoints import save_model
from interp.methods.attention import Target
from interp.methods.heads import AS_IT_IS, HeadOutputs, exact_lost, log_prob_lost
from interp.model import SortTransformer
from interp.sites import Component, hook_name
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import SortTask
from tests.models import TASK, small_model

SMALL = SortTask(max_len=6, n_blanks=7)
FEW = HeadConfig(lists=48, reference=16, pattern_lists=24)


@pytest.fixture(scope="module")
def results() -> dict[str, HeadResult]:
    return {name: compute(compile_sorter(name, SMALL).model, FEW) for name in SORTERS}


# -- known algorithms ------------------------------------------------------------------------


@pytest.mark.parametrize("name", SORTERS)
def test_it_names_the_planted_heads_and_no_decoy(name: str, results: dict[str, HeadResult]) -> None:
    truth, result = compile_sorter(name, SMALL).truth, results[name]
    assert set(result.named) == truth.heads
    assert verdicts(result)["heads"] == sorted([*head] for head in truth.heads)
    for kind in HEAD_KINDS:
        for head in truth.decoy_heads:
            assert abs(result.effect(kind, head).value) < 1e-5
        for head in truth.heads:
            assert result.effect(kind, head).low > 1
    joint = {n: result.joint.exact_match(n).value for n in result.joint.names}
    assert joint[AS_IT_IS] == joint[OTHERS] == 1
    assert joint[NAMED] < 0.3  # short lists may share an answer with their donor


@pytest.mark.parametrize("name", SORTERS)
def test_patterns_alone_would_name_decoys(name: str, results: dict[str, HeadResult]) -> None:
    """Some decoy has the most conspicuous pattern, and the words say that it carries nothing."""
    truth, result = compile_sorter(name, SMALL).truth, results[name]
    assert {head for head, _ in on_top(result).values()} & truth.decoy_heads
    assert "not named, resample 0.000 [0.000, 0.000] nats" in "\n".join(summary(result))


def test_the_decoy_that_looks_at_its_own_blank(results: dict[str, HeadResult]) -> None:
    """direct 1.2 looks exactly as slots 1.2 does, and only the latter is read."""
    for name in ("slots", "direct"):
        head, score = on_top(results[name])[Target.OWN_BLANK]
        assert head == (1, 2) and score > 0.9
    assert (1, 2) in results["slots"].named and (1, 2) not in results["direct"].named


def test_a_head_that_writes_a_constant_is_indispensable_by_zero_ablation_only() -> None:
    """A decoy of ``direct`` writes 20 to BLANK's logit, whatever the list, and b_O takes it off."""
    model = compile_sorter("direct", SMALL).model
    attn = model.blocks[1].attn
    with torch.no_grad():
        direction = torch.linalg.pinv(model.W_U.T)[:, 3]  # raises the logit of digit 3
        attn.b_V[1, 0] = 1.0
        attn.W_V[1, :, 0] = 0.0
        attn.W_O[1, 0] = -20 * direction
        attn.b_O += 20 * direction
    result = compute(model, FEW)
    assert result.effect("zero", (1, 1)).low > 1
    assert abs(result.effect("resample", (1, 1)).value) < 1e-5
    assert abs(result.effect("mean", (1, 1)).value) < 1e-5
    assert result.named == [(0, 0)]
    assert set(compute(model, HeadConfig(48, 16, 24, 24, "zero")).named) == {(0, 0), (1, 1)}


def test_two_heads_that_stand_in_for_each_other_show_only_together() -> None:
    """slots with its copying head twice: without either, the answer is still there."""
    model = compile_sorter("slots", SMALL).model
    attn = model.blocks[1].attn
    with torch.no_grad():
        for name in ("W_Q", "b_Q", "W_K", "b_K", "W_V", "b_V", "W_O"):
            getattr(attn, name)[0] = getattr(attn, name)[2]
    result = compute(model, HeadConfig(lists=48, pattern_lists=24, ablation="zero"))
    assert result.named == [(0, 1)]
    assert result.joint.exact_match(OTHERS).value < 0.3
    assert "not by it alone" in summary(result)[-1]


# -- against slow plain code, and nulls ------------------------------------------------------


def test_effects_against_hooks_by_hand() -> None:
    """Resample, mean and zero of head 1.1 and 0.0, on lists of one length, in the hooked model."""
    model, batch = small_model(), TASK.sample(5, stream("test", 0), torch.full((5,), 4))
    donors = donors_for(model, batch, 7)
    reference = TASK.sample(6, stream("reference", 7, 4), torch.full((6,), 4))
    outputs = HeadOutputs(donors, 6, 7)
    for layer, head in ((0, 0), (1, 1)):
        place = hook_name(Component.Z, layer)
        zs = {
            k: model.run_with_cache(b.tokens)[1][place]
            for k, b in (("d", donors), ("r", reference))
        }
        values = {"resample": zs["d"], "mean": zs["r"].mean(0), "zero": torch.zeros(())}
        for kind, value in values.items():
            rows = slice(TASK.first_output_row, TASK.first_output_row + 4)
            right = batch.tokens[:, rows.start + 1 : rows.stop + 1, None]
            wanted = []
            ablated: list[Any] = [(place, partial(put, head=head, value=value))]
            for hooks in ([], ablated):
                logits: Any = model.run_with_hooks(batch.tokens, fwd_hooks=hooks)
                log_prob = logits[:, rows].log_softmax(-1)
                wanted.append(log_prob.gather(-1, right)[..., 0].mean(1))
            conditions: dict[str, Condition] = {
                AS_IT_IS: nothing,
                "ablated": partial(outputs.ablate, kind, [(layer, head)]),
            }
            trials = run_trials(model, batch, conditions, seed=7)
            torch.testing.assert_close(
                log_prob_lost(trials, "ablated"), wanted[0] - wanted[1], atol=1e-5, rtol=1e-4
            )


def put(z: torch.Tensor, hook: object, head: int, value: torch.Tensor) -> torch.Tensor:
    z = z.clone()
    z[:, :, head] = value[..., head, :] if value.ndim else value
    return z


def test_its_own_output_put_back_changes_no_bit() -> None:
    model = small_model()
    batch = TASK.held_out(12)
    outputs = HeadOutputs(donors_for(model, batch, 0), 4, 0)
    with torch.no_grad():
        for chunk in chunks(model, batch):
            for head in ((0, 1), (1, 0)):
                logits = chunk.logits(outputs.ablate("own", [head], chunk))
                assert torch.equal(logits, chunk.base.logits)


def test_lists_lost_are_bounded_when_none_was_lost() -> None:
    model = compile_sorter("direct", SMALL).model
    trials = run_trials(model, SMALL.held_out(30), {AS_IT_IS: nothing, "same": nothing})
    lost = exact_lost(trials, "same")
    assert (lost.value, lost.low, lost.high, lost.n) == (0, -0.1, 0.1, 30)


def test_an_untrained_model_has_no_heads_to_name() -> None:
    result = compute(small_model(seed=3), HeadConfig(lists=24, pattern_lists=8, reference=4))
    assert verdicts(result)["control_costs_nothing"]
    plain = result.joint.exact_match(AS_IT_IS).value
    assert plain < 0.05 and "hardly sorts at all" in summary(result)[-1]


@pytest.mark.parametrize(
    ("task", "norm", "n_layers"),
    [
        (SortTask(1, 0), "pre", 1),
        (SortTask(1, 1), "post", 2),
        (SortTask(3, 0, pos_offset=4), "none", 3),
        (SortTask(5, 2), "pre", 2),
    ],
)
def test_any_model(task: SortTask, norm: str, n_layers: int) -> None:
    model = small_model(norm, n_layers, task)
    config = HeadConfig(lists=6, pattern_lists=3, reference=2)
    first, again = compute(model, config, seed=4), compute(model, config, seed=4)
    data = json.dumps(to_json(first), allow_nan=False)
    assert data == json.dumps(to_json(again), allow_nan=False)  # the same seed: the same bits
    assert len(json.loads(data)["heads"]) == 2 * n_layers
    assert len(figure(first).data) == 2 * len(HEAD_KINDS) + 1
    assert summary(first)[-1]


# -- command line ------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    save_model(tmp_path / "model", small_model(task=SortTask(4, 0)))
    return str(tmp_path / "model")


def test_command_on_a_model_without_blanks(
    status: Callable[..., int], tmp_path: Path, checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", checkpoint, "--out", str(tmp_path / "out"), "--json"]
    assert status(EXPERIMENT, [*flags, "--lists", "8", "--ablation", "mean"]) == 0
    printed = json.loads(capsys.readouterr().out)
    (folder,) = (tmp_path / "out" / "heads" / "head_finder").iterdir()
    assert printed == json.loads((folder / "result.json").read_text())
    assert printed["config"]["ablation"] == "mean" and "own" in printed["heads"][0]
    assert "<script src=" not in (folder / "figure.html").read_text()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--lists", "0"], "--lists must be at least 1, not 0"),
        (["--pattern-lists", "1"], "--pattern-lists must be at least 2"),
        (["--threshold", "-1"], "--threshold must be 0 or more"),
        (["--threshold", "nan"], "--threshold must be 0 or more"),
        (["--threshold", "inf"], "--threshold"),
        (["--ablation", "knockout"], "knockout"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    status: Callable[..., int], flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(EXPERIMENT, flags) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_an_unknown_ablation_is_refused() -> None:
    model: SortTransformer = small_model()
    outputs = HeadOutputs(TASK.held_out(2), 1, 0)
    chunk = next(iter(chunks(model, TASK.held_out(2))))
    with pytest.raises(UserError, match="not by 'half'"):
        outputs.ablate("half", [(0, 0)], chunk)


def test_help_imports_no_torch() -> None:
    code = (
        "import sys, contextlib\n"
        "from analyses.experiment import main\n"
        "from analyses.heads import attention_patterns, head_finder\n"
        "for module in (attention_patterns, head_finder):\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main(module.EXPERIMENT, ['--help'])\n"
        "assert 'torch' not in sys.modules and 'plotly' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--threshold" in done.stdout
