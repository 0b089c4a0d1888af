"""What ``analyses.path_blanks`` found, in words, as verdicts and as data."""

from __future__ import annotations

from typing import Any

from analyses.experiment.minimal_pairs import pairs_json, pairs_words
from analyses.path_blanks.result import IMPOSSIBLE, MEDIATED, ROUTES, PathResult
from interp.methods.pair_runs import DIRECTIONS
from interp.stats import Estimate

_SHOWN = 0.005  # shares below this are left out of sentences


def summary(result: PathResult) -> list[str]:
    """The finding, in a few lines."""
    kept = int(result.understood.sum())
    lines = [pairs_words(result.pairs, kept)]
    if not kept:
        return [*lines, "With none right there is no effect to share out."]
    if result.n_layers == 1:
        lines.append(
            "This model has one layer: what it computes at a blank is read by no other position, "
            "so no route leads through the blanks."
        )
    for direction, name in enumerate(DIRECTIONS):
        routes = {route: result.route(direction, route) for route in ROUTES}
        shares = "; ".join(f"{route} {e.percent()}" for route, e in routes.items() if e)
        lines.append(f"{name.capitalize()}, share of the effect along each route: {shares}.")
        paths = {
            f"{writer} to {reader}": result.path(direction, i, j)
            for i, writer in enumerate(result.writers)
            for j, reader in enumerate(result.readers)
            if "all" not in (writer, reader.split(" ")[0]) and not writer.startswith("heads")
        }
        lines.append(f"  strongest single paths through the blanks: {_strongest(paths)}.")
    return [*lines, _impossible(result), _finding(result, kept)]


def _strongest(paths: dict[str, Estimate | None]) -> str:
    found = [(abs(e.value), f"{name} {e.percent()}") for name, e in paths.items() if e]
    shown = sorted((each for each in found if each[0] >= _SHOWN), reverse=True)[:4]
    return ", ".join(text for _, text in shown) or "none"


def _impossible(result: PathResult) -> str:
    parts = [
        f"{name} (differing by up to {altered:.2g}) changed the logit difference by "
        + ("exactly 0" if not largest else f"up to {largest:.2g} of the effect, and must not have")
        for name, altered, largest in zip(
            IMPOSSIBLE, result.altered, _largest_impossible(result), strict=True
        )
    ]
    return "Routes that can carry nothing: " + "; ".join(parts) + "."


def _largest_impossible(result: PathResult) -> list[float]:
    return result.impossible.abs().amax((0, 1)).tolist()


def _finding(result: PathResult, kept: int) -> str:
    found = [result.route(direction, MEDIATED) for direction in range(2)]
    shares = [estimate.percent() if estimate else "nothing" for estimate in found]
    own = result.route(0, "answer row")
    beside = f"; {own.percent()} by the answer row reading the list in layer 0" if own else ""
    zero = (
        "both impossible routes carry exactly nothing"
        if result.impossible_is_zero
        else "AN IMPOSSIBLE ROUTE CARRIES SOMETHING, so do not trust these numbers"
    )
    return (
        f"Through the blanks passes {shares[0]} of the effect (denoising; noising {shares[1]}; "
        f"n = {kept}){beside}; {zero}."
    )


def verdicts(result: PathResult) -> dict[str, Any]:
    """``mediated``: the share of the effect through the blanks, to a percent (None if no pair was
    understood); ``impossible_is_zero``: whether the two impossible routes carried nothing."""
    estimate = result.route(0, MEDIATED)
    return {
        "mediated": None if estimate is None else round(estimate.value, 2) + 0.0,
        "impossible_is_zero": result.impossible_is_zero,
    }


def to_json(result: PathResult) -> dict[str, Any]:
    """The result as data."""
    return {
        **pairs_json(result.pairs, int(result.understood.sum())),
        "layers": result.n_layers,
        "by_route": [
            {"direction": direction, "route": route, **estimate.to_dict()}
            for d, direction in enumerate(DIRECTIONS)
            for route in ROUTES
            if (estimate := result.route(d, route)) is not None
        ],
        "by_path": [
            {"direction": direction, "writer": writer, "reader": reader, **estimate.to_dict()}
            for d, direction in enumerate(DIRECTIONS)
            for i, writer in enumerate(result.writers)
            for j, reader in enumerate(result.readers)
            if (estimate := result.path(d, i, j)) is not None
        ],
        "impossible": [
            {"route": name, "largest_effect": largest, "runs_differ_by": altered}
            for name, largest, altered in zip(
                IMPOSSIBLE, _largest_impossible(result), result.altered, strict=True
            )
        ],
    }
