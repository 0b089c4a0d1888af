"""What the tour says: sentences from numbers, true of whatever model and list they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analyses.one_list.answers import Answer
from analyses.one_list.glance.result import AnswerRows
from analyses.one_list.without.result import AblatedAnswers
from analyses.patch_blanks.result import PatchResult
from explorer.parts.elements import share
from explorer.parts.meaning import OWN, RIGHT, outputs
from interp.sorters.truth import SORTERS, truth_of
from interp.stats import Estimate
from interp.task import Region, SortTask, spaced

_SOME = 0.05  # the share from which a place is said to carry something


def _percent(share: float) -> str:
    return f"{100 * share + 0.0:.0f} %".replace("-0 %", "0 %")


# -- 1: the task --------------------------------------------------------------------------------


def task_words(task: SortTask, digits: Sequence[int]) -> list[str]:
    """What is read, in which order, and what is asked for."""
    n, many = len(digits), task.n_blanks
    digit = "digit" if n == 1 else "digits"
    between = (
        f"{many} BLANK tokens that mean nothing (_)" if many > 1 else "a BLANK that means nothing"
    )
    reads = f"SEP, which ends the list, then {between}, then its own outputs"
    speaks = "The last blank" if many else "SEP"
    return [
        f"The model reads a list of digits and gives it back in ascending order. Yours has {n} "
        f"{digit}, {spaced(digits)}, so the right answer is **{spaced(task.answer(digits))}**.",
        "It reads from left to right, and no position sees what comes after it: first the list, "
        f"then {reads if many else 'SEP, which ends the list, then its own outputs'}.",
        f"{speaks} says the first output, and each output says the next one.",
    ]


def tokens_before_answer(task: SortTask, digits: Sequence[int]) -> str:
    """How many tokens are read before the first output is said."""
    total = len(digits) + 1 + task.n_blanks
    blanks = f" + {task.n_blanks} blanks" if task.n_blanks else ""
    return (
        f"{len(digits)} digits + SEP{blanks} = **{total}**. Whatever it works out on the way, it "
        "must leave at one of these positions, for later ones to read."
    )


# -- 2: the answer ------------------------------------------------------------------------------


def answer_words(said: Answer) -> list[str]:
    """How much of it is right, and where the model is least sure."""
    n, wrong = len(said.outputs), len(said.wrong)
    least = min(range(n), key=lambda i: said.outputs[i].probability)
    verdict = (
        f"**✓ All {outputs(n)} are right.**"
        if n > 1 and not wrong
        else "**✓ It is right.**"
        if not wrong
        else f"**✗ {wrong} of {outputs(n)} {'is' if wrong == 1 else 'are'} wrong.**"
    )
    return [
        f"{verdict} Every output is the most probable of twelve tokens: ten digits, SEP and BLANK.",
        f"The model is least sure of output {least}: "
        f"{share(said.outputs[least].probability)} is the probability of what it says there.",
    ]


def not_one_list(rate: Estimate) -> str:
    """Why one list shows little."""
    return (
        f"No: it is one example. Of {rate.n} lists it was not trained on, of every length in turn, "
        f"it sorts **{rate.percent()}** without a mistake (95 % interval in brackets)."
    )


# -- 3: where it looks --------------------------------------------------------------------------


@dataclass(frozen=True)
class OneHead:
    """A head of the last layer, and what it and its layer look at."""

    layer: int
    head: int
    region: str
    """Where this head looks most: ``the blanks`` if there are any, else ``the digits``."""
    share: float
    """Of this head's attention, there."""
    of_layer: float
    """The same, mean over the layer's heads."""


def most_concentrated(found: AnswerRows) -> OneHead:
    """The head of the last layer that looks most at the blanks (without blanks, at the digits)."""
    chosen = (Region.BLANKS, Region.LAST_BLANK) if found.task.n_blanks else (Region.DIGITS,)
    columns = [found.regions.index(region) for region in chosen]
    shares = found.shares[-1][:, columns].sum(-1)
    head = int(shares.argmax())
    region = "the blanks" if found.task.n_blanks else "the digits"
    return OneHead(
        layer=len(found.shares) - 1,
        head=head,
        region=region,
        share=float(shares[head]),
        of_layer=float(shares.mean()),
    )


def head_words(head: OneHead) -> list[str]:
    """What attention is, and where most of it goes."""
    return [
        "A model has layers, and a layer has heads. A head looks at earlier positions, and gathers "
        "what is there: this is the only way in which one position learns about another.",
        "On the left: how every head spreads its attention, over the positions that say outputs. "
        "On the right: one head in full, a row for each of these positions.",
        f"Head {head.head} of layer {head.layer} gives **{_percent(head.share)}** of its attention "
        f"to {head.region}; all heads of that layer together {_percent(head.of_layer)}.",
    ]


LOOKING_IS_NOT_USING = (
    "That cannot be seen from here. A head may look at a place and gather nothing that matters: of "
    "the sorters on the page Truth, *direct* has a head whose outputs look at one blank each, and "
    "which writes exactly nothing. To know, one must change something: the next step."
)

# -- 4: taken away ------------------------------------------------------------------------------


