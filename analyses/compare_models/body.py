"""Two models, A and B, side by side on one list: answers, attention, behaviour, weights.

    python -m analyses.compare_models --model blanks --other no-blanks --list 3,1,4
    python -m analyses.compare_models --part attention --layer 1 --head 0 --do published
    python -m analyses.compare_models --part lengths

``--part`` chooses the figure:

    outputs     the probability of each right digit under A and B, and their difference
    regions     what share every head gives each region, for A and B, and their difference
    attention   one head's attention under A less one head's under B, position by position
    lengths     exact match by length on the same held-out lists
    weights     the size of every weight matrix, and how far A's and B's lie apart

The last two are of no one list, and of the models as they are.

Attention is compared along the right answer, given back to both, so that what they read is the
same. What only one of the two has cannot be subtracted: models with other numbers of layers or
heads are shown beside each other, and position by position only models whose sequences are alike.

What it does not show: heads of models that were trained apart do not correspond; head 2 of one may
do what head 4 of the other does. Checkpoints of one run are another matter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.common import Stopwatch, open_model, result_folder, save_result
from analyses.compare_models import figure as compare_figure
from analyses.compare_models.figure import named
from analyses.one_list.answer.body import told
from analyses.one_list.command import OneListArgs, Seen
from analyses.one_list.glance.body import Glance, glance
from interp.answers.treatment import Treatment
from interp.support.cli import run_command
from interp.support.errors import UserError, at_least
from interp.support.progress import SILENT, Progress

if TYPE_CHECKING:
    from interp.model import SortTransformer
    from interp.stats import Estimate

Part = Literal["outputs", "regions", "attention", "lengths", "weights"]
_OF_NO_LIST: tuple[Part, ...] = ("lengths", "weights")  # nor of any intervention


@dataclass(frozen=True)
class Side:
    """One of the two models, and what is done to it."""

    name: str
    model: SortTransformer
    treatment: Treatment


# -- answers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """A greedy answer, each output given those that the model said before."""

    tokens: tuple[int, ...]
    right: tuple[bool, ...]
    probability: tuple[float, ...]
    """Of the right digit."""


def say(side: Side, digits: tuple[int, ...]) -> Said:
    """What a model answers.

    Raises:
        UserError: if it cannot sort such a list.
    """
    digits = side.model.task.checked_list(digits)
    found = told(side.model, digits, side.treatment.on_list(side.model, digits))
    outputs = found.answer.outputs
    return Said(
        tuple(output.token for output in outputs),
        tuple(output.right for output in outputs),
        tuple(float(row[o.expected]) for row, o in zip(found.probabilities, outputs, strict=True)),
    )


# -- attention ----------------------------------------------------------------------------------


def along_the_answer(side: Side, digits: tuple[int, ...]) -> Glance:
    """Attention with the right answer given back, whatever the model would say."""
    side.model.task.checked_list(digits)
    return glance(side.model, digits, side.treatment, sorted(digits))


def same_heads(a: Glance, b: Glance) -> bool:
    """Whether they have as many layers and heads."""
    return a.pattern.shape[:2] == b.pattern.shape[:2]


def same_positions(a: Glance, b: Glance) -> bool:
    """Whether positions mean the same in both."""
    return a.keys == b.keys and a.rows == b.rows


def difference(a: Glance, b: Glance, one: tuple[int, int], other: tuple[int, int]) -> Glance:
    """A's attention in head ``one`` less B's in head ``other``, as the only head of a glance.

    Raises:
        UserError: if positions do not mean the same in both, or there is no such head.
    """
    a.check_head(*one)
    b.check_head(*other)
    if not same_positions(a, b):
        raise UserError(
            f"A has {a.task.n_blanks} blanks and B {b.task.n_blanks}: their positions are not the "
            "same, so that maps cannot be subtracted; shares by region can (--part regions)"
        )
    return replace(a, pattern=(a.pattern[one] - b.pattern[other])[None, None])


# -- behaviour ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lengths:
    """Exact match on the same held-out lists, by length."""

    a: dict[int, Estimate]
    b: dict[int, Estimate]
    a_all: Estimate
    b_all: Estimate
    gap: Estimate
    """A less B over all lists (each is sorted by both), with a bootstrap over lists; where the two
    agree on every list, which a bootstrap cannot widen, within the rule of three."""


def lengths(
    a: SortTransformer,
    b: SortTransformer,
    n_lists: int,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Lengths:
    """Both on lists that both can sort, as many of every length."""
    import torch

    from interp.answers.behaviour import answer
    from interp.stats import wilson

    task = min(a.task, b.task, key=lambda task: task.max_len)
    lists = [task.decode_list(tokens) for tokens in task.held_out(n_lists, seed).tokens]
    progress.begin(2 * n_lists, "held-out lists")
    exact_a, exact_b = (answer(m, m.task.encode(lists), progress).exact for m in (a, b))
    sizes = torch.tensor([len(digits) for digits in lists])

    def by_length(exact: Any) -> dict[int, Estimate]:
        groups = {n: exact[sizes == n] for n in sizes.unique().tolist()}
        return {n: wilson(int(group.sum()), len(group)) for n, group in groups.items()}

    return Lengths(
        by_length(exact_a),
        by_length(exact_b),
        wilson(int(exact_a.sum()), n_lists),
        wilson(int(exact_b.sum()), n_lists),
        _gap(exact_a.double() - exact_b.double(), seed),
    )


def _gap(gaps: Any, seed: int) -> Estimate:
    from interp.stats import Estimate, bootstrap_mean

    if gaps.any():
        return bootstrap_mean(gaps, seed)
    slack = min(1.0, 3 / len(gaps))
    return Estimate(0.0, -slack, slack, len(gaps))


# -- weights ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Matrix:
    """One weight matrix of both; None where one lacks it, or where shapes differ."""

    name: str
    a: float | None
    """Frobenius norm."""
    b: float | None
    apart: float | None
    """The norm of A less B, as a share of the root mean square of their norms."""


def matrices(a: SortTransformer, b: SortTransformer) -> list[Matrix]:
    """Every weight matrix; biases and LayerNorms are left out."""
    ours, theirs = _matrices(a), _matrices(b)
    return [
        _matrix(name, ours.get(name), theirs.get(name)) for name in dict.fromkeys([*ours, *theirs])
    ]


def _matrices(model: SortTransformer) -> dict[str, np.ndarray]:
    from interp.passes.bare import parameter_shapes

    names = [n for n in parameter_shapes(model.config) if n.rsplit(".", 1)[-1].startswith("W_")]
    return {name: _parameter(model, name).detach().cpu().double().numpy() for name in names}


def _parameter(model: Any, name: str) -> Any:
    """``blocks.0.attn.W_Q`` of a hooked or of a bare model."""
    return reduce(
        lambda at, part: at[int(part)] if part.isdigit() else getattr(at, part),
        name.split("."),
        model,
    )


def _matrix(name: str, ours: Any, theirs: Any) -> Matrix:
    a, b = (None if w is None else float(np.linalg.norm(w)) for w in (ours, theirs))
    apart = None
    if a is not None and b is not None and ours.shape == theirs.shape and (a or b):
        apart = float(np.linalg.norm(ours - theirs)) / ((a * a + b * b) / 2) ** 0.5
    return Matrix(name, a, b, apart)


# -- command line -------------------------------------------------------------------------------


@dataclass(frozen=True)
class CompareArgs(OneListArgs):
    """Compare two models."""

    other: str = "no-blanks"  # B, as --model names A
    other_do: str | None = None  # what is done to B (default: what is done to A)
    part: Part = "outputs"  # what is compared
    layer: int = 1  # of A's head, for --part attention
    head: int = 0  # of that layer
    other_layer: int | None = None  # of B's head (default: A's)
    other_head: int | None = None  # of that layer (default: A's)
    lists: int = 480  # held-out lists, for --part lengths: ten of every length up to 48

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, lists=1)

    @property
    def heads(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """A's and B's, for ``--part attention``."""
        layer = self.layer if self.other_layer is None else self.other_layer
        head = self.head if self.other_head is None else self.other_head
        return (self.layer, self.head), (layer, head)


def compare(a: Side, b: Side, digits: tuple[int, ...], args: CompareArgs) -> Seen:
    """The figure that ``args.part`` asks for, its numbers, and lines of words."""
    names = named(a.name, b.name)
    if args.part == "outputs":
        return compare_figure.outputs(names, say(a, digits), say(b, digits), sorted(digits))
    if args.part == "lengths":
        return compare_figure.by_length(names, lengths(a.model, b.model, args.lists, args.seed))
    if args.part == "weights":
        return compare_figure.weights(names, matrices(a.model, b.model))
    seen = along_the_answer(a, digits), along_the_answer(b, digits)
    if args.part == "regions":
        return compare_figure.regions(names, *seen, same_heads(*seen))
    return compare_figure.attention(names, difference(*seen, *args.heads), *args.heads)


def main(argv: Sequence[str] | None = None) -> None:
    prog = "python -m analyses.compare_models"
    run_command(CompareArgs, _command, prog, argv)


def _command(args: CompareArgs) -> None:
    watch, loaded = Stopwatch(), open_model(args)
    other = open_model(replace(args, model=args.other))
    of_list = args.part not in _OF_NO_LIST
    digits = loaded.model.task.parse(args.list) if of_list else ()
    texts = (args.do, args.do if args.other_do is None else args.other_do) if of_list else ("", "")
    a, b = (
        Side(one.name, one.model, _checked(text, one.model, len(digits)))
        for one, text in zip((loaded, other), texts, strict=True)
    )
    seen = compare(a, b, digits, args)
    asked = {key: value for key, value in asdict(args).items() if key not in ("out", "json")}
    data = {
        "analysis": "compare_models",
        **asked,
        "model_hash": loaded.hash,
        "other_hash": other.hash,
        "intervention": a.treatment.words(a.model.task),
        "other_intervention": b.treatment.words(b.model.task),
        "rows": [dict(row) for row in seen.rows],
        "finding": list(seen.words),
    }
    label = result_folder(args.out, "", other).name
    folder = result_folder(args.out, "compare_models", loaded, label, args.part)
    save_result(folder, seen.figure, data, loaded, watch.seconds())
    print(json.dumps(data) if args.json else "\n".join(seen.words))


def _checked(text: str, model: SortTransformer, length: int) -> Treatment:
    treatment = Treatment.parse(text)
    treatment.check(model.config, length)
    return treatment


if __name__ == "__main__":
    main()
