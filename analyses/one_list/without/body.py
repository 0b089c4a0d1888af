"""Answers one list with one thing taken away at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from analyses.one_list.subject import ListSubject
from analyses.one_list.without import Of, WithoutSettings
from analyses.one_list.without.figure import figure, rows, summary
from analyses.one_list.without.result import AblatedAnswer, AblatedAnswers
from interp.answers.kinds import Act
from interp.answers.treatment import Treatment
from interp.interventions import Intervention, Patch, edits_of
from interp.passes.forward import forward
from interp.passes.packed import window
from interp.rules import SORT
from interp.sites import Component, Site, head_name
from interp.sorters.truth import SORTERS
from interp.support.errors import UserError
from interp.support.progress import Progress
from interp.task import SortTask
from interp.transformer import Transformer

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment

AS_IT_IS = "as it is"
_ACTS = {
    Act.MASK: "blanks masked",
    Act.MASK_KEPT: "blanks masked, other weights kept",
    Act.ZERO: "blanks zero",
    Act.MEAN: "blanks as on average",
    Act.TRANSPLANT: "blanks of list B",
}
_TELLING = (Act.MASK, Act.MASK_KEPT, Act.TRANSPLANT)
MASKED, KEPT, OF_B = (_ACTS[act] for act in _TELLING)
_TWO_WAYS = (Act.MASK, Act.TRANSPLANT)
_Way = tuple[str, Transformer, Sequence[Intervention]]
"""What is done in words, to which model, and how."""


def compute(
    subject: ListSubject, settings: WithoutSettings, seed: int, progress: Progress
) -> AblatedAnswers:
    """The answers to one list; a treatment of the subject is a line of its own.

    Raises:
        UserError: if list B is of another length, or something cannot be done to this model.
    """
    model, digits = subject.model, subject.digits
    other = model.task.parse(settings.other) if settings.other else other_list(model.task, digits)
    if len(other) != len(digits):
        raise UserError(
            f"list B must have {model.task.of_length(len(digits))}, as many as the first list, "
            f"not {len(other)}"
        )
    return _answers(
        model, digits, other, _lines(model, digits, other, settings.of, subject.treatment, seed)
    )


def telling(model: Transformer, digits: tuple[int, ...], seed: int = 0) -> AblatedAnswers:
    """The lines ``MASKED``, ``KEPT`` and ``OF_B`` alone: those that together say what blanks are
    for, and take a fifth of the time of all.

    Raises:
        UserError: if the model has no blanks.
    """
    other = other_list(model.task, digits)
    return _answers(model, digits, other, _of_blanks(model, digits, other, _TELLING, seed))


def _answers(
    model: Transformer, digits: tuple[int, ...], other: tuple[int, ...], ways: Iterator[_Way]
) -> AblatedAnswers:
    lines = tuple(AblatedAnswer(name, _answered(one, digits, done)) for name, one, done in ways)
    return AblatedAnswers(task=model.task, digits=digits, other=other, lines=lines)


def to_json(result: AblatedAnswers) -> dict[str, Any]:
    """The result as data."""
    return {"rows": rows(result)}


def other_list(task: SortTask, digits: Sequence[int]) -> tuple[int, ...]:
    """A list B of the same length with another answer: 9 minus each digit, if that is one.

    Raises:
        UserError: if none of a few others has another answer.
    """
    n = task.n_symbols
    tries = (
        [n - 1 - digit for digit in digits],
        [(digit + 1) % n for digit in digits],
        [0] * len(digits),
        *([*digits[:at], n - 1 - digit, *digits[at + 1 :]] for at, digit in enumerate(digits)),
    )
    for other in tries:
        if task.answer(other) != task.answer(digits):
            return tuple(other)
    raise UserError("no list B with another answer was found: give --other")


def _answered(
    model: Transformer, digits: tuple[int, ...], done: Sequence[Intervention]
) -> tuple[int, ...]:
    batch = model.task.encode([digits]).to(model.W_U.device)
    view = window(model.task, batch, digits_only=True)
    with torch.no_grad():
        run = forward(model, batch.tokens, view, edits_of(model, done))
    return tuple(run.logits[0].argmax(-1).tolist())


def _lines(
    model: Transformer,
    digits: tuple[int, ...],
    other: tuple[int, ...],
    of: Of,
    treatment: Treatment,
    seed: int,
) -> Iterator[_Way]:
    """What is done, to which model, and how."""
    yield AS_IT_IS, model, ()
    if treatment:
        yield treatment.words(model.task), model, treatment.on_list(model, digits, seed)
    if of == "heads":
        for layer in range(model.config.n_layers):
            for head in range(model.config.n_heads):
                yield head_line(layer, head), model, _head_of(model, layer, head, other)
        return
    if of == "blanks":
        yield from _of_blanks(model, digits, other, _ACTS, seed)
        return
    models = {"": model} if model.task.n_blanks else {}
    models |= {f"{name}: ": _sorter(name, model.task) for name in SORTERS}
    for prefix, one in models.items():
        for name, _, done in _of_blanks(one, digits, other, _TWO_WAYS, seed):
            yield f"{prefix}{name}", one, done


def _of_blanks(
    model: Transformer,
    digits: tuple[int, ...],
    other: tuple[int, ...],
    acts: Iterable[Act],
    seed: int,
) -> Iterator[_Way]:
    """All blanks taken away in these ways; the runs of both lists are recorded once."""
    taken_from = all_blanks(Act.TRANSPLANT, model.task, other)
    taken_from.check(model.config, len(digits))
    with torch.no_grad():
        chunk = taken_from.chunk(model, digits, seed)
    for act in acts:
        yield _ACTS[act], model, all_blanks(act, model.task, other).on(chunk)


def head_line(layer: int, head: int) -> str:
    """The line of a head that writes what it writes for list B."""
    return f"head {head_name((layer, head))} of list B"


def all_blanks(act: Act, task: SortTask, other: Sequence[int]) -> Treatment:
    """That way of taking away every blank."""
    taken_from = tuple(other) if act is Act.TRANSPLANT else ()
    return Treatment(act, tuple(range(task.n_blanks)), taken_from)


def _head_of(
    model: Transformer, layer: int, head: int, other: tuple[int, ...]
) -> Sequence[Intervention]:
    batch, place = model.task.encode([other]).to(model.W_U.device), (Component.Z, layer)
    run = forward(model, batch.tokens, window(model.task, batch, digits_only=True), keep=[place])
    return [Patch(Site(Component.Z, layer, heads=(head,)), run)]


def _sorter(name: str, task: SortTask) -> Transformer:
    """For lists that are as long as the model's may be.

    Raises:
        UserError: if the model does not sort digits.
    """
    if task.rule != SORT:
        raise UserError(f"compiled sorters sort; this model's task is {task.rule}")
    from interp.sorters.compiled import compile_sorter  # some seconds, which no page waits for

    return compile_sorter(name, SortTask(task.max_len, task.max_len + 1)).model
