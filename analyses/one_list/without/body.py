"""One list, with one thing taken away at a time: what does the model still answer?

    python -m analyses.one_list.without --list 3,1,4,1,5
    python -m analyses.one_list.without --list 3,1,4,1,5 --other 8,6,4,2,0
    python -m analyses.one_list.without --model compiled:slots --of heads
    python -m analyses.one_list.without --of sorters

The list 3 1 4 1 5 is sorted to 1 1 3 4 5. Each line is what the model says while something is done
to it, every output given the right ones before it (so that one mistake does not lead to others):

- ``--of blanks``: all blanks are masked, zeroed, averaged, or hold what they hold for list B;
- ``--of heads``: one head writes what it writes for list B, at all positions;
- ``--of sorters``: the blanks of this model, and of the five sorters compiled by hand, are masked,
  and hold those of list B.

An output may stay right, become that of list B (*it follows B*), or become neither. Where both
lists have the same digit, it counts as right.

What it does not show: what holds of other lists. One list is an example, not a rate: see
``analyses.ablate_blanks``, ``analyses.transplant_blanks`` and ``analyses.head_finder``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from analyses.one_list.command import OneListArgs, Seen, run_one_list
from analyses.one_list.without.figure import figure, rows, summary
from interp.answers.treatment import Act, Treatment
from interp.sites import Component, Site
from interp.sorters.truth import SORTERS
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.task import SortTask

if TYPE_CHECKING:
    import torch

    from interp.interventions import Intervention
    from interp.model import SortTransformer
else:
    torch = lazy_import("torch")

Of = Literal["blanks", "heads", "sorters"]
AS_IT_IS = "as it is"
NOTHING = Treatment()
_ACTS = {
    Act.MASK: "blanks masked",
    Act.MASK_KEPT: "blanks masked, other weights kept",
    Act.ZERO: "blanks zero",
    Act.MEAN: "blanks as on average",
    Act.TRANSPLANT: "blanks of list B",
}
MASKED, KEPT, OF_B = (_ACTS[act] for act in (Act.MASK, Act.MASK_KEPT, Act.TRANSPLANT))
_TWO_WAYS = (Act.MASK, Act.TRANSPLANT)


@dataclass(frozen=True)
class Line:
    """One answer."""

    name: str
    """What was done: ``blanks masked``."""
    said: tuple[int, ...]
    """The most probable token of every output, given the right ones before it."""


@dataclass(frozen=True)
class Without:
    """Answers to one list."""

    digits: tuple[int, ...]
    other: tuple[int, ...]
    """List B."""
    lines: tuple[Line, ...]

    def line(self, name: str) -> Line:
        """The line of that name."""
        return next(line for line in self.lines if line.name == name)

    def kinds(self, line: Line) -> list[int]:
        """Of every output: 0 right, 1 that of list B, 2 neither."""
        own, others = sorted(self.digits), sorted(self.other)
        return [
            0 if token == right else 1 if token == b else 2
            for token, right, b in zip(line.said, own, others, strict=True)
        ]

    def right(self, name: str) -> int:
        """How many outputs are right."""
        return self.kinds(self.line(name)).count(0)

    def follows(self, name: str) -> int:
        """How many outputs are list B's and not this list's."""
        return self.kinds(self.line(name)).count(1)

    @property
    def telling(self) -> int:
        """Outputs in which the two answers differ."""
        return sum(a != b for a, b in zip(sorted(self.digits), sorted(self.other), strict=True))


def other_list(digits: Sequence[int]) -> tuple[int, ...]:
    """A list B of the same length with another answer: 9 minus each digit, if that is one."""
    tries = ([9 - d for d in digits], [(d + 1) % 10 for d in digits], [0] * len(digits))
    return tuple(next(b for b in tries if sorted(b) != sorted(digits)))


def compute(
    model: SortTransformer,
    digits: Sequence[int],
    other: Sequence[int] = (),
    of: Of = "blanks",
    treatment: Treatment = NOTHING,
    seed: int = 0,
) -> Without:
    """The answers to one list.

    Args:
        other: list B, as long as the list; :func:`other_list` if empty.
        treatment: a line of its own, if it does anything.
        seed: of the lists behind a mean.

    Raises:
        UserError: if ``other`` is of another length, or something cannot be done to this model.
    """
    digits, other = tuple(digits), tuple(other) or other_list(digits)
    if len(other) != len(digits):
        raise UserError(
            f"list B must have {len(digits)} digits, as many as the list to sort, not {len(other)}"
        )
    ways = _lines(model, digits, other, of, treatment, seed)
    return Without(
        digits, other, tuple(Line(name, _said(one, digits, done)) for name, one, done in ways)
    )


def _said(
    model: SortTransformer, digits: tuple[int, ...], done: Sequence[Intervention]
) -> tuple[int, ...]:
    from interp.interventions import edits_of
    from interp.passes.forward import forward
    from interp.passes.packed import window

    batch = model.task.encode([digits]).to(model.W_U.device)
    view = window(model.task, batch, digits_only=True)
    with torch.no_grad():
        run = forward(model, batch.tokens, view, edits_of(model, done))
    return tuple(run.logits[0].argmax(-1).tolist())


def _lines(
    model: SortTransformer,
    digits: tuple[int, ...],
    other: tuple[int, ...],
    of: Of,
    treatment: Treatment,
    seed: int,
) -> Iterator[tuple[str, SortTransformer, Sequence[Intervention]]]:
    """What is done, to which model, and how."""
    yield AS_IT_IS, model, ()
    if treatment:
        yield treatment.words(model.task), model, treatment.on_list(model, digits, seed)
    if of == "heads":
        for layer in range(model.config.n_layers):
            for head in range(model.config.n_heads):
                yield head_name(layer, head), model, _head_of(model, layer, head, other)
        return
    models = {"": model} if of == "blanks" or model.task.n_blanks else {}
    if of == "sorters":
        models |= {f"{name}: ": _sorter(name, model.task) for name in SORTERS}
    for prefix, one in models.items():
        for act in _ACTS if of == "blanks" else _TWO_WAYS:
            way = all_blanks(act, one.task, other)
            yield f"{prefix}{_ACTS[act]}", one, way.on_list(one, digits, seed)


def head_name(layer: int, head: int) -> str:
    """The line of a head that writes what it writes for list B."""
    return f"head {layer}.{head} of list B"


def all_blanks(act: Act, task: SortTask, other: Sequence[int]) -> Treatment:
    """That way of taking away every blank."""
    taken_from = tuple(other) if act is Act.TRANSPLANT else ()
    return Treatment(act, tuple(range(task.n_blanks)), taken_from)


def _head_of(
    model: SortTransformer, layer: int, head: int, other: tuple[int, ...]
) -> Sequence[Intervention]:
    from interp.interventions import Patch
    from interp.passes.forward import forward
    from interp.passes.packed import window

    batch, place = model.task.encode([other]).to(model.W_U.device), (Component.Z, layer)
    run = forward(model, batch.tokens, window(model.task, batch, digits_only=True), keep=[place])
    return [Patch(Site(Component.Z, layer, heads=(head,)), run)]


def _sorter(name: str, task: SortTask) -> SortTransformer:
    """For lists that are as long as the model's may be."""
    from interp.sorters.compiled import compile_sorter

    return compile_sorter(name, SortTask(task.max_len, task.max_len + 1)).model


# -- command line -------------------------------------------------------------------------------


@dataclass(frozen=True)
class WithoutArgs(OneListArgs):
    """One list, with one thing taken away at a time: what does the model still answer?"""

    of: Of = "blanks"  # what is taken away: blanks, heads, or the blanks of compiled sorters, too
    other: str = ""  # list B, as long as the list (default: 9 minus each digit)


def look(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, args: WithoutArgs
) -> Seen:
    """What the command and the page show."""
    other = model.task.parse(args.other) if args.other else ()
    result = compute(model, digits, other, args.of, treatment, args.seed)
    return Seen(figure(result), rows(result), summary(result))


def main(argv: Sequence[str] | None = None) -> None:
    run_one_list(look, WithoutArgs, "one_list_without", argv)


if __name__ == "__main__":
    main()
