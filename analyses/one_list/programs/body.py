"""Runs one list along one prefix, and every program beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from analyses.one_list.programs import ProgramsSettings
from analyses.one_list.programs.figure import steps_figure
from analyses.one_list.programs.result import Compared, Step
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.interventions import Intervention, edits_of
from interp.passes.forward import forward
from interp.passes.packed import Window
from interp.programs.catalogue import PROGRAMS, program_of
from interp.programs.parts import NONE
from interp.support.errors import UserError
from interp.support.progress import Progress
from interp.task import SortTask
from interp.transformer import Transformer

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(
    subject: ListSubject, settings: ProgramsSettings, seed: int, progress: Progress
) -> Shown:
    """Every step of the prefix.

    Raises:
        UserError: for a prefix that is as long as the list, or longer.
    """
    model, digits = subject.model, subject.digits
    prefix = parse_prefix(model.task, digits, settings.prefix)
    found = compare(model, digits, prefix, subject.run(seed).interventions)
    return Shown(steps_figure(found), table(found), words(found))


def parse_prefix(task: SortTask, digits: Sequence[int], text: str) -> tuple[int, ...]:
    """The outputs so far that a text asks for; ``-`` is none at all.

    Raises:
        UserError: for one that is as long as the list, or longer.
    """
    if not text:
        return missing_one(digits)
    prefix = () if text.strip() == "-" else task.parse(text)
    if len(prefix) >= len(digits):
        raise UserError(
            f"a prefix of this list has at most {len(digits) - 1} digits, not {len(prefix)}: "
            "after as many as the list has, there is nothing to say"
        )
    return prefix


def missing_one(digits: Sequence[int]) -> tuple[int, ...]:
    """Half of the right answer and one more, less the first digit: a prefix that parts programs."""
    answer = sorted(digits)
    return tuple(answer[1 : len(answer) // 2 + 2]) if len(answer) > 2 else ()


@torch.no_grad()
def compare(
    model: Transformer,
    digits: tuple[int, ...],
    prefix: tuple[int, ...],
    done: Sequence[Intervention] = (),
) -> Compared:
    """The model and every program after each beginning of the prefix, in one pass."""
    task = model.task
    tokens = task.encode([digits]).tokens
    tokens[:, task.prompt_len :] = task.pad
    tokens[:, task.prompt_len : task.prompt_len + len(prefix)] = torch.tensor(prefix)
    view = Window(task, len(digits), task.first_output_row)
    run = forward(model, tokens.to(model.W_U.device), view, edits_of(model, done))
    probabilities = run.logits[0, : len(prefix) + 1].softmax(-1).cpu()
    steps = [
        Step(
            prefix[:k],
            int(row.argmax()),
            float(row.max()),
            {
                program.name: program.trace({"values": list(digits), "prefix": list(prefix[:k])})
                for program in PROGRAMS
            },
        )
        for k, row in enumerate(probabilities)
    ]
    return Compared(digits, tuple(steps))


def words(found: Compared) -> list[str]:
    """The model, each program with its variables, and who agrees."""
    last = found.last
    after = " ".join(map(str, last.prefix)) or "nothing"
    agree = [name for name in found.programs if last.agrees(name)]
    return [
        f"After {after} the model says {last.token} (probability {last.probability:.4f}).",
        *(f"{name} says {last.says(name)}: {_variables(name, last)}." for name in found.programs),
        f"At the last of {len(found.steps)} steps {', '.join(agree) or 'no program'} "
        f"{'agree' if len(agree) > 1 else 'agrees'} with the model.",
    ]


def _variables(name: str, step: Step) -> str:
    program, trace = program_of(name), step.traces[name]
    shown = [v for v in program.variables[:-1] if not isinstance(trace[v.name], tuple)]
    return (
        "; ".join(f"{v.words}: {_value(trace[v.name])}" for v in shown) or "from the counts alone"
    )


def _value(value: int | bool) -> str:
    """``2``, ``yes``; of a digit that is not there ``none``."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value == NONE else str(value)


def table(found: Compared) -> list[dict[str, Any]]:
    """A row for each step and program."""
    return [
        {
            "step": k,
            "prefix": ",".join(map(str, step.prefix)),
            "model": step.token,
            "probability": step.probability,
            "program": name,
            "says": step.says(name),
            "agrees": step.agrees(name),
        }
        for k, step in enumerate(found.steps)
        for name in found.programs
    ]
