"""Blanks that are taught what they could hold: before the last layer, for so many steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import torch

from interp.interventions import Zero, intervene
from interp.lists import Symbols
from interp.passes.packed import packed_logits, packed_logits_and_before, window
from interp.rule import Rule, one
from interp.rules import RULES, THREES, read_rule
from interp.sites import Component, Site
from interp.support.errors import UserError
from interp.task import Task
from tests.models import small_model
from training.loop import Trainer
from training.recipes import TrainConfig
from training.thoughts import lesson_at, taught

SMALL = TrainConfig(
    task="threes",
    max_len=5,
    n_blanks=23,
    d_model=16,
    n_heads=2,
    d_head=8,
    d_mlp=16,
    batch_size=8,
    steps=6,
    threads=1,
    thought_steps=4,
)


def test_three_numbers_are_found_by_trying_all() -> None:
    for values in ([1, 12, 0, 4], [5, 5, 3], [2, 4, 7, 12, 1, 0, 3, 5], list(range(13))):
        threes = [sorted(three) for three in combinations(sorted(set(values)), 3)]
        found = [three for three in threes if sum(three) % 13 == 0]
        assert THREES.answer(values) == [min(12, len(found))]
        many, there = (thought(values) for thought in THREES.thoughts)
        assert sum(there) == len(found) == many.count(3)
        assert len(many) == len(there) == THREES.n_thoughts == 22


def test_numbers_of_short_lists_are_different() -> None:
    batch = Task(13, 0, rule=THREES).sample(50)
    lists = [Task(13, 0, rule=THREES).decode_list(tokens) for tokens in batch.tokens]
    assert all(len(set(values)) == len(values) for values in lists)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_what_is_taught_is_the_stream_before_the_last_layer(norm: str) -> None:
    task = Task(5, 6)
    model = small_model(task=task, norm=norm)
    batch = task.sample(9)
    view = window(task, batch)
    logits, before = packed_logits_and_before(model, batch.tokens, view)
    assert torch.equal(logits, packed_logits(model, batch.tokens, view))
    _, cache = model.run_with_cache(batch.tokens)
    stream = cache[f"blocks.{model.cfg.n_layers - 1}.hook_resid_pre"][:, view.rows]
    said, real = model.unembed(model.ln_final(stream)), batch.tokens[:, view.rows] != task.pad
    torch.testing.assert_close(before[real], said[real], atol=1e-5, rtol=1e-4)
    with (
        intervene(model, [Zero(Site(Component.Z, 0))]),
        pytest.raises(UserError, match="read before its last layer"),
    ):
        packed_logits_and_before(model, batch.tokens, view)


def test_the_loss_is_that_of_slow_code() -> None:
    trainer = Trainer(SMALL)
    task, batch = trainer.model.task, trainer.batch(0)
    view = window(task, batch)
    _, before = packed_logits_and_before(trainer.model, batch.tokens, view)
    found = taught(before, batch, view, lesson=1)
    loss, right, before = 0.0, 0, before.detach()
    for n, tokens in enumerate(batch.tokens):
        for blank, wanted in enumerate(THREES.thoughts[1](task.decode_list(tokens))):
            row = before[n, task.sep_pos + 1 + blank - view.first_row]
            loss -= float(row.log_softmax(-1)[wanted]) * 2 / 22
            right += int(row.argmax()) == wanted
    assert found.loss.item() == pytest.approx(loss, rel=1e-5)
    assert (int(found.right), found.count) == (right, 8 * 22)


def test_lessons_share_the_steps_and_then_there_are_none() -> None:
    assert [lesson_at(step, SMALL) for step in range(6)] == [0, 0, 1, 1, None, None]
    assert lesson_at(0, replace(SMALL, thought_steps=0)) is None


def test_gradients_are_those_of_the_answer_alone_after_the_lessons() -> None:
    with_them, without = Trainer(SMALL), Trainer(replace(SMALL, thought_steps=0))
    batch = with_them.batch(0)
    for step, same in ((0, False), (3, False), (4, True)):
        with_them.step = without.step = step
        (one_way, measured), (other, plain) = (
            trainer.gradients(batch, measure=True) for trainer in (with_them, without)
        )
        assert all(map(torch.equal, one_way, other)) is same
        assert measured is not None and plain is not None
        assert measured.loss == pytest.approx(plain.loss)  # the answer's, as ever
        assert (measured.thought_accuracy is None) is same and plain.thought_accuracy is None


def first_two(values: Sequence[int]) -> list[int]:
    return [values[0], values[-1]]


def test_blanks_learn_what_they_are_taught(
    monkeypatch: pytest.MonkeyPatch, unchecked: None
) -> None:
    rule = Rule(
        "ends-of-it", Symbols(4), lambda values: [values[0]], "the first", outputs=one,
        thoughts=(first_two,),
    )  # fmt: skip
    monkeypatch.setitem(RULES, rule.name, rule)
    config = replace(
        SMALL, task=rule.name, max_len=3, n_blanks=3, batch_size=32, steps=100, thought_steps=100,
        lr=0.01, micro_batch=32, positions="learned", schedule="constant", warmup_steps=5,
    )  # fmt: skip
    trainer = Trainer(config)
    first = trainer.update(measure=True)
    for _ in range(98):
        trainer.update()
    last = trainer.update(measure=True)
    assert first is not None and first.thought_accuracy is not None and last is not None
    assert first.thought_accuracy < 0.5 < 0.9 < (last.thought_accuracy or 0)


REFUSED = {
    "the task sort does not say what blanks could hold": {"task": "sort"},
    "has thoughts for 22 blanks.*give --n-blanks 23 or more": {"n_blanks": 22},
    "needs two layers": {"n_layers": 1},
    "contradicts --no-blank-loss": {"blank_loss": False},
    "native kernels cannot teach": {"kernel": "native"},
    "must be 0 or more, not -1": {"thought_steps": -1},
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_taught_is_refused(words: str) -> None:
    with pytest.raises(UserError, match=words):
        replace(SMALL, **REFUSED[words])


def test_a_recipe_without_thoughts_is_as_it_was() -> None:
    plain = replace(SMALL, thought_steps=0)
    assert "thought_steps" not in plain.to_dict() and "taught" not in plain.label()
    assert TrainConfig.from_dict(SMALL.to_dict()) == SMALL and "taught" in SMALL.label()


@pytest.mark.parametrize(
    ("thought", "words"),
    [
        ("[v + 9 for v in values]", "thought 0 to .*, where each is a number from 0 to 3"),
        ("[]", "where each is a number"),
        ("list(values)", "more thoughts of some lists than of others"),
        ("1 / 0", "fails in its thought 0 to"),
    ],
)
def test_bad_thoughts_of_a_file(thought: str, words: str, tmp_path: Path, unchecked: None) -> None:
    (tmp_path / "own.py").write_text(
        "from interp.lists import Symbols\nfrom interp.rule import Rule\n"
        "def answer(values):\n    return values\n"
        f"def think(values):\n    return {thought}\n"
        'RULE = Rule("thinks", Symbols(4), answer, "words", thoughts=(think,))\n'
    )
    rule = read_rule(tmp_path / "own.py")
    with pytest.raises(UserError, match=words):
        Task(4, 9, rule=rule).try_rule()
    with pytest.raises(UserError, match="thoughts cannot be 3: functions, in a tuple"):
        replace(rule, thoughts=3)
