"""What ``analyses.behaviour`` finds, and the rates that its words, JSON and figure are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from interp.answers.behaviour import Calibration, Mistake, WeighedAnswers, offsets
from interp.stats import Estimate, clustered_rate, wilson
from interp.task import SortTask

COPIES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
"""Upper ends of the groups of lists by how often their commonest digit occurs."""
KEEPS, IN_ORDER = "keeps_digits", "in_order"
"""What a wrong answer may still have: the right digits, or the right order."""


def source_names(task: SortTask) -> tuple[str, str]:
    """What the two sources of mistakes are called: ``random digits`` and ``fewer digits``."""
    return f"random {task.symbols.word}s", f"fewer {task.symbols.word}s"


@dataclass(frozen=True)
class BehaviourResult:
    """Answers to every list, and what is wrong with some of the wrong ones."""

    answers: WeighedAnswers
    """To lists of random digits."""
    by_distinct: dict[int, WeighedAnswers]
    """To lists drawn from fewer different digits than there are, chosen anew for each."""
    calibration: dict[str, Calibration]
    """Of each of ``sources``."""
    mistakes: dict[str, tuple[Mistake, ...]]
    """Some of those in each of ``sources``, decoded greedily."""
    listed: int
    seed: int

    @cached_property
    def sources(self) -> dict[str, WeighedAnswers]:
        """Whose mistakes are told apart: lists like those of training, and lists unlike them."""
        return by_source(self.answers, self.by_distinct)

    @property
    def task(self) -> SortTask:
        return self.answers.task

    @property
    def exact(self) -> Estimate:
        return given(self.answers.exact_rate())

    @cached_property
    def digit_accuracy(self) -> Estimate:
        return self.answers.digit_accuracy(self.seed)

    @cached_property
    def by_length(self) -> dict[int, Estimate]:
        """Lists exact, by their length."""
        lengths = self.answers.lengths
        return {n: given(self.answers.exact_rate(lengths == n)) for n in lengths.unique().tolist()}

    @cached_property
    def distinct_rates(self) -> dict[int, Estimate]:
        """Lists exact, by how many different digits they are drawn from."""
        rates = {k: given(answers.exact_rate()) for k, answers in self.by_distinct.items()}
        return {**rates, self.task.n_symbols: self.exact}

    @property
    def fewer_rates(self) -> dict[int, Estimate]:
        """As ``distinct_rates``, without lists of all digits."""
        return {k: rate for k, rate in self.distinct_rates.items() if k < self.task.n_symbols}

    @cached_property
    def by_copies(self) -> dict[tuple[int, int], Estimate]:
        """Lists exact, by how often their commonest digit occurs: from and up to."""
        copies, rates, low = self.answers.copies, {}, 1
        for high in COPIES:
            rate = self.answers.exact_rate((copies >= low) & (copies <= high))
            if rate is not None:
                rates[low, high] = rate
            low = high + 1
        return rates

    @cached_property
    def by_output(self) -> list[Estimate]:
        """Outputs right, by their index: one output a list, so the intervals are Wilson's."""
        rights, totals = self.answers.right.sum(0).tolist(), self.answers.scored.sum(0).tolist()
        return [wilson(right, n) for right, n in zip(rights, totals, strict=True) if n]

    @cached_property
    def by_offset(self) -> dict[str, dict[int, Estimate]]:
        """Wrong outputs: what share is too large or too small by so much: see ``offsets``."""
        shares: dict[str, dict[int, Estimate]] = {}
        for name, found in self.sources.items():
            off, wrong = offsets(found), found.scored & ~found.right
            some = wrong.any(1)
            shares[name] = {
                value: clustered_rate((off == value)[some], wrong[some], self.seed)
                for value in off[wrong].unique().tolist()
            }
        return shares

    def share(self, source: str, having: str) -> Estimate | None:
        """Decoded mistakes with the right digits, or in the right order; None if there are none.

        None, too, where right answers keep to no order."""
        made = self.mistakes[source]
        if having == IN_ORDER and self.task.rule.order is None:
            return None
        ordered = having == IN_ORDER
        some = [one.in_order(self.task) if ordered else one.keeps_digits for one in made]
        return wilson(sum(some), len(made)) if made else None

    @property
    def shown(self) -> list[Mistake]:
        """Those that are listed: of lists like those of training first."""
        spread: list[Mistake] = []
        for made in self.mistakes.values():
            n = min(self.listed - len(spread), len(made))
            spread += [made[k * len(made) // n] for k in range(n)]
        return spread


def by_source(
    found: WeighedAnswers, by_distinct: dict[int, WeighedAnswers]
) -> dict[str, WeighedAnswers]:
    """Both sources of mistakes, by their names."""
    random, fewer = source_names(found.task)
    return {random: found, fewer: WeighedAnswers.join(list(by_distinct.values()))}


def given(estimate: Estimate | None) -> Estimate:
    """An estimate that is known to be there."""
    if estimate is None:
        raise ValueError("a rate of no lists")
    return estimate