def without_words(result: AblatedAnswers, masked: str, of_b: str) -> list[str]:
    """Two ways of taking the blanks away, and what became of the outputs.

    Args:
        masked: the name of the line where blanks are masked.
        of_b: of the one where they hold what they hold for list B.
    """
    n = len(result.digits)
    return [
        "Two ways of taking the blanks away from the outputs. *Masked*: no output may look at "
        "them. *Of list B*: they may, but the blanks hold what they hold for another list, "
        f"{spaced(result.other)}.",
        f"Masked, **{result.right(masked)} of {outputs(n)}** stay right. With the blanks of list "
        f"B, **{result.right(of_b)}** do, and {result.follows(of_b)} become what B's answer has "
        "there.",
        f"Every output is {RIGHT} before it, so that one mistake leads to no other. On the pages "
        f"Sort and Blanks it is {OWN}, and a mistake may lead to more.",
    ]


def heads_words(result: AblatedAnswers) -> list[str]:
    """For a model without blanks: a head at a time."""
    lines = result.lines[1:]
    breaking = [line.name for line in lines if result.right(line.name) < len(result.digits)]
    return [
        "This model has no blanks to take away, so here it is a head at a time: it writes what it "
        f"writes for another list, {spaced(result.other)} (list B).",
        f"**{len(breaking)} of {len(lines)} heads** change an output by themselves"
        + (f": {', '.join(name.split()[1] for name in breaking)}." if breaking else "."),
    ]


# -- 5: one place -------------------------------------------------------------------------------


def pair_words(result: PatchResult, other: Sequence[int]) -> list[str]:
    """The two lists, and what is asked."""
    out = int(result.pairs.rows[0]) - result.pairs.task.first_output_row
    clean, corrupt = (int(token) for token in result.pairs.answers[0])
    return [
        f"List C is yours with one digit changed: {spaced(other)}. The answers differ first at "
        f"output {out}: yours has **{clean}** there, and C **{corrupt}**.",
        "*Patching*: while the model answers C, put into one place what it holds for your list, "
        f"just before the last layer. If the {clean} comes back, the place holds what makes the "
        "difference. 100 % means all of it, 0 % none.",
    ]


def carried(result: PatchResult, places: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Of the stream before the last layer: the share that each place brings back, and that is lost
    without it; places that the pair does not have are left out."""
    last = max(i for i, site in enumerate(result.sites) if site.component.value == "resid_pre")
    shares = result.by_place[:, 0, last].T.tolist()  # [place][direction]
    found = zip(places, shares, strict=True)
    return {place: (back, lost) for place, (back, lost) in found if back == back}  # no NaN


def carried_words(shares: dict[str, tuple[float, float]]) -> str:
    """Which places bring the answer back by themselves."""
    some = {place: back for place, (back, _) in shares.items() if back >= _SOME}
    if not some:
        return "No place brings the answer back by itself: it may take several together."
    best = max(some, key=lambda place: some[place])
    rest = [f"{place} {_percent(share)}" for place, share in some.items() if place != best]
    more = f"; of the others, {', '.join(rest)}" if rest else "; the others next to nothing"
    return f"By itself, *{best}* brings back **{_percent(some[best])}**{more}."


def lost_words(shares: dict[str, tuple[float, float]]) -> str:
    """The other direction."""
    best = max(shares, key=lambda place: shares[place][1])
    return (
        "Turn it round: C's values into the run of your list. Then most is lost with those at "
        f"*{best}*: {_percent(shares[best][1])}. A place can bring an answer back without being "
        "needed, if another holds the same; and it can be needed without sufficing."
    )


# -- 6: what follows ----------------------------------------------------------------------------


def checked_words(result: AblatedAnswers, masked: str, of_b: str) -> list[str]:
    """What the two ways say of sorters whose algorithm is known, against what is true of them."""
    n = len(result.digits)
    broken = [s for s in SORTERS if result.right(f"{s}: {masked}") < n]
    following = [s for s in SORTERS if result.follows(f"{s}: {of_b}")]
    needed = [s for s in SORTERS if truth_of(s).blanks_needed]
    read = [s for s in SORTERS if truth_of(s).blanks_content]
    right = sum((s in broken) == (s in needed) for s in SORTERS)
    right += sum((s in following) == (s in read) for s in SORTERS)
    return [
        "The same two ways, on five sorters that were written by hand. In "
        f"{_listed(read)} the outputs read what the blanks hold; in "
        f"{_listed([s for s in needed if s not in read])} attention only rests on them; the others "
        "do without.",
        f"On this list masking breaks {_listed(broken)}, and list B's blanks lead "
        f"{_listed(following)} to B's answer: **{right} of {2 * len(SORTERS)}** as is known.",
    ]


def likeness(result: AblatedAnswers, masked: str, of_b: str) -> str:
    """Which of the sorters fare like the model."""
    n = len(result.digits)

    def outcome(prefix: str) -> tuple[bool, bool]:
        return result.right(prefix + masked) < n, result.follows(prefix + of_b) > 0

    alike = [s for s in SORTERS if outcome(f"{s}: ") == outcome("")]
    start = (
        f"Under these two ways it fares like {_listed(alike)}"
        if alike
        else "Under these two ways it fares like none of the five"
    )
    return (
        f"{start}. That is not the same algorithm: many algorithms share two outcomes. Each method "
        "narrows it down a little, and what remains needs more methods, and more lists."
    )


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; ``none``"""
    *most, last = names or ["none"]
    return f"{', '.join(most)} and {last}" if most else last
