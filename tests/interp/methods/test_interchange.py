"""The row pass against the whole model under the same exchange, part by part."""

from __future__ import annotations

import pytest
import torch

from interp.interventions import Set, edits_of
from interp.methods.interchange import Part, all_parts, exchanged, reads, record, rerun
from interp.passes.forward import Run, forward
from interp.passes.packed import Window
from interp.programs.prompts import Prompts
from interp.sites import Component, Frame, Site
from interp.support.errors import UserError
from interp.task import SortTask
from tests.models import small_model

TASK = SortTask(max_len=6, n_blanks=4)
BASE = Prompts(((3, 1, 1, 5), (9, 9, 2, 2), (0, 5, 4, 4)), ((1,), (2, 2, 9), (0, 4)))
SOURCE = Prompts(((8, 8, 0, 5), (1, 7, 2, 3), (6, 5, 6, 6)), ((0, 5, 8), (1, 2, 3), (6,)))
CASES = [("pre", 2), ("post", 2), ("pre", 3), ("pre", 1), ("none", 2)]


@pytest.mark.parametrize(("norm", "n_layers"), CASES)
def test_every_part_equals_the_whole_model_under_the_same_exchange(
    norm: str, n_layers: int
) -> None:
    model = small_model(norm, n_layers, TASK)
    base, source = record(model, BASE), record(model, SOURCE)
    for part in all_parts(model):
        fast = exchanged(model, base, source, [part])
        slow = torch.stack([slowly(model, n, part) for n in range(len(BASE))])
        torch.testing.assert_close(fast, slow, atol=2e-5, rtol=1e-4, msg=part.words)


@torch.no_grad()
def slowly(model, n: int, part: Part) -> torch.Tensor:
    """One pair, all positions, one position of the source at a time."""
    a, b = (p.take(torch.tensor([n])) for p in (BASE, SOURCE))
    row, other = int(a.rows(TASK)), int(b.rows(TASK))
    run = Run.from_cache(model, b.tokens(TASK))
    moves = {
        "row": {row: other},
        "digits": {p: p for p in range(2, 7)},
        "blanks": {p: p for p in range(7, 10)},
        "outputs": {p: p for p in range(10, min(row, other))},
    }[part.where]
    view = Window(TASK, TASK.max_len, 0)
    layer, heads = part.site.layer, part.site.heads
    components = (Component.K, Component.V) if part.read else (part.site.component,)
    sets = [
        Set(Site(c, layer, heads, (to,)), run.at(c, layer)[:, source : source + 1], Frame(to))
        for c in components
        for to, source in moves.items()
    ]
    if part.read:  # by this row alone: what it gathers then, in a run of which the rest is the base
        place = (Component.Z, layer)
        read = forward(model, a.tokens(TASK), view, edits_of(model, sets), keep=[place])
        sets = [
            Set(Site(*place, heads, (row,)), read.at(*place)[:, row : row + 1].clone(), Frame(row))
        ]
    logits = forward(model, a.tokens(TASK), view, edits_of(model, sets)).logits
    return logits[0, row]


def test_nothing_exchanged_changes_nothing_and_all_of_the_row_gives_the_source() -> None:
    model = small_model("pre", 2, TASK)
    base, source = record(model, BASE), record(model, SOURCE)
    torch.testing.assert_close(rerun(model, base, {}), base.logits)
    for part in all_parts(model):
        torch.testing.assert_close(exchanged(model, base, base, [part]), base.logits)
    last = Part(Site(Component.RESID_POST, 1))
    torch.testing.assert_close(exchanged(model, base, source, [last]), source.logits)


def test_parts_that_are_read_together_are_all_exchanged() -> None:
    """All that every head of the last layer reads, and the stream: the row is the source's."""
    model = small_model("pre", 2, TASK)
    prompts = Prompts(((3, 1, 1, 5), (0, 5, 4, 4)), ((1, 3), (0, 5)))
    rows = record(model, prompts)
    base, source = (rows.pick(torch.tensor([n])) for n in (0, 1))
    read = [part for part in reads(model) if part.site.layer == 1]
    everything = [Part(Site(Component.RESID_PRE, 1)), *read]
    torch.testing.assert_close(exchanged(model, base, source, everything), source.logits)
    without = exchanged(model, base, source, everything[:-1])
    assert not torch.allclose(without, source.logits)


def test_the_recorded_logits_are_the_models() -> None:
    model = small_model("post", 2, TASK)
    for n, logits in enumerate(record(model, BASE).logits):
        one = BASE.take(torch.tensor([n]))
        row = int(one.rows(TASK))
        expected = model(one.tokens(TASK)[:, : row + 1])[0, -1]
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)


def test_what_is_not_offered_is_refused() -> None:
    model = small_model("pre", 3, TASK)
    base, source = record(model, BASE), record(model, SOURCE)
    with pytest.raises(UserError, match=r"head 0.1 at the blanks is not offered"):
        exchanged(model, base, source, [Part(Site(Component.Z, 0, heads=(1,)), "blanks")])
    with pytest.raises(UserError, match="there is no head 7"):
        exchanged(model, base, source, [Part(Site(Component.Z, 0, heads=(7,)))])
    longer = record(model, Prompts(((1, 2, 3, 4, 5),) * 3, ((1,),) * 3))
    with pytest.raises(UserError, match="must be of one length"):
        exchanged(model, base, longer, [Part(Site(Component.RESID_PRE, 2), "digits")])
