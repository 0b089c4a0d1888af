"""Decodes one list, and says what came out: as a whole, at one step, or where its heads look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from analyses.one_list.answer import AnswerSettings
from analyses.one_list.answer.figure import answer_figure, heads_figure, step_figure
from analyses.one_list.answer.result import (
    Answer,
    Attention,
    Output,
    Told,
    head_looks,
    token_name,
    weights_at,
)
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.answers.decode import greedy_decode
from interp.interventions import Intervention, edits_of
from interp.passes.forward import forward
from interp.passes.packed import Window
from interp.sites import Component
from interp.support.errors import UserError
from interp.support.progress import Progress
from interp.task import Region, SortTask
from interp.transformer import Transformer

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


# -- numbers ------------------------------------------------------------------------------------


def told(model: Transformer, digits: tuple[int, ...], done: Sequence[Intervention] = ()) -> Told:
    """Greedy decoding of one list under interventions (``treatment.on_list``)."""
    decoded = greedy_decode(model, [digits], interventions=done).probabilities[0].cpu()
    best = decoded.topk(2)  # values and indices are [step, 2]
    rows = zip(sorted(digits), best.values.tolist(), best.indices.tolist(), strict=True)
    outputs = tuple(Output(t[0], e, p[0], t[1], p[1]) for e, p, t in rows)
    return Told(Answer(digits, outputs), decoded.numpy())


def attended(model: Transformer, said: Answer, done: Sequence[Intervention] = ()) -> Attention:
    """The attention of all heads and rows while the model gave that answer, under interventions."""
    return attended_along(model, said.digits, [output.token for output in said.outputs], done)


def attended_along(
    model: Transformer,
    digits: tuple[int, ...],
    outputs: Sequence[int],
    done: Sequence[Intervention] = (),
) -> Attention:
    """The attention while ``outputs`` are given back, whoever said them."""
    task, length = model.task, len(digits)
    tokens = task.encode([digits]).tokens[:, : task.prompt_len + length - 1]
    # The last output is never an input.
    tokens[:, task.prompt_len :] = torch.tensor(list(outputs[:-1]))
    tokens = tokens.to(model.W_U.device)
    places = [(Component.PATTERN, layer) for layer in range(model.config.n_layers)]
    with torch.no_grad():
        run = forward(model, tokens, Window(task, length, 0), edits_of(model, done), keep=places)
    start = task.max_len - length  # left padding is not part of the sequence
    return Attention(
        torch.cat([run.at(*place) for place in places]).cpu().numpy(),
        _labels(task, tokens[0].tolist(), start),
        tuple(map(token_name, outputs)),
        tuple(task.region_of(p, length) for p in range(start, tokens.shape[1])),
        start,
    )


def _labels(task: SortTask, tokens: list[int], start: int) -> tuple[str, ...]:
    """Labels from position ``start`` on, with the token where the label does not say it."""
    length = task.max_len - start
    labels = task.labels(length)
    valued = {*task.region(Region.DIGITS, length), *task.region(Region.OUTPUTS, length)}
    return tuple(
        f"{labels[p]}: {token_name(tokens[p])}" if p in valued else labels[p]
        for p in range(start, len(tokens))
    )


# -- what there is to see -----------------------------------------------------------------------


def compute(subject: ListSubject, settings: AnswerSettings, seed: int, progress: Progress) -> Shown:
    """What the settings ask for.

    Raises:
        UserError: if the list has no such step.
    """
    model, digits = subject.model, subject.digits
    if settings.step is not None and not 0 <= settings.step < len(digits):
        last = len(digits) - 1
        raise UserError(f"--step must be 0 to {last} for this list, not {settings.step}")
    done = subject.treatment.on_list(model, digits, seed)
    found = told(model, digits, done)
    if settings.step is None:
        return whole_answer(found)
    if not settings.attention:
        return one_step(found, settings.step)
    return heads_at_step(attended(model, found.answer, done), settings.step)


def whole_answer(found: Told) -> Shown:
    """All tokens' probabilities at all steps."""
    said = found.answer
    right = len(said.outputs) - len(said.wrong)
    verdict = f"{right} of {len(said.outputs)} outputs are right"
    if said.wrong:
        verdict += f"; wrong: {', '.join(f'out {i}' for i in said.wrong)}"
    words = [f"said {said.text}", f"{verdict}."]
    return Shown(answer_figure(found), _rows(found, range(len(said.outputs))), words)


def one_step(found: Told, step: int) -> Shown:
    """All tokens' probabilities at one step."""
    output = found.answer.outputs[step]
    words = [
        f"out {step}: {token_name(output.token)} with probability {output.probability:.4f}, "
        f"runner-up {token_name(output.runner_up)} with {output.runner_up_probability:.4f}; "
        + ("right." if output.right else f"wrong, should be {output.expected}.")
    ]
    return Shown(step_figure(found, step), _rows(found, [step]), words)


def _rows(found: Told, steps: Sequence[int]) -> list[dict[str, Any]]:
    rows = []
    for step in steps:
        output = found.answer.outputs[step]
        for token, probability in enumerate(found.probabilities[step].tolist()):
            rows.append(
                {
                    "output": step,
                    "token": token_name(token),
                    "probability": probability,
                    "said": token == output.token,
                    "right": token == output.expected,
                }
            )
    return rows


def heads_at_step(seen: Attention, step: int) -> Shown:
    """What every head attends to in the row that emits one output."""
    weights = weights_at(seen, step)
    rows = [
        {
            "output": step,
            "layer": layer,
            "head": head,
            "position": seen.start + key,
            "label": seen.labels[key],
            "region": seen.regions[key].value,
            "attention": float(weights[layer, head, key]),
        }
        for layer, head, key in np.ndindex(*weights.shape)
    ]
    words = [
        f"layer {one.layer}, head {one.head}: "
        + ", ".join(f"{label} {100 * weight:.1f} %" for label, weight in one.top)
        for one in head_looks(seen, step)
    ]
    return Shown(heads_figure(seen, step), rows, words)
