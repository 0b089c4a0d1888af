"""Lists with their donors, how well a circuit keeps the answer, and edge attribution patching.

    groups = sample_groups(graph, n_lists=64, seed=0)
    scores = attribute(graph, groups, "EAP-IG")         # [edge], in logits

**Corruption.** Each list is paired with a donor, another random list of the same length, each run
with *its own* right answer as the prefix (resample ablation, Chan et al. 2022; interchange). Edges
that are patched carry the donor's run. So everything that differs between lists is tested, what was
emitted before included; a pair that differs in one digit and shares its prefix would not see that
the prefix is read. What is the same for all lists of a length (BLANK, SEP, positions) is never
changed: a constant is no part of a circuit, however much the model needs it.

Lists and donors are drawn from five to ten different digits each, so that the answers of long ones
differ at their ends as well, where random long lists all have a 0 and a 9.

**Metric.** The *margin* of a row: the logit of the answer that the model itself gives to the list,
minus the largest other one. It is positive as long as the answer stays. Only *telling* rows count,
where the model answers list and donor differently: elsewhere nothing could be lost. The first
output and all later ones are emitted at different places, and are averaged apart.

**Attribution.** The effect of patching an edge, to first order: (what the sender writes in the
donor's run minus in the list's) . gradient of the metric by what the receiver reads (EAP, Syed et
al. 2023). ``EAP-IG`` takes the mean gradient over inputs on the straight line between the donor's
embeddings and the list's (Hanna et al. 2024, midpoint rule). Both are guesses: they only say in
which order ``circuit_search`` tries edges, each of which it checks exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.methods.circuit_run import Graph, GraphRun, Lists
from interp.passes.packed import embed
from interp.support.progress import SILENT, Progress
from interp.support.seeds import stream
from interp.task import SortTask

Attribution = Literal["EAP", "EAP-IG"]
"""Where the gradient is taken: at the list's own run; along the line from the donor to it."""
ATTRIBUTIONS: tuple[Attribution, ...] = get_args(Attribution)
STEPS = 8  # points of the line
_FEWEST_DIGITS = 5  # different ones that a list is drawn from, where it has as many


@dataclass(frozen=True)
class Group:
    """Lists of one length, their donors, and both runs."""

    lists: Lists
    donors: Lists
    clean: GraphRun
    corrupt: GraphRun
    answers: Int[Tensor, "batch row"]
    """What the model says of the lists."""
    telling: Bool[Tensor, "batch row"]
    """Whether it says something else of the donors."""

    @classmethod
    def of(cls, graph: Graph, lists: Lists, donors: Lists) -> Group:
        with torch.no_grad():
            clean, corrupt = graph.run(lists), graph.run(donors)
        answers = clean.logits.argmax(-1)
        return cls(lists, donors, clean, corrupt, answers, answers != corrupt.logits.argmax(-1))

    def margin(self, run: GraphRun) -> Float[Tensor, "batch row"]:
        """The logit of the model's answer minus the largest other."""
        index = self.answers[..., None]
        own = run.logits.gather(-1, index)[..., 0]
        return own - run.logits.scatter(-1, index, -torch.inf).amax(-1)

    @property
    def gap(self) -> Float[Tensor, "batch row"]:
        """The margin that is to be lost: the list's own minus that in the donor's run."""
        return self.margin(self.clean) - self.margin(self.corrupt)

    @property
    def parts(self) -> Bool[Tensor, "part batch row"]:
        """Telling rows of the first output, and of all later ones."""
        first = torch.zeros_like(self.telling)
        first[:, 0] = True
        return torch.stack([self.telling & first, self.telling & ~first])


