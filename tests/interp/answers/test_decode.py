"""One forward pass along the right answer says what decoding token by token would do."""

from functools import cache

import pytest
import torch

from interp.answers.ablation import published_mask
from interp.answers.decode import decode_stepwise, exact_match, greedy_decode, score
from interp.config import ModelConfig
from interp.interventions import intervene
from interp.model import SortTransformer
from interp.passes.packed import Dropout, packed_logits, parts_of, window
from interp.support.errors import UserError
from interp.support.progress import Progress
from interp.support.seeds import stream
from interp.task import PAD, SortTask
from tests.models import as_matrix, cached_decode
from training.loop import Trainer
from training.recipes import TrainConfig

TASKS = {"blanks": SortTask(4, 5), "no blanks": SortTask(4, 0), "offset": SortTask(4, 0, 5)}
SIZES = {"d_model": 20, "n_heads": 2, "d_head": 10, "d_mlp": 64}


@cache
def half_trained(task: SortTask) -> SortTransformer:
    """Right about some lists, wrong about others."""
    config = TrainConfig(
        max_len=task.max_len,
        n_blanks=task.n_blanks,
        pos_offset=bool(task.pos_offset),
        lr=5e-3,
        batch_size=32,
        warmup_steps=5,
        steps=1000,
        threads=1,
        precision="float32",
        **SIZES,
    )
    trainer = Trainer(config)
    for _ in range(60):
        trainer.update()
    return trainer.model.eval()


@pytest.fixture(scope="module", params=TASKS)
def trained(request) -> SortTransformer:
    return half_trained(TASKS[request.param])


@pytest.fixture(scope="module")
def with_blanks() -> SortTransformer:
    return half_trained(TASKS["blanks"])


def lists_of(model: SortTransformer, n_lists: int = 200) -> list[tuple[int, ...]]:
    batch = model.task.sample(n_lists, stream("test", "decode"))
    return [model.task.decode_list(tokens) for tokens in batch.tokens]


# -- exact match --------------------------------------------------------------------------------


def test_exact_is_exact_under_greedy_decoding(trained):
    lists = lists_of(trained)
    exact = score(trained, trained.task.encode(lists)).exact.tolist()
    decoded = greedy_decode(trained, lists).lists
    assert exact == [out == tuple(sorted(v)) for v, out in zip(lists, decoded, strict=True)]
    assert 0.1 < sum(exact) / len(exact) < 0.95  # both kinds were compared


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_an_untrained_model_scores_as_it_decodes(task, norm):
    model = SortTransformer(ModelConfig(task=task, norm=norm, **SIZES))
    lists = [(d,) for d in range(10)] + lists_of(model, 60)
    exact = score(model, task.encode(lists)).exact.tolist()
    decoded = greedy_decode(model, lists).lists
    assert exact == [out == tuple(sorted(v)) for v, out in zip(lists, decoded, strict=True)]


@pytest.mark.parametrize("last_blank_too", [False, True])
def test_exact_is_exact_with_blanks_masked(with_blanks, last_blank_too):
    masks = published_mask(with_blanks.task, last_blank_too)
    lists = lists_of(with_blanks)
    exact = score(with_blanks, with_blanks.task.encode(lists), interventions=masks).exact.tolist()
    decoded = greedy_decode(with_blanks, lists, interventions=masks).lists
    assert exact == [out == tuple(sorted(v)) for v, out in zip(lists, decoded, strict=True)]
    assert exact != score(with_blanks, with_blanks.task.encode(lists)).exact.tolist()


