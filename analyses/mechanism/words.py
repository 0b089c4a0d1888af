"""What ``analyses.mechanism`` found, in words and as data."""

from __future__ import annotations

from typing import Any

from analyses.mechanism.result import MechanismResult, Turned

MASSES = (
    "copies in the list",
    "copies out",
    "other digits of the list",
    "other outputs",
    "blanks",
    "SEP",
)
"""Kinds of keys, seen from a row."""
_SHOWN = 6  # heads and MLPs in a line
_EVERY = 4  # numbers of the curve to one line: a table is read, a curve is looked at


def summary(result: MechanismResult) -> list[str]:
    """Heads, weights, attention, and the two programs on lists that were not fitted."""
    layer, head = result.head
    ranked = sorted(result.flips.items(), key=lambda each: -each[1].value)[:_SHOWN]
    flips = ", ".join(f"{name} {rate.percent(0)}" for name, rate in ranked)
    n = next((rate.n for rate in result.flips.values()), 0)
    lines = [
        f"Staying exchanged at one part alone, between prompts that are alike (n = {n}): "
        + (flips or "no pairs")
    ]
    if result.weights is not None:
        lines += _weights(result, head)
    shares = zip(MASSES, result.masses.tolist(), strict=True)
    where = ", ".join(f"{name} {share:.2f}" for name, share in shares)
    lines.append(f"Attention of head {layer}.{head} on random lists: {where}.")
    lines.append("Outputs, and whole lists, that each program gets as the model has them:")
    for each in result.judged:
        hard, soft = each.outputs(False), each.outputs(True)
        text = f"  {each.kind}: hard {hard.percent()}, soft {soft.percent()}"
        if each.kind != "edited prefixes":
            text += (
                f"; lists: hard {each.lists(False).percent()}, soft {each.lists(True).percent()}"
            )
        lines.append(f"{text} (n = {hard.n} lists)")
    if result.turned is not None:
        lines += _turned(result.turned)
    return [*lines, _finding(result)]


def _weights(result: MechanismResult, head: int) -> list[str]:
    weights = result.weights
    assert weights is not None
    (listed, out), (most, most_out) = weights.equality.tolist(), weights.own_highest.tolist()
    apart = " ".join(f"{each:.2f}" for each in weights.difference.tolist())
    return [
        f"Head 0.{head} looks for equal digits: their score is {listed:.1f} above others in the "
        f"list and {out:.1f} among the outputs; the row's own digit has the highest score of ten "
        f"in {100 * most:.0f} % and {100 * most_out:.0f} % of places.",
        "What it writes for a copy in the list and for one that is out differ, over their mean "
        f"length, by {apart} (digits 0 to 9); the mean cosine of that difference between two "
        f"digits is {float(weights.shared):.2f}.",
    ]


def _turned(turned: Turned) -> list[str]:
    low, high = turned.right
    lines = [
        f"The number of head 0.{turned.head}, from about 1 (copies in the list alone) to about -1 "
        f"(copies out alone); after right prefixes {low:.2f} to {high:.2f} in 90 %. Set after "
        f"right prefixes with all copies of their last digit out (n = {len(turned.last)}):"
    ]
    shares = turned.shares().items()
    for at in range(0, len(turned.values), _EVERY):
        said = ", ".join(f"{name} {rates[at].percent(0)}" for name, rates in shares)
        lines.append(f"  {float(turned.values[at]):+.1f}: {said}")
    lines.append(
        "Of a wrong prefix's run in that of the right one that ends in the same digit; it then "
        "says what the model says after the wrong one, with"
    )
    for each in turned.exchanged:
        rates = each.rates()
        words = ", ".join(f"{name} {rate.percent()}" for name, rate in rates.items())
        lines.append(f"  {each.kind}: {words} (n = {len(each.number)})")
    return lines


def _carried(turned: Turned) -> str:
    """What the number alone carries, over the kinds of wrong prefixes, and another head at most."""
    kinds = [(each.rates(), each.kind) for each in turned.exchanged]
    ranked = sorted(kinds, key=lambda of: of[0]["its number"].value)
    (least, worst), *_, (most, best) = ranked
    other = max((rates["another head"] for rates, _ in kinds), key=lambda rate: rate.value)
    return (
        f"One number of head 0.{turned.head}, taken from a run after a wrong prefix to one after a "
        "right prefix that ends in the same digit, makes it say what the model says after the "
        f"wrong one in {least['its number'].percent()} ({worst}, the worst kind) to "
        f"{most['its number'].percent()} ({best}) of prompts; another head does so in "
        f"{other.percent()} at most. "
    )


def _finding(result: MechanismResult) -> str:
    random, *few, edited = result.judged
    better = all(
        each.outputs(True).value >= each.outputs(False).value
        and each.lists(True).value >= each.lists(False).value
        for each in few
    )
    words = "is no worse than" if better else "is not always better than"
    number = "" if result.turned is None else _carried(result.turned)
    return (
        f"{number}The soft program says what the model says in {random.outputs(True).percent()} "
        f"of outputs of random lists, and {words} the hard one on lists of few digits. After "
        "edited prefixes, where sorting programs part, it does so in "
        f"{edited.outputs(True).percent()}."
    )


def to_json(result: MechanismResult) -> dict[str, Any]:
    """Heads, weights, attention, the soft program's numbers, both programs, and the curve."""
    weights = result.weights
    return {
        "flips": {name: rate.to_dict() for name, rate in result.flips.items()},
        "head": list(result.head),
        "weights": None
        if weights is None
        else {
            "scores_list": weights.scores[0].tolist(),
            "scores_outputs": weights.scores[1].tolist(),
            "equality": weights.equality.tolist(),
            "own_highest": weights.own_highest.tolist(),
            "difference": weights.difference.tolist(),
            "shared": float(weights.shared),
        },
        "attention": dict(zip(MASSES, result.masses.tolist(), strict=True)),
        "soft": {"weights": result.soft.weights.tolist(), "beyond": result.soft.beyond},
        "judged": {
            each.kind: {
                "outputs_hard": each.outputs(False).to_dict(),
                "outputs_soft": each.outputs(True).to_dict(),
                "lists_hard": each.lists(False).to_dict(),
                "lists_soft": each.lists(True).to_dict(),
            }
            for each in result.judged
        },
        "turned": None if result.turned is None else _turned_json(result.turned),
        "curve": curve(result),
    }


def _turned_json(turned: Turned) -> dict[str, Any]:
    return {
        "head": turned.head,
        "values": [round(value, 4) for value in turned.values.tolist()],
        "said": {
            name: [rate.to_dict() for rate in rates] for name, rates in turned.shares().items()
        },
        "right": list(turned.right),
        "exchanged": {
            each.kind: {
                "numbers": list(each.numbers),
                **{name: rate.to_dict() for name, rate in each.rates().items()},
            }
            for each in turned.exchanged
        },
    }


def curve(result: MechanismResult) -> list[dict[str, Any]]:
    """How often the model stays, by copies in the list and copies still to come."""
    rows, found = result.decisions, []
    stays, left = rows.said == rows.last, rows.copies_in_list - rows.copies_out
    for copies in rows.copies_in_list.unique().tolist():
        for rest in range(_MOST_LEFT + 1):
            chosen = (rows.copies_in_list == copies) & (left == rest)
            if n := int(chosen.sum()):
                share = int(stays[chosen].sum()) / n
                found.append({"copies": copies, "left": rest, "stays": share, "n": n})
    return found


_MOST_LEFT = 6  # copies to come: with more the decision is never in doubt
