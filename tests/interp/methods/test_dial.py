"""The number of a head: a planted one, the whole model under the same change, and exact nulls."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.checkpoints import compiled_names, load_bare
from interp.interventions import Set, edits_of
from interp.methods.dial import Dial, beside, dial_of, turned
from interp.methods.interchange import record
from interp.model import SortTransformer
from interp.passes.forward import Run, forward
from interp.passes.packed import Window
from interp.programs.prompts import Prompts
from interp.sites import Component, Frame, Site
from interp.task import Region, SortTask
from tests.models import small_model

TASK = SortTask(max_len=6, n_blanks=4)
PROMPTS = Prompts(((3, 1, 1, 5), (9, 9, 2, 2), (0, 5, 4, 4)), ((1,), (2, 2, 9), (0, 4)))


def planted() -> SortTransformer:
    """Head 0.1 gathers +v of every digit of the list and -v of every output: one feature of the
    positions, which nothing else writes, and v of its own values."""
    model = small_model("none", 2, TASK)
    listed, out = TASK.region(Region.DIGITS), range(TASK.first_output_row + 1, TASK.n_ctx)
    with torch.no_grad():
        attn = model.blocks[0].attn
        model.pos_embed.W_pos[:, 0] = 0
        model.pos_embed.W_pos[listed.start : listed.stop, 0] = 1
        model.pos_embed.W_pos[out.start : out.stop, 0] = -1
        model.embed.W_E[:, 0] = 0
        attn.W_V[1] = 0
        attn.b_V[1] = 0
        attn.W_V[1, 0] = torch.arange(1.0, attn.W_V.shape[-1] + 1)
    return model


def test_a_planted_number_is_attention_to_the_list_less_attention_to_outputs() -> None:
    model = planted()
    dial = dial_of(model, 1)
    assert dial is not None
    torch.testing.assert_close(dial.direction, torch.arange(1.0, 9.0))
    for n, number in enumerate(dial.read(record(model, PROMPTS))):
        one = PROMPTS.take(torch.tensor([n]))
        row = int(one.rows(TASK))
        run = Run.from_cache(model, one.tokens(TASK))
        pattern = run.at(Component.PATTERN, 0)[0, 1, row]
        first = TASK.first_output_row + 1
        wanted = pattern[: TASK.max_len].sum() - pattern[first:].sum()
        torch.testing.assert_close(number, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_a_number_that_is_set_is_that_of_the_whole_model(norm: str) -> None:
    """Against a pass over all positions in which the head's output is replaced."""
    model = small_model(norm, 2, TASK)
    rows, dial = record(model, PROMPTS), dial_of(model, 1)
    assert dial is not None
    numbers = torch.tensor([0.7, -1.2, 0.0])
    fast = turned(model, rows, dial, numbers)
    for n in range(len(PROMPTS)):
        torch.testing.assert_close(
            fast[n], slowly(model, dial, n, float(numbers[n])), atol=2e-5, rtol=1e-4
        )
    torch.testing.assert_close(turned(model, rows, dial, dial.read(rows)), rows.logits)


@torch.no_grad()
def slowly(model: SortTransformer, dial: Dial, n: int, number: float) -> torch.Tensor:
    one = PROMPTS.take(torch.tensor([n]))
    row, tokens, place = int(one.rows(TASK)), one.tokens(TASK), (Component.Z, 0)
    z = Run.from_cache(model, tokens).at(*place)[:, row : row + 1].clone()
    own, unit = z[0, 0, dial.head], dial.direction / dial.direction.norm()
    rest = own - (own @ unit) * unit
    z[0, 0, dial.head] = rest + number * dial.direction
    change = Set(Site(*place, None, (row,)), z, Frame(row))
    view = Window(TASK, TASK.max_len, 0)
    return forward(model, tokens, view, edits_of(model, [change])).logits[0, row - view.first_row]


@pytest.mark.parametrize("name", compiled_names())
def test_no_compiled_model_has_one(name: str) -> None:
    """They write the same for a digit wherever it stands: there is nothing to turn."""
    model = load_bare(name).model
    assert not any(dial_of(model, head) for head in range(model.cfg.n_heads))


@given(
    values=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    prefix=st.lists(st.integers(0, 9), max_size=5),
)
def test_the_right_prefix_beside_a_wrong_one(values: list[int], prefix: list[int]) -> None:
    index, found = beside(Prompts((tuple(values),), (tuple(prefix),)))
    there = bool(prefix) and prefix[-1] in values and prefix[-1] < max(values)
    assert index.tolist() == ([0] if there else [])
    for own, right in found:
        assert own == tuple(values) and right[-1] == prefix[-1]
        assert list(right) == sorted(values)[: len(right)]
        assert sorted(values)[len(right)] > prefix[-1]
