"""What chosen blanks do for one list, and for many: taken away, or exchanged with another list's.

    python -m analyses.one_list.blanks --list 3,1,4 --do mask:3-10
    python -m analyses.one_list.blanks --list 3,1,4 --do transplant:0-47:272

An ablation (``mask``, ``mask-kept``, ``zero``, ``mean`` or ``resample``) is shown beside nothing
done and beside its matched control, the same ablation of as many positions that are no blanks:
digits and outputs given back. The figure counts mistakes on a sample of random lists. A transplant
takes the chosen blanks' keys and values from the run of another list B; the figure shows, output by
output, the probabilities of A's digit and of B's. Its control takes as many other positions from B.

What it does not show: what a component *does*. Masks take away the attention that rests on the
blanks together with what they hold. In a list of few digits there are fewer other positions than
blanks: the control then takes all of them, and is smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from analyses.one_list.answer.body import token_name, told
from analyses.one_list.blanks.result import AS_IT_IS, CONDITIONS, Beside, Exchange, Sample
from analyses.one_list.command import OneListArgs, Seen, run_one_list
from interp.answers.treatment import ABLATIONS, Act, Treatment, blank_positions
from interp.support.errors import UserError, at_least
from interp.support.lazy import lazy_import
from interp.support.progress import SILENT, Progress

if TYPE_CHECKING:
    import torch

    from interp.answers.trials import Chunk, Condition
    from interp.interventions import Intervention
    from interp.model import SortTransformer
else:
    torch = lazy_import("torch")

LISTS = 240  # of a sample: intervals of a percent or two, in about a second
_LENGTHS = 8  # of a sample: larger chunks of fewer lengths run faster


@dataclass(frozen=True)
class BlanksArgs(OneListArgs):
    """Flags of this command."""

    do: str = "mask:0-48"  # an ablation of blanks (zero:3-10) or a transplant (transplant:0-47:272)
    lists: int = LISTS  # random lists that an ablation is scored on

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, lists=1)


# -- numbers ------------------------------------------------------------------------------------


def beside(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, seed: int = 0
) -> Beside:
    """The answers to one list under an ablation or a transplant of blanks.

    Args:
        seed: of the control's positions, and of the lists behind means and resamples.
    """
    return _beside(_chunk(model, digits, treatment, seed), digits, treatment)


def _beside(chunk: Chunk, digits: tuple[int, ...], treatment: Treatment) -> Beside:
    model, elsewhere = chunk.model, _elsewhere(chunk, len(treatment.blanks))
    return Beside(
        told(model, digits),
        told(model, digits, treatment.on(chunk)),
        told(model, digits, treatment.on(chunk, elsewhere)),
        len(elsewhere),
    )


def _chunk(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, seed: int
) -> Chunk:
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
        raise UserError("--do must take blanks away or exchange them: zero:3-10, transplant:0-5:27")


def _elsewhere(chunk: Chunk, wanted: int) -> tuple[int, ...]:
    from interp.answers.ablation import control_positions

    return control_positions(chunk.model.task, chunk.length, wanted, chunk.seed)


def exchange(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, seed: int = 0
) -> Exchange:
    """List A (``digits``) with blanks of list B (``treatment.other``), and what must not change."""
    chunk = _chunk(model, digits, treatment, seed)
    runs, other = _beside(chunk, digits, treatment), told(model, treatment.other)
    change = self_change(chunk, treatment.blanks)
    return Exchange(digits, treatment.other, other, runs, change)


def self_change(chunk: Chunk, blanks: tuple[int, ...]) -> float:
    """Put the list's own keys and values where they were: no logit may change by one bit."""
    from interp.interventions import Transplant, edits_of
    from interp.passes.forward import forward

    positions = blank_positions(chunk.model.task, blanks)
    edits = edits_of(chunk.model, [Transplant(chunk.base, positions)])
    with torch.no_grad():  # a whole pass, as the run that is compared with was one
        again = forward(chunk.model, chunk.batch.tokens, chunk.base.view, edits)
    return float((again.logits - chunk.base.logits).abs().max())


def other_list(model: SortTransformer, digits: tuple[int, ...], seed: int = 0) -> tuple[int, ...]:
    """A random list of the same length whose sorted digits are others."""
    from interp.answers.trials import donors_for

    batch = model.task.encode([digits])
    for number in count(seed):
        drawn = model.task.decode_list(donors_for(model, batch, number).tokens[0])
        if sorted(drawn) != sorted(digits):
            return drawn
    raise AssertionError("unreachable")


def sample(
    model: SortTransformer,
    treatment: Treatment,
    lists: int = LISTS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Sample:
    """An ablation and its control on random lists of eight lengths, up to the longest."""
    from interp.answers.trials import donors_for, nothing, run_trials, stratified

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
    others = (2 * trials.lengths - 1).clamp(max=wanted)  # digits, and outputs given back
    return Sample(
        tuple(trials.exact_match(name) for name in CONDITIONS),
        tuple(trials.digit_accuracy(name) for name in CONDITIONS),
        float(others.double().mean()),
    )


def _control(treatment: Treatment, chunk: Chunk) -> Sequence[Intervention]:
    return treatment.on(chunk, _elsewhere(chunk, len(treatment.blanks)))


# -- what there is to see -----------------------------------------------------------------------


def look(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, args: BlanksArgs
) -> Seen:
    """Of an ablation the sample, of a transplant the outputs; in words both lists' answers."""
    check_act(treatment)
    if treatment.act is Act.TRANSPLANT:
        return exchange_seen(exchange(model, digits, treatment, args.seed), treatment, model)
    runs = beside(model, digits, treatment, args.seed)
    seen = sample_seen(sample(model, treatment, args.lists, args.seed), treatment, model)
    said = [f"{name}: {run.answer.text}" for name, run in runs.runs]
    return Seen(seen.figure, seen.rows, [*said, *seen.words])


def sample_seen(found: Sample, treatment: Treatment, model: SortTransformer) -> Seen:
    """Rates with their intervals."""
    from analyses.one_list.blanks.figure import sample_figure

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
    return Seen(sample_figure(found, treatment.words(model.task)), rows, words)


def exchange_seen(found: Exchange, treatment: Treatment, model: SortTransformer) -> Seen:
    """Every output's token, whose it is, and the probabilities of both digits."""
    from analyses.one_list.blanks.figure import exchange_figure

    rows = []
    for name, run in found.runs.runs:
        whose = found.follows(run)
        for i, (ours, theirs) in enumerate(zip(sorted(found.a), sorted(found.b), strict=True)):
            row: dict[str, Any] = {
                "from_b": "nothing" if name == AS_IT_IS else name,
                "output": i,
                "said": token_name(run.answer.outputs[i].token),
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
    which = treatment.words(model.task).partition(":")[0]  # the digits of B would not fit
    return Seen(exchange_figure(found, which), rows, words)


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    run_one_list(look, BlanksArgs, "one_list_blanks", argv)


if __name__ == "__main__":
    main()
