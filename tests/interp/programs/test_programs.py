"""Programs: literal answers, plain Python against batches, and what setting a variable does."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.programs.balance import SUCCESSOR, BalanceNumbers, balance_program
from interp.programs.catalogue import PROGRAMS, program_of
from interp.programs.edits import KINDS, PROBES, any_edit, edited
from interp.programs.parts import NONE
from interp.programs.program import Program, Variable
from interp.programs.prompts import Prompts, right_prefixes, says, says_along
from interp.programs.same_function import SAME_FUNCTION, same_function
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS, truth_of
from interp.support.errors import UserError
from interp.task import PAD, SortTask
from tests.models import TASK, small_model

SOFT = balance_program(
    BalanceNumbers(-0.25, 0.125, (0.5,) * 10, 0.5, 0.125, (0.25,) * 10, SUCCESSOR)
)  # numbers of which sums are exact, so that a tie is one in a batch as well
digits = st.integers(0, 9)
pairs = st.lists(
    st.tuples(st.lists(digits, min_size=1, max_size=12), st.lists(digits, max_size=9)),
    min_size=1,
    max_size=8,
)


def as_asked(drawn: list[tuple[list[int], list[int]]]) -> Prompts:
    return Prompts(tuple(tuple(v) for v, _ in drawn), tuple(tuple(p) for _, p in drawn))


def plain(name: str, value: Any) -> Any:
    """A tensor's row as plain Python; the sorted list of a short list is padded."""
    found = tuple(value.tolist()) if value.ndim else value.item()
    return tuple(v for v in found if v != PAD) if name == "in_order" else found


@pytest.mark.parametrize("program", (*PROGRAMS, SOFT), ids=lambda p: p.name)
@settings(max_examples=15)
@given(drawn=pairs)
def test_a_batch_gives_what_plain_python_gives(
    program: Program, drawn: list[tuple[list[int], list[int]]]
) -> None:
    asked = as_asked(drawn)
    traced = program.trace_batch(asked.inputs())
    for row, (values, prefix) in enumerate(asked):
        expected = program.trace({"values": values, "prefix": prefix})
        assert {name: plain(name, value[row]) for name, value in traced.items()} == expected


@pytest.mark.parametrize("program", (*PROGRAMS, SOFT), ids=lambda p: p.name)
@settings(max_examples=10)
@given(drawn=pairs, others=pairs)
def test_setting_a_variable_does_the_same_in_a_batch(
    program: Program,
    drawn: list[tuple[list[int], list[int]]],
    others: list[tuple[list[int], list[int]]],
) -> None:
    n = min(len(drawn), len(others))
    asked, other = as_asked(drawn[:n]), as_asked(others[:n])
    donors = program.trace_batch(other.inputs())
    for name in program.names:
        put = program.answer_batch(asked.inputs(), {name: donors[name]})
        for row, ((v, p), (w, q)) in enumerate(zip(asked, other, strict=True)):
            value = program.trace({"values": w, "prefix": q})[name]
            assert put[row] == program.answer({"values": v, "prefix": p}, {name: value})


@given(values=st.lists(digits, min_size=1, max_size=20), data=st.data())
def test_all_programs_sort(values: list[int], data: st.DataObject) -> None:
    out = data.draw(st.integers(0, len(values) - 1))
    inputs = {"values": values, "prefix": sorted(values)[:out]}
    assert {program.answer(inputs) for program in PROGRAMS} == {sorted(values)[out]}


@pytest.mark.parametrize(
    ("values", "prefix", "answers"),
    [
        # copy-and-count, run-length, rank-with-last, rank, histogram, selection
        ((5, 3, 1, 1, 3), (1, 3, 3), (5, 5, 3, 3, 3, 1)),
        ((1, 1, 1, 2), (1, 2, 1), (1, 1, 2, 2, 2, 1)),
        ((2, 1, 1), (1, 2, 1), (2, 1, 2, NONE, NONE, NONE)),
        ((2, 1, 1), (5,), (NONE, NONE, 5, 1, 1, 1)),
        ((4, 7), (0, 0, 0, 4), (7, 7, 7, NONE, NONE, 7)),
        ((4, 7), (), (4, 4, 4, 4, 4, 4)),
    ],
)
def test_where_programs_part(
    values: tuple[int, ...], prefix: tuple[int, ...], answers: tuple[int, ...]
) -> None:
    inputs = {"values": values, "prefix": prefix}
    assert tuple(program.answer(inputs) for program in PROGRAMS) == answers


def test_what_reads_a_variable_follows_when_it_is_set() -> None:
    program, inputs = program_of("copy-and-count"), {"values": (2, 1, 1, 7), "prefix": (1,)}
    assert program.answer(inputs) == 1
    assert program.answer(inputs, {"copies_out": 2}) == 2
    assert program.answer(inputs, {"copies_in_list": 1}) == 2
    assert program.answer(inputs, {"stay": False, "larger": 9}) == 9
    # The last output counts as its own copy, whatever it was set to.
    assert program.trace(inputs, {"last": 2})["copies_out"] == 1
    assert program.answer(inputs, {"last": 2}) == 7


def test_a_variable_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError, match="rank has no variable run"):
        program_of("rank").trace({"values": (1,), "prefix": ()}, {"run": 1})
    with pytest.raises(UserError, match="no program 'bogo': there are copy-and-count, run-length"):
        program_of("bogo")


