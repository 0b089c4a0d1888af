"""Blanks taken away from one list's run and from many, or exchanged with another list's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any

import torch

from analyses.one_list.answers import decode_list
from analyses.one_list.blanks import LISTS, BlanksSettings
from analyses.one_list.blanks.figure import exchange_figure, sample_figure
from analyses.one_list.blanks.result import (
    AS_IT_IS,
    CONDITIONS,
    ControlledAnswers,
    Exchange,
    SampleRates,
)
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.answers.ablation import control_positions
from interp.answers.kinds import ABLATIONS, Act
from interp.answers.treatment import Treatment, blank_positions
from interp.answers.trials import Chunk, Condition, donors_for, nothing, run_trials, stratified
from interp.interventions import Intervention, Transplant, edits_of
from interp.passes.forward import forward
from interp.support.errors import UserError
from interp.support.progress import SILENT, Progress
from interp.task import SortTask
from interp.transformer import Transformer

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment

_LENGTHS = 8  # of a sample: larger chunks of fewer lengths run faster


# -- numbers ------------------------------------------------------------------------------------


def controlled_answers(
    model: Transformer, digits: tuple[int, ...], treatment: Treatment, seed: int = 0
) -> ControlledAnswers:
    """The answers to one list under an ablation or a transplant of blanks.

    Args:
        seed: of the control's positions, and of the lists behind means and resamples.
    """
    return _controlled_answers(_chunk(model, digits, treatment, seed), digits, treatment)


def _controlled_answers(
    chunk: Chunk, digits: tuple[int, ...], treatment: Treatment
) -> ControlledAnswers:
    model, elsewhere = chunk.model, _elsewhere(chunk, len(treatment.blanks))
    return ControlledAnswers(
        as_it_is=decode_list(model, digits),
        blanks=decode_list(model, digits, treatment.on(chunk)),
        control=decode_list(model, digits, treatment.on(chunk, elsewhere)),
        n_control=len(elsewhere),
    )


def _chunk(model: Transformer, digits: tuple[int, ...], treatment: Treatment, seed: int) -> Chunk:
    """One list and its donor: the one that the treatment names, or a random one."""
    check_act(treatment)
    treatment.check(model.config, len(digits))
    with torch.no_grad():
        return treatment.chunk(model, digits, seed)


def check_act(treatment: Treatment) -> None:
    """Whether it is one of those that this command is about.

    Raises:
        UserError: if it is none.
    """
    if treatment.act not in (*ABLATIONS, Act.TRANSPLANT):
        raise UserError(
            "--do must take blanks away or exchange them: zero:3-10, transplant:0-5:2,7"
        )


def _elsewhere(chunk: Chunk, wanted: int) -> tuple[int, ...]:
    return control_positions(chunk.model.task, chunk.length, wanted, chunk.seed)


def exchange(
    model: Transformer, digits: tuple[int, ...], treatment: Treatment, seed: int = 0
) -> Exchange:
    """List A (``digits``) with blanks of list B (``treatment.other``), and what must not change."""
    chunk = _chunk(model, digits, treatment, seed)
    runs, other = _controlled_answers(chunk, digits, treatment), decode_list(model, treatment.other)
    return Exchange(
        task=model.task,
        a=digits,
        b=treatment.other,
        other=other,
        runs=runs,
        self_change=self_change(chunk, treatment.blanks),
    )


def self_change(chunk: Chunk, blanks: tuple[int, ...]) -> float:
    """Put the list's own keys and values where they were: no logit may change by one bit."""
    positions = blank_positions(chunk.model.task, blanks)
    edits = edits_of(chunk.model, [Transplant(chunk.base, positions)])
    with torch.no_grad():  # a whole pass, as the run that is compared with was one
        again = forward(chunk.model, chunk.batch.tokens, chunk.base.view, edits)
    return float((again.logits - chunk.base.logits).abs().max())


def other_list(model: Transformer, digits: tuple[int, ...], seed: int = 0) -> tuple[int, ...]:
    """A random list of the same length whose sorted digits are others."""
    batch = model.task.encode([digits])
    for number in count(seed):
        drawn = model.task.decode_list(donors_for(model, batch, number).tokens[0])
        if model.task.answer(drawn) != model.task.answer(digits):
            return drawn
    raise AssertionError("unreachable")


