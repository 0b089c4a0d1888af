"""The logit lens against literal unembedding, and what blanks say where that is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from interp.methods.lens import (
    Lens,
    blank_candidates,
    depths,
    everywhere,
    lens,
    numbered_blanks,
    preference,
    sorted_digits,
)
from interp.model import SortTransformer
from interp.passes.forward import Run
from interp.passes.packed import window
from interp.sites import Component
from interp.sorters.compiled import compile_sorter
from interp.task import BLANK, PAD, SortTask
from tests.models import TASK, small_model

LISTS = [[3, 1, 4, 1], [2, 2], [9], [5, 0, 5, 0, 5, 1]]


def made(logits: list[list[float]]) -> Lens:
    """A lens on one list, at one depth, of positions 0, 1, ..."""
    return Lens(
        TASK, ((Component.RESID_PRE, 0),), range(len(logits)), torch.tensor(logits)[None, None]
    )


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_every_stream_at_every_position_goes_through_the_models_own_end(norm: str) -> None:
    model = small_model(norm, n_layers=3)
    batch = TASK.encode(LISTS)
    seen = lens(model, batch.tokens, everywhere(TASK, batch))
    whole = Run.from_cache(model, batch.tokens)
    real = (batch.tokens != PAD)[:, :-1]
    assert seen.positions == range(TASK.n_ctx - 1)  # the last one emits nothing
    parts = (Component.RESID_MID, Component.RESID_POST)
    after = [(part, layer) for layer in range(3) for part in parts]
    assert list(seen.depths) == [(Component.RESID_PRE, 0), *after]
    for number, place in enumerate(seen.depths):
        x = whole.at(*place)[:, :-1]
        if norm == "pre":
            centred = x - x.mean(-1, keepdim=True)
            scale = (centred.pow(2).mean(-1, keepdim=True) + model.cfg.eps).sqrt()
            x = centred / scale * model.ln_final.w + model.ln_final.b
        literal = x @ model.W_U + model.b_U
        torch.testing.assert_close(seen.logits[:, number][real], literal[real], atol=3e-5, rtol=0)
    torch.testing.assert_close(
        seen.logits[:, -1][real], whole.logits[:, :-1][real], atol=3e-5, rtol=0
    )


def test_depths_are_named() -> None:
    seen = Lens(TASK, depths(2), range(0), torch.zeros(1, 5, 0, 12))
    words = "before layer 0, after attention 0, after MLP 0, after attention 1, after MLP 1"
    assert ", ".join(seen.labels) == words


def test_ranks_and_probabilities_are_counted_out() -> None:
    seen = made([[0.0, 2.0, 1.0], [5.0, 5.0, 0.0], [7.0, 7.0, 7.0]])
    assert seen.rank(torch.tensor([[1, 0, 2]])).tolist() == [[[1.0, 1.5, 2.0]]]
    assert seen.rank(torch.tensor([[0, 2, PAD]]))[0, 0, :2].tolist() == [3.0, 3.0]
    assert seen.rank(torch.tensor([[0, 2, PAD]]))[0, 0, 2].isnan()
    probability = seen.probability(torch.tensor([[PAD, 2, 1]]))[0, 0]
    assert probability[0].isnan()
    assert probability[1].item() == pytest.approx(1 / (2 * 2.718281828**5 + 1), rel=1e-5)
    assert probability[2].item() == pytest.approx(1 / 3)


def test_a_part_of_the_positions_is_cut_out_by_absolute_number() -> None:
    seen = Lens(TASK, ((Component.RESID_PRE, 0),), range(4, 7), torch.arange(6.0).view(1, 1, 3, 2))
    assert seen.at(range(5, 7)).logits.tolist() == [[[[2.0, 3.0], [4.0, 5.0]]]]
    with pytest.raises(ValueError, match="has positions"):
        seen.at(range(3, 5))


def test_a_choice_between_lists_is_right_wrong_or_exactly_chance() -> None:
    a, b = torch.tensor([[0, 0, 0, PAD]]), torch.tensor([[1, 1, 0, 1]])
    first, second = [2.0, 1.0], [1.0, 2.0]
    own = made([first, second, first, first])
    other = made([second, first, second, second])
    assert preference(own, other, a, b)[0, 0, :2].tolist() == [1.0, 0.0]
    assert preference(own, other, a, b)[0, 0, 2:].isnan().all()  # the same token, and no token
    assert preference(own, own, a, b)[0, 0, :2].tolist() == [0.5, 0.5]  # depends on position alone
    level = made([[1.0, 1.0]] * 4)
    assert preference(level, level, a, b)[0, 0, 0].item() == 0.5
    assert preference(own, level, a, b)[0, 0, 0].item() == 0.75


def blanks_of(model: SortTransformer, lists: list[list[int]]) -> tuple[Lens, Tensor]:
    batch = model.task.encode(lists)
    seen = lens(model, batch.tokens, window(model.task, batch))
    return seen, blank_candidates(model.task, batch.tokens, seen)


def test_candidates_of_a_blank_are_the_answer_what_is_emitted_and_BLANK() -> None:
    model = compile_sorter("slots", SortTask(4, 5)).model
    _, candidates = blanks_of(model, [[3, 1, 1], [9]])
    assert candidates[0].tolist() == [[1, 1, 3], [1, 1, 3], [BLANK] * 3]
    assert candidates[1].tolist() == [[9, PAD, PAD], [9, PAD, PAD], [BLANK, PAD, PAD]]
    with torch.no_grad():
        model.unembed.b_U[7] += 100.0  # now it says 7, whatever is asked
    _, candidates = blanks_of(model, [[3, 1, 1]])
    assert candidates[0, :2].tolist() == [[1, 1, 3], [7, 7, 7]]


def test_the_last_blank_is_an_answer_and_not_asked() -> None:
    assert numbered_blanks(SortTask(4, 2), 4) == range(5, 6)
    assert numbered_blanks(SortTask(4, 9), 3) == range(5, 8)
    assert len(numbered_blanks(SortTask(4, 1), 4)) == len(numbered_blanks(SortTask(4, 0), 4)) == 0


def test_the_lens_sees_nothing_of_an_answer_in_a_space_that_is_not_read() -> None:
    """``slots`` holds sorted[j] at blank j after layer 0, and the unembedding reads other axes."""
    task = SortTask(5, 6)
    model = compile_sorter("slots", task).model
    lists = [[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]]
    seen, candidates = blanks_of(model, lists)
    here = seen.at(numbered_blanks(task, 5)).among_digits()
    assert (here.logits[:, :3] == 0).all()
    assert (here.rank(candidates[:, 0])[:, :3] == 5.5).all()  # the mean of ranks 1 to 10

    copies = model.blocks[1].attn.W_O[2]  # the head that moves the copy to where it is read
    values = model.blocks[1].attn.W_V[2]
    with torch.no_grad():
        model.unembed.W_U += values @ copies @ model.unembed.W_U  # a positive control: now read it
    seen, candidates = blanks_of(model, lists)
    here = seen.at(numbered_blanks(task, 5)).among_digits()
    assert (here.rank(candidates[:, 0])[:, 2] == 1).all()
    assert (here.rank(candidates[:, 0])[:, 1] == 5.5).all()  # not yet after the attention


def test_sorted_digits_end_with_the_list() -> None:
    batch = TASK.encode([[3, 1, 2], [0]])
    assert sorted_digits(TASK, batch.tokens, 4).tolist() == [[1, 2, 3, PAD], [0, PAD, PAD, PAD]]
