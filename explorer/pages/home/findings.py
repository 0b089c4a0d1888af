"""What the page Home says: findings made from shipped results (:mod:`analyses.ship.shipped`).

No number stands in this file: sentences, intervals and pictures are read from the results, each of
which names the command that makes it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from analyses.experiment import catalogue
from analyses.replication.published import PUBLISHED
from analyses.runs.variance_shift.result import AS_IT_IS, EVERY_NORM
from analyses.ship.shipped import Shipped, course_subject, shipped
from interp.stats import Estimate, wilson

PLAIN, RIVAL = "right prefixes", "rank"
"""A kind of prompt and a program, as ``which_program`` names them."""
FULL, SMALL = "study original", "study quick"
"""The studies: the published size, and the small one with ten runs an arm."""
ARMS = {"blanks": "with blanks", "no-blanks": "without", "pos-offset": "without, positions shifted"}


@dataclass(frozen=True)
class Bar:
    """One line of a picture."""

    name: str
    rate: Estimate
    strong: bool = False
    """Drawn in the colour of what the finding is about."""


@dataclass(frozen=True)
class Finding:
    """One answer, with what it rests on."""

    question: str
    answer: str
    words: Sequence[str]
    """Markdown: numbers with their intervals and n, and what they do not show."""
    picture: str
    """What the bars are."""
    bars: Sequence[Bar]
    page: str
    """Where the evidence is, by its path."""
    link: str
    commands: Sequence[str]


def findings(model: str, subject: str) -> Iterator[Finding]:
    """Those of one model whose results are shipped, and that of the studies.

    Args:
        model: its name.
        subject: the hash of its weights.
    """
    for make in (_program, _blanks):
        if (found := make(model, subject)) is not None:
            yield found
    if (last := _training()) is not None:
        yield last


def _shipped(name: str, subject: str) -> Shipped | None:
    return shipped(catalogue.experiment(name), subject)


# -- how it sorts -------------------------------------------------------------------------------


def _program(model: str, subject: str) -> Finding | None:
    found = _shipped("which_program", subject)
    if found is None or not found.json["best"]:
        return None
    data, best = found.json, found.json["best"][0]
    agrees = {kind: Estimate(**rate) for kind, rate in data["agreement"][best].items()}
    edited = {kind: agrees[kind] for kind in data["judged"] if kind != PLAIN}
    worst = min(edited, key=lambda kind: edited[kind].value)
    parted = _parted(data, best)
    named = best.replace("-", " ")
    words = [
        f"**{data['programs'][best]}** After right prefixes this program says what `{model}` says "
        f"in {_rate(agrees[PLAIN], 'lists')}.",
    ]
    bars = [Bar(f"{named}, after right prefixes", agrees[PLAIN], True)]
    if parted is not None:
        mine, rival = parted
        words.append(
            f"So does every program that sorts. After *wrong* prefixes, where this one and "
            f"“{RIVAL}” part, it is right in {_rate(mine, 'prompts')}"
            f", the other in {rival.percent()}."
        )
        bars += [
            Bar(f"{named}, where they part", mine, True),
            Bar(f"{RIVAL}, where they part", rival),
        ]
    bar = found.record["settings"]["bar"]
    last = (
        f"Its worst kind of wrong prefix is “{worst}”, with {_rate(edited[worst], 'prompts')}, "
        f"{'above' if data['winner'] else 'below'} the bar of {100 * bar:.0f} %."
    )
    bars.append(Bar(f"{named}, worst kind of prefix", edited[worst], True))
    commands = [found.command]
    if not data["winner"] and (reader := _shipped("one_reader", subject)) is not None:
        last += f" {_longer(reader)}"
        commands.append(reader.command)
    words.append(last)
    return Finding(
        "How does it sort?",
        _titled(best, bool(data["winner"])),
        words,
        "Outputs where program and model say the same",
        bars,
        "algorithm",
        "Ask it yourself",
        commands,
    )


_WHOLE, _BLANKS_CUT = "all but the row", "blanks and SEP"
"""Columns of ``one_reader``."""


def _longer(reader: Shipped) -> str:
    """Of the program in which one row reads: it is no short one, but it may reach the bar."""
    _, rate = _lowest(reader, _WHOLE)
    passes = rate.value >= reader.json["bar"]
    return (
        "A longer program, in which only the token that answers reads, is "
        f"{'above' if passes else 'below'} it: {_rate(rate, 'prompts')} at worst."
    )


def _lowest(reader: Shipped, column: str) -> tuple[str, Estimate]:
    """The kind of prompt in which it says least often what the model says."""
    rates = {kind: Estimate(**rate) for kind, rate in reader.json["agreement"][column].items()}
    worst = min(rates, key=lambda kind: rates[kind].value)
    return worst, rates[worst]


def _titled(program: str, passes: bool) -> str:
    """In a few words; weaker where the program does not pass the bar."""
    if program != "copy-and-count":
        return f"Most like the program “{program.replace('-', ' ')}”."
    return "It copies and counts." if passes else "Mostly, it copies and counts."


def _parted(data: dict[str, Any], best: str) -> tuple[Estimate, Estimate] | None:
    """Of the prompts where the best program and its rival part, the share that each says."""
    for row in data["parted"]:
        names = list(row["programs"])
        if {best, RIVAL} == set(names) and row["n"]:
            right = dict(zip(names, row["right"], strict=True))
            return wilson(right[best], row["n"]), wilson(right[RIVAL], row["n"])
    return None


# -- what the blanks are for --------------------------------------------------------------------

_BARS = {
    "as it is": "as it is",
    "resample: all": "with another list's blanks",
    "resample: control": "control: as many other positions of another list",
    "mask: all": "with the blanks closed to the outputs",
}


def _blanks(model: str, subject: str) -> Finding | None:
    names = ("ablate_blanks", "transplant_blanks", "reduce_blanks")
    found = [_shipped(name, subject) for name in names]
    if any(one is None for one in found):
        return None
    taken, given, less = (one.json for one in found if one is not None)
    exact = {name: Estimate(**taken["together"][name]["exact_match"]) for name in _BARS}
    constant = Estimate(**less["steps"]["one key and value"]["exact"])
    follow = Estimate(**given["follows"]["blanks"]["B"])
    as_it_is, others = exact["as it is"], exact["resample: all"]
    needs = exact["mask: all"].high < as_it_is.low
    if follow.low > 0.5 or others.high < as_it_is.low / 2:
        reads = "Yes: it needs what they hold about the list"
    elif follow.low > 0 or others.high < as_it_is.low:
        reads = "Hardly: few answers need what they hold about the list"
    else:
        reads = "No: it uses nothing that they hold about the list"
    if needs:
        more = "." if reads.startswith("Yes") else ", and yet it cannot do without them."
    else:
        more = ", and it can do without them."
    words = [
        f"Give the outputs of `{model}` *another list's* blanks, and {follow.percent()} of them "
        f"follow that list (n = {follow.n:,} pairs of lists); "
        f"{_rate(exact['resample: all'], 'lists')} still come out without a mistake.",
        f"Closed to the outputs, {exact['mask: all'].percent()} do. Put *one constant* in place of "
        f"all of them, the same for every blank and list, and {_rate(constant, 'lists')} do.",
    ]
    commands = [one.command for one in found if one is not None]
    if (reader := _shipped("one_reader", subject)) is not None:
        worst, rate = _lowest(reader, _BLANKS_CUT)
        words.append(
            f"With one fixed vector for each blank, `{model}` says the same in "
            f"{_rate(rate, 'prompts')} of the worst kind of prefix, “{worst}”."
        )
        commands.append(reader.command)
    bars = [Bar(words, exact[name], name == "resample: all") for name, words in _BARS.items()]
    bars.insert(2, Bar("with one constant in place of all blanks", constant, True))
    return Finding(
        "Does it compute in its blanks?",
        reads + more,
        words,
        "Lists sorted without a mistake",
        bars,
        "blanks",
        "Take them away yourself",
        commands,
    )


# -- whether blanks help learning ---------------------------------------------------------------


def _training() -> Finding | None:
    small, full = _shipped("replication", SMALL), _shipped("replication", FULL)
    if small is None or full is None:
        return None
    accuracy = {arm: Estimate(**small.json["arms"][arm]["mean_accuracy"]) for arm in ARMS}
    difference = next(
        row["comparison"]["difference"]
        for row in small.json["comparisons"]
        if (row["arm"], row["against"]) == ("no-blanks", "blanks")
    )
    both = [small.json["arms"][arm] for arm in ("blanks", "no-blanks")]
    converged = ", ".join(f"{one['convergent']} of {one['runs']}" for one in both)
    at_full = [full.json["arms"][arm] for arm in ARMS]
    ours = ", ".join(f"{one['convergent']} of {one['runs']}" for one in at_full)
    theirs = ", ".join(f"{one.convergent} of {one.runs}" for one in PUBLISHED.values())
    why, made = _dropout()
    shown = "a difference" if _apart(difference) else "no difference"
    return Finding(
        "Are the blanks key to learning?",
        "Not reproduced, and not refuted.",
        [
            f"On short lists runs with and without blanks both converge ({converged}), and their "
            f"accuracy shows {shown}: {_points(difference)} over "
            f"{difference['n']} common seeds.",
            f"At the published length {ours} converged (in the order above), against the "
            f"published {theirs}: too few runs to tell.",
            *why,
        ],
        f"Accuracy while training, mean of {accuracy['blanks'].n} runs each",
        [Bar(name, accuracy[arm], arm == "blanks") for arm, name in ARMS.items()],
        "training",
        "See every run's curve",
        [small.command, full.command, *made],
    )


_COURSE = "original-blanks"
"""The shipped run: of the published recipe, with blanks, not convergent."""


def _dropout() -> tuple[list[str], list[str]]:
    """What dropout has to do with it, if the shipped run shows it; and the command that does."""
    found = _shipped("runs.variance_shift", course_subject(_COURSE))
    if found is None:
        return [], []
    last = found.json["checkpoints"][-1]
    now, expecting = (Estimate(**last["exact"][way]) for way in (AS_IT_IS, EVERY_NORM))
    if expecting.low <= now.high:
        return [], []
    words = (
        "One reason is dropout: runs are trained with it and measured without, when their "
        f"LayerNorms divide by too little. After {last['step']:,} steps the shipped run with "
        f"blanks sorts **{now.percent()}**, and **{expecting.percent()}** when they divide by "
        f"what dropout would make of it (n = {now.n:,} lists)."
    )
    if (why := _shipped("replication", "study why")) is None:
        return [words], [found.command]
    arm = why.json["arms"]["no-blanks-no-dropout"]
    words += (
        f" Trained without it, **{arm['convergent']} of {arm['runs']}** as long runs converged, "
        "without blanks."
    )
    return [words], [found.command, why.command]


def _apart(difference: dict[str, float]) -> bool:
    return difference["low"] > 0 or difference["high"] < 0


def _points(difference: dict[str, float]) -> str:
    value, low, high = (100 * difference[key] for key in ("value", "low", "high"))
    return f"{value:.1f} points [{low:.1f}, {high:.1f}]"


def _rate(rate: Estimate, of: str) -> str:
    return f"**{rate.percent()}** (n = {rate.n:,} {of})"
