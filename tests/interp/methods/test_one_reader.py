"""One reader: what is known of tokens, a literal computation of its answer, and exact nulls."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from interp.methods.interchange import Rows, recomputed, record
from interp.methods.one_reader import OTHERS, OneReader, known, one_reader
from interp.model import SortTransformer
from interp.programs.prompts import Prompts
from interp.sites import Component
from interp.sorters.compiled import compile_sorter
from interp.task import N_DIGITS, Region, SortTask
from tests.models import small_model

TASK = SortTask(max_len=6, n_blanks=4)
PROMPTS = Prompts(((3, 1, 1, 5), (9, 9, 2, 2), (0, 5, 4, 4)), ((1,), (2, 2, 9), ()))

digits = st.integers(0, 9)
lists = st.lists(digits, min_size=1, max_size=TASK.max_len).map(tuple)
prefixes = st.lists(digits, max_size=TASK.max_len - 1).map(tuple)
pairs = st.lists(st.tuples(lists, prefixes), min_size=1, max_size=5)


def prompts_of(found: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> Prompts:
    return Prompts(tuple(values for values, _ in found), tuple(prefix for _, prefix in found))


def drawn(n: int, seed: int = 0) -> Prompts:
    chance = torch.Generator().manual_seed(seed)

    def some(low: int, high: int) -> tuple[int, ...]:
        n_digits = int(torch.randint(low, high, (), generator=chance))
        return tuple(torch.randint(N_DIGITS, (n_digits,), generator=chance).tolist())

    return prompts_of([(some(1, TASK.max_len + 1), some(0, TASK.max_len)) for _ in range(n)])


def line(digit: int, place: int, n_places: int, numbers: tuple[float, ...]) -> list[float]:
    """The digit, its place, both together, and for its digit the numbers."""
    own = [float(digit == d) for d in range(N_DIGITS)]
    at = [float(place == p) for p in range(n_places)]
    return [*own, *at, *(d * p for d in own for p in at), *(d * n for d in own for n in numbers)]


@given(pairs)
def test_what_is_known_of_a_token(found: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
    prompts = prompts_of(found)
    lines: dict[str, dict[tuple[int, int], list[float]]] = {}
    for others in OTHERS:
        there = known(TASK, prompts, others)
        at = zip(there.prompt.tolist(), there.pos.tolist(), strict=True)
        lines[others] = dict(zip(at, there.features.tolist(), strict=True))
        assert len(lines[others]) == len(there.pos)  # none twice
    wanted: dict[str, dict[tuple[int, int], list[float]]] = {name: {} for name in OTHERS}
    for n, (values, prefix) in enumerate(prompts):
        for slot, digit in enumerate(values, TASK.sep_pos - len(values)):
            before = values[: slot - TASK.sep_pos + len(values) + 1]
            share = before.count(digit) / len(before)
            numbers = (share, share**2, len(before) / TASK.max_len)
            place = slot - TASK.sep_pos + TASK.max_len
            wanted["digits"][n, slot] = line(digit, place, TASK.max_len, numbers)
        rest = range(TASK.sep_pos, TASK.first_output_row + 1)
        for pos in rest:
            wanted["rest"][n, pos] = [float(pos == other) for other in rest]
        for place, digit in enumerate(prefix):
            out, listed = prefix[: place + 1].count(digit), values.count(digit)
            share, length = out / (out + listed), len(values) / TASK.max_len
            numbers = (float(out == listed), float(out > listed), share, share**2, length)
            told = line(digit, place, len(TASK.region(Region.OUTPUTS)), numbers)
            wanted["outputs"][n, TASK.first_output_row + 1 + place] = told
    for others in OTHERS:
        assert lines[others].keys() == wanted[others].keys()
        for at, told in wanted[others].items():
            assert lines[others][at] == pytest.approx(told)


@given(pairs)
def test_without_counts_a_token_is_its_value_and_place(
    found: list[tuple[tuple[int, ...], tuple[int, ...]]],
) -> None:
    """Tokens of one value and place are the same, whatever list they are in."""
    prompts = prompts_of(found)
    tokens = prompts.tokens(TASK)
    for others in OTHERS:
        there = known(TASK, prompts, others, counts=False)
        seen: dict[tuple[int, int], list[float]] = {}
        for n, pos, features in zip(there.prompt, there.pos, there.features.tolist(), strict=True):
            assert seen.setdefault((int(tokens[n, pos]), int(pos)), features) == features


def literal(model: SortTransformer, reader: OneReader, one: Prompts) -> torch.Tensor:
    """The program's logits of one prompt, token by token, for norm "none"; no pass of the model."""
    tokens, row = one.tokens(TASK)[0], int(one.rows(TASK))
    first = TASK.sep_pos - len(one.lists[0])
    embedded = model.W_E[tokens] + model.pos_embed.W_pos
    told: dict[int, torch.Tensor] = {}
    for others in OTHERS:
        there = known(TASK, one, others)
        for pos, features in zip(there.pos.tolist(), there.features, strict=True):
            told[pos] = torch.einsum("f,ftod->tod", features, reader.tables[others][:, 0]).float()
    x = embedded[row]
    for layer, block in enumerate(model.blocks):
        attn, added = block.attn, torch.zeros_like(x)
        for h in range(model.cfg.n_heads):
            q = x @ attn.W_Q[h] + attn.b_Q[h]
            scores, values = [], []
            for pos in range(first, row + 1):
                own = x if pos == row else embedded[pos]
                key, value = own @ attn.W_K[h] + attn.b_K[h], own @ attn.W_V[h] + attn.b_V[h]
                if layer and pos != row:
                    key, value = told[pos][0, h], told[pos][1, h]
                scores.append(q @ key / len(q) ** 0.5)
                values.append(value)
            weights = torch.stack(scores).softmax(0)
            gathered = sum(w * v for w, v in zip(weights, values, strict=True))
            added = added + gathered @ attn.W_O[h]
        x = x + added + attn.b_O
        hidden = F.relu(x @ block.mlp.W_in + block.mlp.b_in)
        x = x + hidden @ block.mlp.W_out + block.mlp.b_out
    return x @ model.W_U + model.b_U