def test_a_program_of_another_task() -> None:
    def half(number: int) -> int:
        return number // 2

    def even(half: int, number: int) -> bool:
        return 2 * half == number

    variables = (Variable(half, half, "half"), Variable(even, even, "whether it is even"))
    program = Program("even", "Halve and double.", ("number",), variables)
    assert program.answer({"number": 6}) and not program.answer({"number": 7})
    assert program.answer_batch({"number": torch.tensor([6, 7])}).tolist() == [True, False]
    with pytest.raises(ValueError, match="unknown \\['half'\\]"):
        Program("odd", "", ("number",), variables[1:])
    with pytest.raises(ValueError, match="two variables half"):
        Program("twice", "", ("number",), (*variables, variables[0]))


def test_programs_of_one_function_never_part_and_others_do() -> None:
    chance = random.Random(0)
    asked = as_asked([p for _ in range(600) if (p := any_edit(chance, SortTask(12)))])
    answers = {p.name: p.answer_batch(asked.inputs()) for p in PROGRAMS}
    same = {(a, b) for a in answers for b in answers if a < b and answers[a].equal(answers[b])}
    assert same == set(SAME_FUNCTION)
    assert same_function("rank") == ("histogram", "rank") and same_function("x") == ("x",)


# -- edits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", (*KINDS, *PROBES))
def test_an_edit_leaves_something_to_say_and_fits(kind: str) -> None:
    task = SortTask(max_len=9, n_blanks=3)
    asked = edited(task, kind, 40, seed=1)
    assert len(asked) == 40
    assert edited(task, kind, 40, seed=1) == asked != edited(task, kind, 40, seed=2)
    for values, prefix in asked:
        assert 0 < len(prefix) < task.max_len and prefix[-1] < max(values)
    asked.tokens(task)


def test_what_each_edit_changes() -> None:
    task = SortTask(max_len=20)
    for values, prefix in edited(task, "scramble", 60, seed=0):
        assert sorted(prefix) == sorted(values)[: len(prefix)]
    for values, prefix in edited(task, "a copy first", 60, seed=0):
        assert sorted(prefix) == sorted(values)[: len(prefix)] and prefix[0] == prefix[-1]
    for values, prefix in edited(task, "drop", 60, seed=0):
        right = sorted(values)
        lost = [right[: len(prefix) + 1].count(d) - prefix.count(d) for d in range(10)]
        assert sum(map(abs, lost)) == 1 and not lost[prefix[-1]]
    assert all(len(p) >= len(v) for v, p in edited(task, "too long", 60, seed=0))
    assert any(list(p) != sorted(p) for _, p in edited(task, "replace", 60, seed=0))


def test_prompts_without_others() -> None:
    asked = Prompts(((1, 2), (1, 2), (3, 4)), ((1,), (2,), (3,)))
    assert asked.without(Prompts(((1, 2), (3,)), ((2,), (3,)))) == asked.take(torch.tensor([0, 2]))


def test_an_edit_that_is_impossible_gives_fewer() -> None:
    assert len(edited(SortTask(max_len=4), "drop five", 10, seed=0)) == 0


# -- what a model says --------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_what_a_model_says_is_the_argmax_of_its_own_forward_pass(norm: str) -> None:
    model = small_model(norm)
    asked = Prompts(((3, 1, 1), (9,), (0, 5, 5, 5, 2, 1)), ((1,), (), (5, 0, 7, 7, 7)))
    for (values, prefix), said in zip(asked, says(model, asked).tolist(), strict=True):
        tokens = TASK.encode([values]).tokens[:, : TASK.prompt_len]
        tokens = torch.cat([tokens, torch.tensor([prefix], dtype=torch.long)], 1)
        token = int(model(tokens)[0, -1].argmax())
        assert said == (token if token < 10 else NONE)


def test_right_prefixes_one_at_a_time_or_all_at_once() -> None:
    model, batch = small_model(), TASK.held_out(8, 3)
    lists = [TASK.decode_list(row) for row in batch.tokens]
    along, inputs = says_along(model, batch), right_prefixes(TASK, batch)
    answers = program_of("run-length").answer_batch(inputs).reshape(len(batch), -1)
    for row, values in enumerate(lists):
        right = tuple(sorted(values))
        asked = Prompts((values,) * len(values), tuple(right[:k] for k in range(len(values))))
        assert along[row, : len(values)].equal(says(model, asked))
        assert along[row, len(values) :].eq(NONE).all()
        assert answers[row, : len(values)].tolist() == list(right)


def test_a_prefix_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="a prefix has at most 5 digits here, not 6"):
        Prompts(((1,),), ((1,) * 6,)).tokens(TASK)


@pytest.mark.parametrize("name", SORTERS)
def test_a_compiled_sorter_runs_its_program_also_on_wrong_prefixes(name: str) -> None:
    task = SortTask(max_len=10, n_blanks=11)
    model, program = compile_sorter(name, task).model, program_of(truth_of(name).program)
    for kind in (*KINDS, *PROBES):
        asked = edited(task, kind, 30, seed=4)
        assert says(model, asked).equal(program.answer_batch(asked.inputs())), kind
