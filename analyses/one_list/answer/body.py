"""One list's answer: as a whole, at one step, or where the heads look then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyses.one_list.answer import AnswerSettings
from analyses.one_list.answer.figure import answer_figure, heads_figure, step_figure
from analyses.one_list.answer.result import attention_by_head, weights_at
from analyses.one_list.answers import Attention, Decoded
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.sites import head_name
from interp.support.errors import UserError
from interp.support.progress import Progress

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(subject: ListSubject, settings: AnswerSettings, seed: int, progress: Progress) -> Shown:
    """What the settings ask for.

    Raises:
        UserError: if the list has no such step.
    """
    run = subject.run(seed)
    last = len(run.decoded.answer.outputs) - 1
    if settings.step is not None and not 0 <= settings.step <= last:
        raise UserError(f"--step must be 0 to {last} for this list, not {settings.step}")
    if settings.step is None:
        return whole_answer(run.decoded)
    if not settings.attention:
        return one_step(run.decoded, settings.step)
    return heads_at_step(run.attention, settings.step)


def whole_answer(decoded: Decoded) -> Shown:
    """All tokens' probabilities at all steps."""
    answer = decoded.answer
    right = len(answer.outputs) - len(answer.wrong)
    verdict = f"{right} of {len(answer.outputs)} outputs are right"
    if answer.wrong:
        verdict += f"; wrong: {', '.join(f'out {i}' for i in answer.wrong)}"
    words = [f"said {answer.text}", f"{verdict}."]
    return Shown(answer_figure(decoded), _rows(decoded, range(len(answer.outputs))), words)


def one_step(decoded: Decoded, step: int) -> Shown:
    """All tokens' probabilities at one step."""
    output = decoded.answer.outputs[step]
    words = [
        f"out {step}: {output.said} with probability {output.probability:.4f}, "
        f"runner-up {output.second} with {output.runner_up_probability:.4f}; "
        + ("right." if output.right else f"wrong, should be {output.should_be}.")
    ]
    return Shown(step_figure(decoded, step), _rows(decoded, [step]), words)


def _rows(decoded: Decoded, steps: Sequence[int]) -> list[dict[str, Any]]:
    rows = []
    for step in steps:
        output = decoded.answer.outputs[step]
        chances = decoded.probabilities[step].tolist()
        for token, (name, probability) in enumerate(
            zip(output.task.token_names, chances, strict=True)
        ):
            rows.append(
                {
                    "output": step,
                    "token": name,
                    "probability": probability,
                    "said": token == output.token,
                    "right": token == output.expected,
                }
            )
    return rows


def heads_at_step(attention: Attention, step: int) -> Shown:
    """What every head attends to in the row that emits one output."""
    weights = weights_at(attention, step)
    rows = [
        {
            "output": step,
            "layer": layer,
            "head": head,
            "position": attention.start + key,
            "label": attention.labels[key],
            "region": attention.regions[key].value,
            "attention": float(weights[layer, head, key]),
        }
        for layer, head, key in np.ndindex(*weights.shape)
    ]
    words = [
        f"head {head_name((one.layer, one.head))}: "
        + ", ".join(f"{label} {100 * weight:.1f} %" for label, weight in one.top)
        for one in attention_by_head(attention, step)
    ]
    return Shown(heads_figure(attention, step), rows, words)
