"""What ``analyses.settle`` found, in words, as a table and as data."""

from __future__ import annotations

from typing import Any

from analyses.settle.result import NO_DROPOUT, NOT_AFTER_MLPS, Period, SettleResult, Way


def summary(result: SettleResult) -> list[str]:
    """Each way, how it goes up and down, and the finding."""
    count = len(result.as_it_was.exact)
    return [
        f"From step {result.step} on, over the second half of {count} steps, held-out lists exact:",
        *(f"  {_way(name, way)}" for name, way in result.ways.items()),
        "Outputs that the average of the weights gets wrong at the end:",
        *(f"  {name}: {_mistakes(way)}" for name, way in result.ways.items()),
        _swings(result),
        _finding(result),
    ]


def _way(name: str, way: Way) -> str:
    lowest, highest = min(way.second_half), max(way.second_half)
    return (
        f"{name} (learning rate {way.lr:.2g}, dropout {way.dropout:.2g}): the weights "
        f"{way.weights.percent()} ({100 * lowest:.1f} to {100 * highest:.1f} from step to step), "
        f"their average {way.average.percent()}{_expecting(way)}"
    )


def _expecting(way: Way) -> str:
    if way.expecting is None:
        return ""
    return f", and {way.expecting.percent()} when its LayerNorms expect dropout"


def _mistakes(way: Way) -> str:
    return "; ".join(f"{name} {rate.percent(2)}" for name, rate in way.mistakes.items())


def _swings(result: SettleResult) -> str:
    first, second = result.as_it_was.period, result.slower.period
    if first is None or second is None:
        return "Exact match does not go up and down."
    expected = result.expected_period
    ball = "would not swing" if expected is None else f"would take {expected:.1f}"
    return (
        f"Up and down: as it was in {_period(first)}, with the rate / {result.slow} in "
        f"{_period(second)}; a ball with momentum {result.momentum:.2g} that takes the first "
        f"{ball} there."
    )


def _period(period: Period) -> str:
    return f"{period.steps:.1f} steps (p at most {period.p:.2g})"


def _finding(result: SettleResult) -> str:
    now, without = result.as_it_was, result.ways.get(NO_DROPOUT)
    last, calmest = list(result.ways.items())[-1]
    told = [
        f"As it was the weights get {now.weights.percent()} of lists right, and their average "
        f"{now.average.percent()}{_expecting(now)}"
    ]
    if (half := result.ways.get(NOT_AFTER_MLPS)) is not None:
        told.append(f"without dropout after MLPs alone it gets {half.average.percent()}")
    if without is not None:
        told.append(f"without dropout the average gets {without.average.percent()}")
    told.append(f"with {last} the weights get {calmest.weights.percent()}")
    return "; ".join(told) + "."


def rows(result: SettleResult) -> list[dict[str, Any]]:
    """Every number of the figure."""
    found: list[dict[str, Any]] = []
    for name, way in result.ways.items():
        found += [
            {"way": name, "of": "weights", "step": result.step + number, "exact": exact}
            for number, exact in enumerate(way.exact, 1)
        ]
        found += [
            {"way": name, "of": "average", "step": step, "exact": exact}
            for step, exact in way.averaged
        ]
    return found


def to_json(result: SettleResult) -> dict[str, Any]:
    """Each way as data."""
    return {
        "step": result.step,
        "expected_period": result.expected_period,
        "ways": {
            name: {
                "lr": way.lr,
                "dropout": way.dropout,
                "weights": way.weights.to_dict(),
                "lowest": min(way.second_half),
                "highest": max(way.second_half),
                "average": way.average.to_dict(),
                "expecting": None if way.expecting is None else way.expecting.to_dict(),
                "period": None if way.period is None else vars(way.period),
                "mistakes": {name: rate.to_dict() for name, rate in way.mistakes.items()},
            }
            for name, way in result.ways.items()
        },
    }
