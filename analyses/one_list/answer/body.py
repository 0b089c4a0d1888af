"""What a model answers to one list: every output, or one step of it and where its heads look then.

    python -m analyses.one_list.answer --list 3,1,4
    python -m analyses.one_list.answer --list 3,1,4 --do zero:3-10
    python -m analyses.one_list.answer --list 3,1,4 --step 2
    python -m analyses.one_list.answer --list 3,1,4 --step 2 --attention

The list 3 1 4 asks for 1, 3, 4: step 0 is the last blank (of a model without blanks, SEP), which
emits output 0; at step 2 the model has 3 1 4 SEP _ ... _ 1 3 before it, and emits output 2 from the
row ``out 1``. Decoding is greedy: each step is given what the model itself said before, right or
wrong. ``--step`` shows the probabilities of all twelve tokens at one step, ``--attention`` what the
row that emits attends to in every head of every layer.

What it does not show: how other lists fare; and that what a head attends to is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from analyses.one_list.command import OneListArgs, Seen, run_one_list
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.task import Region, SortTask

if TYPE_CHECKING:
    import numpy as np
    import torch

    from interp.answers.treatment import Treatment
    from interp.interventions import Intervention
    from interp.model import SortTransformer
else:
    np, torch = lazy_import("numpy"), lazy_import("torch")


@dataclass(frozen=True)
class AnswerArgs(OneListArgs):
    """Flags of this command."""

    step: int | None = None  # one step of decoding, counted from 0 (all of them)
    attention: bool = False  # of that step: what every head attends to, not the probabilities

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention and self.step is None:
            raise UserError("--attention is of one step: give --step as well")


# -- numbers ------------------------------------------------------------------------------------


def told(
    model: SortTransformer, digits: tuple[int, ...], done: Sequence[Intervention] = ()
) -> Told:
    """Greedy decoding of one list under interventions (``treatment.on_list``)."""
    from interp.answers.decode import greedy_decode

    decoded = greedy_decode(model, [digits], interventions=done).probabilities[0].cpu()
    best = decoded.topk(2)  # values and indices are [step, 2]
    rows = zip(sorted(digits), best.values.tolist(), best.indices.tolist(), strict=True)
    outputs = tuple(Output(t[0], e, p[0], t[1], p[1]) for e, p, t in rows)
    return Told(Answer(digits, outputs), decoded.numpy())


def attended(model: SortTransformer, said: Answer, done: Sequence[Intervention] = ()) -> Attention:
    """The attention of all heads and rows while the model gave that answer, under interventions."""
    return attended_along(model, said.digits, [output.token for output in said.outputs], done)


def attended_along(
    model: SortTransformer,
    digits: tuple[int, ...],
    outputs: Sequence[int],
    done: Sequence[Intervention] = (),
) -> Attention:
    """The attention while ``outputs`` are given back, whoever said them."""
    from interp.interventions import edits_of
    from interp.passes.forward import forward
    from interp.passes.packed import Window
    from interp.sites import Component

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


def look(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, args: AnswerArgs
) -> Seen:
    """What the flags ask for."""
    if args.step is not None and not 0 <= args.step < len(digits):
        raise UserError(f"--step must be 0 to {len(digits) - 1} for this list, not {args.step}")
    done = treatment.on_list(model, digits, args.seed)
    found = told(model, digits, done)
    if args.step is None:
        return whole_answer(found)
    if not args.attention:
        return one_step(found, args.step)
    return heads_at_step(attended(model, found.answer, done), args.step)


def whole_answer(found: Told) -> Seen:
    """All tokens' probabilities at all steps."""
    said = found.answer
    right = len(said.outputs) - len(said.wrong)
    verdict = f"{right} of {len(said.outputs)} outputs are right"
    if said.wrong:
        verdict += f"; wrong: {', '.join(f'out {i}' for i in said.wrong)}"
    words = [f"said {said.text}", f"{verdict}."]
    return Seen(answer_figure(found), _rows(found, range(len(said.outputs))), words)


def one_step(found: Told, step: int) -> Seen:
    """All tokens' probabilities at one step."""
    output = found.answer.outputs[step]
    words = [
        f"out {step}: {token_name(output.token)} with probability {output.probability:.4f}, "
        f"runner-up {token_name(output.runner_up)} with {output.runner_up_probability:.4f}; "
        + ("right." if output.right else f"wrong, should be {output.expected}.")
    ]
    return Seen(step_figure(found, step), _rows(found, [step]), words)


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


def heads_at_step(seen: Attention, step: int) -> Seen:
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
    return Seen(heads_figure(seen, step), rows, words)


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    run_one_list(look, AnswerArgs, "one_list_answer", argv)


if __name__ == "__main__":
    main()
