"""What ``analyses.patch_blanks`` found, in words, as verdicts and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analyses.experiment.minimal_pairs import (
    EVERYWHERE,
    HEAD_PLACES,
    PLACES,
    pairs_json,
    pairs_words,
)
from analyses.patch_blanks.result import PatchResult
from interp.methods.pair_runs import DIRECTIONS
from interp.sites import Component, Site
from interp.stats import Estimate
from interp.task import Region

MATTERS = 0.1  # the share of the effect from which a verdict says that a place or head carries it


def summary(result: PatchResult) -> list[str]:
    """The finding, in a few lines."""
    kept = int(result.understood.sum())
    lines = [pairs_words(result.pairs, kept)]
    if not kept:
        return [*lines, "With none right there is no effect to share out."]
    for direction, name in enumerate(DIRECTIONS):
        lines.append(f"{name.capitalize()}, share of the effect that each place carries by itself:")
        for number, site in enumerate(result.sites):
            found = (result.place_estimate(direction, number, p) for p in range(len(PLACES)))
            lines.append(f"  {site.words}: {_ranked(dict(zip(PLACES, found, strict=True)))}")
        everywhere = HEAD_PLACES.index(EVERYWHERE)
        outputs = {
            f"{site.layer}.{site.heads[0]}": result.head_estimate(direction, number, everywhere)
            for number, site in enumerate(result.heads)
            if site.component is Component.Z and site.heads
        }
        lines.append(f"  output of each single head (layer.head): {_ranked(outputs)}")
    return [*lines, _finding(result)]


def _ranked(estimates: dict[str, Estimate | None]) -> str:
    """``blanks 58 % [50, 65], SEP 3 % [1, 4]``: what rounds to a percent, the largest first."""
    found = [(e.value, f"{k} {e.percent(0)}") for k, e in estimates.items() if e is not None]
    shown = sorted((each for each in found if abs(each[0]) >= 0.005), reverse=True)
    return ", ".join(text for _, text in shown) or "nothing"


def _finding(result: PatchResult) -> str:
    """What the blanks carry into the last layer, against the digits: the question of the page."""

    def carried(direction: int, place: str) -> str:
        estimate = result.place_estimate(direction, _last_stream(result), PLACES.index(place))
        return "nothing" if estimate is None else estimate.percent(0)

    n = int(result.understood.sum())
    if not result.pairs.task.region(Region.BLANKS):
        return (
            "No blanks here. Before the last layer the changed digit's own position still carries "
            f"{carried(0, 'changed digit')} of the effect (n = {n})."
        )
    return (
        "Before the last layer, the blanks (all but the last, together) bring back "
        f"{carried(0, 'blanks')} of the clean answer, and corrupting them loses "
        f"{carried(1, 'blanks')} (n = {n})."
    )


def _last_stream(result: PatchResult) -> int:
    return result.sites.index(Site(Component.RESID_PRE, result.sites[-1].layer))


def verdicts(result: PatchResult) -> dict[str, Any]:
    """What carries at least a tenth of the effect, in either direction.

    ``heads`` ([layer, head] pairs): the head's output, at all positions. ``blanks_content`` and
    ``digits_content``: the stream before the last layer, at the blanks and at the changed digit.
    """

    def largest(*estimates: Estimate | None) -> float:
        return max((abs(e.value) for e in estimates if e is not None), default=0.0)

    def carries(*places: str) -> bool:
        last = _last_stream(result)
        found = [result.place_estimate(d, last, PLACES.index(p)) for d in range(2) for p in places]
        return largest(*found) >= MATTERS

    everywhere = HEAD_PLACES.index(EVERYWHERE)
    return {
        "heads": [
            [site.layer, *(site.heads or ())]
            for number, site in enumerate(result.heads)
            if site.component is Component.Z
            and largest(*(result.head_estimate(d, number, everywhere) for d in range(2))) >= MATTERS
        ],
        "blanks_content": carries("blanks", "last blank"),
        "digits_content": carries("changed digit"),
    }


def to_json(result: PatchResult) -> dict[str, Any]:
    """The result as data: estimates by place and by head, and the mean of every position."""
    kept, labels = result.understood, result.pairs.task.labels(result.pairs.length)
    means = result.by_position[:, kept].mean(1) if kept.any() else None
    return {
        **pairs_json(result.pairs, int(kept.sum())),
        "by_place": _rows(result.sites, PLACES, result.place_estimate),
        "by_head": _rows(result.heads, HEAD_PLACES, result.head_estimate),
        "by_position": {
            "positions": result.positions,
            "labels": [labels[p] for p in result.positions],
            "sites": [site.hook_name for site in result.sites],
            **{
                direction: None if means is None else means[d].tolist()
                for d, direction in enumerate(DIRECTIONS)
            },
        },
    }


def _rows(sites: list[Site], places: Sequence[str], estimate_of: Any) -> list[dict[str, Any]]:
    return [
        {
            "direction": direction,
            "site": site.hook_name,
            **({"head": site.heads[0]} if site.heads else {}),
            "place": place,
            **estimate.to_dict(),
        }
        for d, direction in enumerate(DIRECTIONS)
        for s, site in enumerate(sites)
        for p, place in enumerate(places)
        if (estimate := estimate_of(d, s, p)) is not None
    ]