def sample(
    model: Transformer,
    treatment: Treatment,
    lists: int = LISTS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> SampleRates:
    """An ablation and its control on random lists of eight lengths, up to the longest."""
    check_act(treatment)
    treatment.check(model.config)
    batch = stratified(model, lists, seed, _LENGTHS)
    wanted = len(treatment.blanks)
    control = partial(_control, treatment)
    conditions: dict[str, Condition] = dict(
        zip(CONDITIONS, (nothing, treatment.on, control), strict=True)
    )
    donors = donors_for(model, batch, seed) if treatment.act is Act.RESAMPLE else None
    trials = run_trials(
        model, batch, conditions, donors=donors, seed=seed, progress=progress, words="lists"
    )
    outputs = trials.scored.sum(1) - 1  # given back, beside the digits
    others = (trials.lengths + outputs).clamp(max=wanted)
    return SampleRates(
        exact=tuple(trials.exact_match(name) for name in CONDITIONS),
        digits=tuple(trials.digit_accuracy(name) for name in CONDITIONS),
        control_positions=float(others.double().mean()),
    )


def _control(treatment: Treatment, chunk: Chunk) -> Sequence[Intervention]:
    return treatment.on(chunk, _elsewhere(chunk, len(treatment.blanks)))


# -- what there is to see -----------------------------------------------------------------------


def compute(subject: ListSubject, settings: BlanksSettings, seed: int, progress: Progress) -> Shown:
    """Of an ablation the sample, of a transplant the outputs; in words both lists' answers.

    Raises:
        UserError: if neither is done to the model.
    """
    model, digits, treatment = subject.model, subject.digits, subject.treatment
    check_act(treatment)
    if treatment.act is Act.TRANSPLANT:
        return show_exchange(exchange(model, digits, treatment, seed), treatment, model.task)
    runs = controlled_answers(model, digits, treatment, seed)
    found = sample(model, treatment, settings.lists, seed, progress)
    shown = show_sample(found, treatment, model.task)
    answers = [f"{name}: {run.answer.text}" for name, run in runs.runs]
    return Shown(shown.figure, shown.rows, [*answers, *shown.words])


def show_sample(found: SampleRates, treatment: Treatment, task: SortTask) -> Shown:
    """Rates with their intervals."""
    rates = {"lists exact": found.exact, "digits right": found.digits}
    rows = [
        {"measure": measure, "condition": name, "positions": positions, **rate.to_dict()}
        for measure, several in rates.items()
        for name, positions, rate in zip(
            CONDITIONS, (0, len(treatment.blanks), found.control_positions), several, strict=True
        )
    ]
    words = [
        f"{measure}: "
        + "; ".join(f"{name} {r.percent()}" for name, r in zip(CONDITIONS, several, strict=True))
        for measure, several in rates.items()
    ]
    return Shown(sample_figure(found, treatment.words(task)), rows, words)


def show_exchange(found: Exchange, treatment: Treatment, task: SortTask) -> Shown:
    """Every output's token, whose it is, and the probabilities of both digits."""
    rows = []
    for name, run in found.runs.runs:
        whose = found.follows(run)
        every = zip(run.answer.outputs, found.right_a, found.right_b, strict=False)
        for i, (output, ours, theirs) in enumerate(every):
            row: dict[str, Any] = {
                "from_b": "nothing" if name == AS_IT_IS else name,
                "output": i,
                "said": output.said,
                "follows": whose[i],
                "digit_a": ours,
                "digit_b": theirs,
                "probability_a": float(run.probabilities[i, ours]),
                "probability_b": float(run.probabilities[i, theirs]),
            }
            rows.append(row)
    words = [
        f"A: {found.runs.as_it_is.answer.text}",
        f"B: {found.other.answer.text}",
        f"A with blanks of B: {found.runs.blanks.answer.text}",
        f"{found.tally(found.runs.blanks)}; with {found.runs.n_control} other positions from B: "
        f"{found.tally(found.runs.control)}",
        f"with its own blanks transplanted the largest change of a logit is {found.self_change:g}",
    ]
    which = treatment.words(task).partition(":")[0]  # the digits of B would not fit
    return Shown(exchange_figure(found, which), rows, words)
