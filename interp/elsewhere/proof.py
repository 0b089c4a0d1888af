"""Whether weights do their task at all: what an import has to show.

    proof = prove(model)
    proof.exact                 # Estimate: lists answered without a mistake
    proof.chance                # what the answers of other lists of the same lengths would reach
    proof.better                # flags that would suit the weights better, if any

A wrong layout, vocabulary, norm or activation is still a model, which says something; only its
answers tell.
"""

from __future__ import annotations

from dataclasses import dataclass

from interp.answers.chance import chance
from interp.answers.decode import score
from interp.elsewhere.rivals import Read, Rival, losses, rivals
from interp.model import SortTransformer
from interp.stats import Estimate, wilson

LISTS = 1000  # of all lengths: an interval of three points at the most
_LISTS_OF_RIVALS = 200  # of which the losses are compared


@dataclass(frozen=True)
class Proof:
    """How well a model answers held-out lists."""

    exact: Estimate
    """Exact match, with a Wilson interval."""
    chance: float
    """What a model reaches that knows how answers to lists of a length look, and not the list."""
    loss: float
    """Of a token of an answer, in nats, on some of the lists."""
    rivals: tuple[Rival, ...]
    """The same weights, read otherwise, the best first."""

    @property
    def above_chance(self) -> bool:
        """Whether the whole interval is."""
        return self.exact.low > self.chance

    @property
    def words(self) -> str:
        return (
            f"exact match {self.exact.percent(2)} of {self.exact.n:,} held-out lists; by chance "
            f"{100 * self.chance:.2f} %; loss {self.loss:.2g} nats a token"
        )

    @property
    def doubt(self) -> str | None:
        """Why it should not be believed that the weights were read rightly; None if it may be."""
        best = next((one for one in self.rivals if one.better), None)
        found = [] if self.above_chance else ["it does not do this task, or was read wrongly"]
        if best is not None:
            found.append(f"this suits them better: {best.words} (loss {best.loss:.2g})")
        return "; ".join(found) or None

    @property
    def open_questions(self) -> str | None:
        """What the weights do not tell from what was told, and so has to be known."""
        near = [f"{one.words} ({one.loss:.2g})" for one in self.rivals if one.near]
        if not near:
            return None
        return (
            f"The weights hardly tell these from what was said: {', '.join(near)}. Be sure of it."
        )


def prove(model: SortTransformer, read: Read | None = None, seed: int = 0) -> Proof:
    """Exact match on held-out lists, beside chance on the same ones.

    Args:
        read: how the weights were read; None: there was no other way.
    """
    batch = model.task.held_out(LISTS, seed)
    exact = score(model, batch).exact
    lists = [model.task.decode_list(tokens) for tokens in batch.tokens]
    some = batch[:_LISTS_OF_RIVALS]
    told = losses(model, some)
    found = () if read is None else tuple(rivals(model, some, read, told))
    by_chance = chance(model.task, lists)
    return Proof(wilson(int(exact.sum()), LISTS), by_chance, float(told.mean()), found)
