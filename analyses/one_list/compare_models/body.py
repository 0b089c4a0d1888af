"""Computes what two models have in common, and where they part."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import torch

from analyses.experiment.given import given_now, own_or
from analyses.one_list.answers import attention_along
from analyses.one_list.compare_models import CompareSettings
from analyses.one_list.compare_models import figure as drawn
from analyses.one_list.compare_models.result import Lengths, Matrix
from analyses.one_list.glance.result import AnswerRows, answer_rows
from analyses.one_list.subject import (
    ListSubject,
    Shown,
    TwoModels,
    figure,
    rows,
    summary,
    to_json,
)
from interp.answers.behaviour import answer
from interp.passes.bare import parameter_shapes
from interp.stats import Estimate, bootstrap_mean, wilson
from interp.support.errors import UserError
from interp.support.progress import SILENT, Progress
from interp.transformer import Transformer

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(subject: TwoModels, settings: CompareSettings, seed: int, progress: Progress) -> Shown:
    """The figure that ``settings.part`` asks for, its numbers, and lines of words.

    Raises:
        UserError: if B cannot sort the list, or what is asked for says nothing of both.
    """
    a, b = subject.a, subject.b
    names = drawn.named(a.name, b.name)
    if a.model.task.rule != b.model.task.rule:
        raise UserError(
            f"A's task is {a.model.task.rule}, B's {b.model.task.rule}: there is nothing to compare"
        )
    if settings.of_no_list and (a.treatment or b.treatment):
        raise UserError(f"--part {settings.part} is of the models as they are; leave out --do")
    if settings.part != "lengths" and given_now() is not None:
        raise UserError(f"--part {settings.part} is of no file of lists; --part lengths is")
    if settings.part == "lengths":
        found = lengths(a.model, b.model, settings.lists, seed, progress)
        return drawn.by_length(names, found)
    if settings.part == "weights":
        return drawn.weights(names, matrices(a.model, b.model))
    b.model.task.checked_list(b.digits)
    if settings.part == "outputs":
        return drawn.outputs(names, a.run(seed).decoded, b.run(seed).decoded)
    both = along_the_answer(a, seed), along_the_answer(b, seed)
    if settings.part == "regions":
        return drawn.regions(names, *both, same_heads(*both))
    heads = settings.heads(a.model.config.n_layers - 1)
    return drawn.attention(names, difference(*both, *heads), *heads)


# -- attention ----------------------------------------------------------------------------------


def along_the_answer(one: ListSubject, seed: int = 0) -> AnswerRows:
    """Attention with the right answer given back, whatever the model would say."""
    task = one.model.task
    done = one.run(seed).interventions
    attention = attention_along(one.model, one.digits, task.answer(one.digits), done)
    return answer_rows(attention, task)


def same_heads(a: AnswerRows, b: AnswerRows) -> bool:
    """Whether they have as many layers and heads."""
    return a.pattern.shape[:2] == b.pattern.shape[:2]


def same_positions(a: AnswerRows, b: AnswerRows) -> bool:
    """Whether positions mean the same in both."""
    return a.keys == b.keys and a.rows == b.rows


def difference(
    a: AnswerRows, b: AnswerRows, one: tuple[int, int], other: tuple[int, int]
) -> AnswerRows:
    """A's attention in head ``one`` less B's in head ``other``, as the only head.

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


def lengths(
    a: Transformer,
    b: Transformer,
    n_lists: int,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Lengths:
    """Both on lists that both can sort, as many of every length."""
    task = min(a.task, b.task, key=lambda task: task.max_len)
    drawn = own_or(task, lambda: task.held_out(n_lists, seed))
    lists = [task.decode_list(tokens) for tokens in drawn.tokens]
    progress.begin(2 * n_lists, "held-out lists")
    exact_a, exact_b = (answer(m, m.task.encode(lists), progress).exact for m in (a, b))
    sizes = torch.tensor([len(digits) for digits in lists])

    def by_length(exact: Any) -> dict[int, Estimate]:
        groups = {n: exact[sizes == n] for n in sizes.unique().tolist()}
        return {n: wilson(int(group.sum()), len(group)) for n, group in groups.items()}

    return Lengths(
        a=by_length(exact_a),
        b=by_length(exact_b),
        a_all=wilson(int(exact_a.sum()), n_lists),
        b_all=wilson(int(exact_b.sum()), n_lists),
        gap=_gap(exact_a.double() - exact_b.double(), seed),
    )


def _gap(gaps: Any, seed: int) -> Estimate:
    if gaps.any():
        return bootstrap_mean(gaps, seed)
    slack = min(1.0, 3 / len(gaps))
    return Estimate(0.0, -slack, slack, len(gaps))


# -- weights ------------------------------------------------------------------------------------


def matrices(a: Transformer, b: Transformer) -> list[Matrix]:
    """Every weight matrix; biases and LayerNorms are left out."""
    ours, theirs = _matrices(a), _matrices(b)
    return [
        _matrix(name, ours.get(name), theirs.get(name)) for name in dict.fromkeys([*ours, *theirs])
    ]


def _matrices(model: Transformer) -> dict[str, np.ndarray]:
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
    return Matrix(name=name, a=a, b=b, apart=apart)