def test_its_answer_is_that_of_a_program_in_which_one_row_reads() -> None:
    model = small_model("none", 2, TASK)
    reader = one_reader(model, drawn(60))
    found = recomputed(model, reader.cut(record(model, PROMPTS), PROMPTS)).logits
    with torch.no_grad():
        for n in range(len(PROMPTS)):
            one = literal(model, reader, PROMPTS.take(torch.tensor([n])))
            torch.testing.assert_close(found[n], one, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("n_layers", [2, 3])
def test_rows_that_nothing_is_done_to_are_as_they_were(norm: str, n_layers: int) -> None:
    model = small_model(norm, n_layers, TASK)
    rows = record(model, PROMPTS)
    again = recomputed(model, one_reader(model, drawn(20)).cut(rows, PROMPTS, ()))
    torch.testing.assert_close(again.logits, rows.logits, atol=1e-4, rtol=1e-4)
    assert again.at.keys() == rows.at.keys()
    for place, value in rows.at.items():
        torch.testing.assert_close(again.at[place], value, atol=1e-4, rtol=1e-4)


def test_a_model_in_which_no_other_token_computes_is_the_program() -> None:
    """Layer 0 adds nothing to any stream, so what layer 1 reads is linear in token and place."""
    model = small_model("none", 2, TASK)
    with torch.no_grad():
        for part in (model.blocks[0].attn.W_O, model.blocks[0].attn.b_O):
            part.zero_()
        for part in (model.blocks[0].mlp.W_out, model.blocks[0].mlp.b_out):
            part.zero_()
    cut = cut_of(model, drawn(400))
    torch.testing.assert_close(cut.logits, record(model, PROMPTS).logits, atol=1e-2, rtol=1e-2)


def cut_of(model: SortTransformer, examples: Prompts) -> Rows:
    reader = one_reader(model, examples)
    return recomputed(model, reader.cut(record(model, PROMPTS), PROMPTS))


def test_what_the_rows_hold_is_the_programs() -> None:
    """Parts of the row are exchanged from there."""
    model = small_model("none", 2, TASK)
    cut, own = cut_of(model, drawn(60)), record(model, PROMPTS)
    with torch.no_grad():
        logits = cut.at[Component.RESID_POST, 1] @ model.W_U + model.b_U
    torch.testing.assert_close(logits, cut.logits, atol=1e-4, rtol=1e-4)
    assert torch.allclose(cut.at[Component.Z, 0], own.at[Component.Z, 0], atol=1e-5)
    assert not torch.allclose(cut.at[Component.Z, 1], own.at[Component.Z, 1], atol=1e-3)


def test_what_blanks_hold_is_cut_where_they_compute() -> None:
    model = compile_sorter("slots", SortTask(6, 7)).model
    task = model.task
    prompts = Prompts(((3, 1, 1, 5), (9, 9, 2, 2)), ((1,), (2, 2)))
    reader = one_reader(model, drawn(100))
    rows = record(model, prompts)
    own = rows.logits.argmax(1).tolist()
    assert own == [sorted(v)[len(p)] for v, p in prompts]
    for others, same in (("digits", True), ("outputs", True), ("rest", False)):
        said = recomputed(model, reader.cut(rows, prompts, [others])).logits.argmax(1).tolist()
        assert (said == own) is same, others
    blanks = slice(task.sep_pos, task.first_output_row + 1)
    cut = reader.cut(rows, prompts, ["rest"])
    # The same for every list at every blank, and untouched elsewhere and in layer 0.
    assert torch.equal(cut.keys[1][0, blanks], cut.keys[1][1, blanks])
    assert torch.equal(cut.keys[1][:, : blanks.start], rows.keys[1][:, : blanks.start])
    assert torch.equal(cut.values[0], rows.values[0])
    assert rows.at[Component.Z, 0] is cut.at[Component.Z, 0]