# -- scores -------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits_only", [True, False])
def test_scores_against_slow_code(trained, digits_only):
    task = trained.task
    batch = task.encode(lists_of(trained, 80))
    scores = score(trained, batch, digits_only=digits_only)
    first = task.first_output_row if digits_only else task.sep_pos
    logits = trained(batch.tokens)
    for i in range(len(batch)):
        length = int(batch.lengths[i])
        rows = range(first, task.first_output_row + length)
        right = [int(logits[i, p].argmax()) == int(batch.tokens[i, p + 1]) for p in rows]
        padding = [False] * (task.max_len - length + 1)
        assert scores.right[i].tolist() == right + padding
        assert scores.scored[i].tolist() == [True] * len(rows) + padding
        assert bool(scores.exact[i]) == all(right)


def test_scores_with_dropout_are_of_masks_drawn_part_by_part(trained):
    task, p = trained.task, 0.3
    batch = task.encode(lists_of(trained, 50))
    drawn, literal = (Dropout(p, stream("test", "masks")) for _ in range(2))
    exact = score(trained, batch, dropout=drawn).exact
    for index in parts_of(trained, batch, 32):
        part = batch[index]
        view = window(task, part, digits_only=True)
        with torch.no_grad():
            said = packed_logits(trained, part.tokens, view, literal).argmax(-1)
        wanted = task.targets(part.tokens)[:, view.rows]
        assert torch.equal(exact[index], ((said == wanted) | (wanted == PAD)).all(1))
    plain = score(trained, batch).exact
    assert exact.sum() < plain.sum()
    none = Dropout(0.0, stream("test", "masks"))
    assert torch.equal(score(trained, batch, dropout=none).exact, plain)


def test_dropout_and_what_is_done_to_the_model_are_refused_together(with_blanks):
    batch = with_blanks.task.encode([[3, 1]])
    dropout, mask = Dropout(0.1, stream("test", "masks")), published_mask(with_blanks.task)
    with pytest.raises(UserError, match="with interventions or with dropout, not with both"):
        score(with_blanks, batch, interventions=mask, dropout=dropout)
    with (
        intervene(with_blanks, mask),
        pytest.raises(UserError, match="training with dropout would ignore"),
    ):
        score(with_blanks, batch, dropout=dropout)


def test_scores_do_not_depend_on_the_company(with_blanks):
    """A list is cut and grouped with others; its score must be its own."""
    batch = with_blanks.task.encode(lists_of(with_blanks, 100))
    together = score(with_blanks, batch)
    for i in range(0, 100, 9):
        alone = score(with_blanks, batch[i : i + 1])
        assert torch.equal(alone.right[0], together.right[i])


def test_decoding_with_a_mask_leaves_no_hooks(with_blanks):
    task = with_blanks.task
    plain = greedy_decode(with_blanks, [[3, 1]])
    masked = greedy_decode(with_blanks, [[3, 1]], interventions=published_mask(task))
    assert not torch.equal(masked.probabilities, plain.probabilities)
    assert torch.equal(greedy_decode(with_blanks, [[3, 1]]).probabilities, plain.probabilities)
    assert not masked.probabilities.requires_grad


# -- decoding -----------------------------------------------------------------------------------


def test_decoding_against_slow_code(trained):
    """Without a cache: the whole sequence again for every token."""
    task = trained.task
    lists = lists_of(trained, 30)
    decoded = greedy_decode(trained, lists)
    for i, values in enumerate(lists):
        sequence = task.encode([values]).tokens[:, : task.prompt_len]
        for step in range(len(values)):
            probabilities = trained(sequence)[0, -1].softmax(-1)
            torch.testing.assert_close(
                decoded.probabilities[i, step], probabilities, atol=1e-5, rtol=0
            )
            assert decoded.lists[i][step] == int(probabilities.argmax())
            sequence = torch.cat([sequence, probabilities.argmax()[None, None]], 1)
        assert len(decoded.lists[i]) == len(values)


def test_decoding_under_a_mask_against_the_hooked_model_with_its_cache(with_blanks):
    """As ``HookedTransformer`` does it: a KV cache, one new token at a time, hooks on."""
    task, lists = with_blanks.task, lists_of(with_blanks, 20)
    decoded = greedy_decode(with_blanks, lists, interventions=published_mask(task))
    with intervene(with_blanks, published_mask(task)):
        for i, values in enumerate(lists):
            expected = cached_decode(with_blanks, values)
            found = decoded.probabilities[i, : len(values)]
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
            assert decoded.lists[i] == tuple(expected.argmax(-1).tolist())