def sample_groups(graph: Graph, n_lists: int, seed: int, purpose: str = "") -> list[Group]:
    """Random lists with donors, as many of each of :func:`typical_lengths`.

    Args:
        purpose: lists for another one are other lists.
    """
    task, device = graph.config.task, graph.model.W_U.device
    lengths, groups = typical_lengths(task), []
    for i, length in enumerate(lengths):
        share = (n_lists * (i + 1)) // len(lengths) - (n_lists * i) // len(lengths)
        if not share:
            continue
        sides = []
        for side in ("lists", "donors"):
            generator = stream("circuit", purpose, side, seed, length)
            tokens = _draw(task, share, length, generator).to(device)
            sides.append(Lists.of(graph.model, tokens, length))
        groups.append(Group.of(graph, *sides))
    return groups


def groups_of(
    graph: Graph, lists: Sequence[Sequence[int]], seed: int, purpose: str = ""
) -> list[Group]:
    """As :func:`sample_groups`, of given lists: only their donors are random."""
    task, device = graph.config.task, graph.model.W_U.device
    by_length: dict[int, list[Sequence[int]]] = {}
    for values in lists:
        by_length.setdefault(len(values), []).append(values)
    groups = []
    for length, some in sorted(by_length.items()):
        generator = stream("circuit", purpose, "donors", seed, length)
        donors = _draw(task, len(some), length, generator)
        sides = (task.encode(some).tokens, donors)
        groups.append(
            Group.of(graph, *(Lists.of(graph.model, t.to(device), length) for t in sides))
        )
    return groups


def typical_lengths(task: SortTask) -> tuple[int, ...]:
    """An eighth, a quarter, half and the whole of the longest: 6, 12, 24 and 48 of 48."""
    lengths = {task.nearest_length(round(task.max_len / part)) for part in (8, 4, 2, 1)}
    return tuple(sorted(lengths))


def _draw(
    task: SortTask, n_lists: int, length: int, generator: torch.Generator
) -> Int[Tensor, "batch pos"]:
    """Lists of ``length``, each from five to all different digits."""
    n = task.n_symbols
    some = torch.randint(min(_FEWEST_DIGITS, n), n + 1, (n_lists, 1), generator=generator)
    order = torch.rand(n_lists, n, generator=generator).argsort(1)
    chosen = (torch.rand(n_lists, length, generator=generator) * some).long()
    return task.encode(order.gather(1, chosen).tolist()).tokens


# -- attribution --------------------------------------------------------------------------------


def attribute(
    graph: Graph,
    groups: Sequence[Group],
    method: Attribution = "EAP-IG",
    steps: int = STEPS,
    progress: Progress = SILENT,
) -> Float[Tensor, "part edge"]:
    """What patching each edge should do to the mean margin of each part's telling rows, in logits.

    Negative where the edge carries the answer.
    """
    alphas = [1.0] if method == "EAP" else [(k + 0.5) / steps for k in range(steps)]
    totals = graph.model.W_U.new_zeros(2, len(graph.edges))
    for group in groups:
        for alpha in alphas:
            totals += _gradients(graph, group, alpha) / len(alphas)
            progress.step()
    rows = torch.stack([group.parts.sum((1, 2)) for group in groups]).sum(0)
    return totals / rows.clamp(min=1)[:, None]


def _gradients(graph: Graph, group: Group, alpha: float) -> Float[Tensor, "part edge"]:
    """(corrupt - clean) . gradient, summed over lists; inputs are ``alpha`` of the way to clean."""
    own, donor = (
        embed(graph.model, lists.cut, lists.view) for lists in (group.lists, group.donors)
    )
    change = tuple(a - b for a, b in zip(group.corrupt.chunks, group.clean.chunks, strict=True))
    with torch.enable_grad():
        # An edge along which "change" is added, with weight 0: the slope by it is the score.
        added = torch.zeros(len(graph.edges), device=own.device, requires_grad=True)
        run = graph.run(
            group.lists,
            other=GraphRun(change, group.corrupt.logits),
            other_weights=added,
            embedded=torch.lerp(donor, own, alpha).detach(),
        )
        margins = group.margin(run)
        sums = [margins[part].sum() for part in group.parts]
        return torch.stack([torch.autograd.grad(s, added, retain_graph=True)[0] for s in sums])