def test_probabilities_sum_to_one(with_blanks):
    decoded = greedy_decode(with_blanks, [[3, 1, 2], [4]])
    torch.testing.assert_close(decoded.probabilities.sum(-1), torch.ones(2, 3))


# -- the published mask -------------------------------------------------------------------------


def test_the_published_mask_of_a_tiny_task():
    """Positions: two digits, SEP, three blanks (the last emits the first digit), two outputs."""
    task = SortTask(2, 3)
    assert as_matrix(published_mask(task), task).int().tolist() == [
        *[[0, 0, 0, 0, 0, 0, 0, 0]] * 6,
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 1, 0, 0],
    ]
    assert as_matrix(published_mask(task, last_blank_too=True), task).int().tolist() == [
        *[[0, 0, 0, 0, 0, 0, 0, 0]] * 5,
        [0, 0, 0, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 1, 0, 0],
    ]


def test_the_published_mask():
    blocked = as_matrix(published_mask(SortTask()), SortTask())
    assert blocked.sum() == 48 * 49
    assert blocked[98:, 49:98].all()


@pytest.mark.parametrize("last_blank_too", [False, True])
def test_without_blanks_there_is_nothing_to_mask(last_blank_too):
    assert published_mask(SortTask(4, 0), last_blank_too) == []


def test_padding_after_a_finished_list_is_not_decoded(with_blanks):
    """Lists of different lengths are decoded together, and each as if alone."""
    lists = [(9,), (4, 3, 2, 1), (5, 5)]
    together = greedy_decode(with_blanks, lists).lists
    assert together == [greedy_decode(with_blanks, [values]).lists[0] for values in lists]
    assert all(token < PAD for out in together for token in out)


@pytest.mark.parametrize("masked", [False, True])
def test_decoding_step_by_step_says_the_same(trained, masked):
    masks = published_mask(trained.task, True) if masked and trained.task.n_blanks else []
    lists = lists_of(trained, 40)
    wanted = greedy_decode(trained, lists, interventions=masks).lists
    assert decode_stepwise(trained, lists, interventions=masks) == wanted
    exact = score(trained, trained.task.encode(lists), interventions=masks).exact.tolist()
    assert 0 < sum(exact) < len(exact) or masked
    assert [a == tuple(sorted(v)) for a, v in zip(wanted, lists, strict=True)] == exact


def test_decoding_step_by_step_shares_nothing_with_the_fast_passes(with_blanks, monkeypatch):
    from interp.answers import decode

    def broken(*args, **kwargs):
        raise AssertionError("a fast pass was used")

    lists = lists_of(with_blanks, 5)
    wanted = greedy_decode(with_blanks, lists).lists
    monkeypatch.setattr(decode, "forward", broken)
    monkeypatch.setattr(decode, "Passes", broken)
    monkeypatch.setattr(decode, "packed_logits", broken)
    assert decode_stepwise(with_blanks, lists) == wanted
    with pytest.raises(AssertionError, match="a fast pass was used"):
        greedy_decode(with_blanks, lists)


def test_a_scoring_says_how_far_it_is_and_can_be_left(trained: SortTransformer) -> None:
    steps: list[int] = []

    class Counting(Progress):
        def step(self, done: int = 1) -> None:
            steps.append(done)
            if sum(steps) > 200:
                raise KeyboardInterrupt

    counted = exact_match(trained, 200, progress=Counting())
    assert counted == exact_match(trained, 200) and sum(steps) == 200 and len(steps) > 1
    with pytest.raises(KeyboardInterrupt):
        exact_match(trained, 200, progress=Counting())
