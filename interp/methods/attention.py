"""Where heads look: statistics of attention patterns, head by head and list by list.

    stats = attention_stats(model, task.encode([[3, 1, 1], [7, 0, 4]]))
    stats.estimate(stats.masses(1, 2, ANSWER_ROWS, Region.BLANKS))      # layer 1, head 2

Lists of one length, so that a position means the same in all of them. The *answer rows* are those
that emit the sorted digits: the last blank (SEP without blanks) and the outputs given back. With
the list 3 1 1, the row whose token is ``out 0`` = 1 has emitted one digit and must emit 1 again;
its *equal digits* are the two 1s of the list, its *next larger digit* the 3, its *own blank* is
blank 1 (row i belongs to blank i), its *digit to emit* a 1.

A pattern says where a head looks. It does not say that what it finds there is written anywhere, or
that anything reads it: ``analyses.heads.head_finder`` asks that.

Shape glossary: ``list``, ``layer``, ``head``, ``query`` and ``key`` positions of the window that
lists of the length need; ``rows`` a group of queries (``ROWS``), ``region`` a group of keys
(``KEYS``), ``offset`` the position of the query minus that of the key, ``target`` of ``Target``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.passes.forward import forward
from interp.passes.packed import Window, allowed_attention
from interp.sites import Component
from interp.stats import Estimate, bootstrap_mean
from interp.support.errors import UserError
from interp.task import Region, SortBatch, SortTask
from interp.transformer import Transformer

KEYS = (Region.DIGITS, Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)
"""Groups of keys; together they are all that can be attended to."""
ANSWER_ROWS = "answer rows"
ROWS: tuple[str, ...] = (*KEYS, ANSWER_ROWS)
"""Groups of queries; the answer rows overlap with the others."""
_LISTS_AT_ONCE = 16  # whole patterns of more would leave the processor's cache
_FLAT = 1e-6  # mean square deviation from uniform, by row, below which there is nothing to explain


class Target(StrEnum):
    """Keys that an algorithm might have an answer row look for."""

    EQUAL = "equal digit"
    """Digits of the list equal to the one emitted last, the row's own token."""
    LARGER = "next larger digit"
    """Digits of the list equal to the smallest one above the one emitted last."""
    EMITTED = "digit to emit"
    """Digits of the list equal to the one that the row must emit."""
    PREVIOUS = "previous position"
    """The position before the row."""
    OWN_BLANK = "own blank"
    """Blank i, for the row that emits sorted[i]: a constant offset of n_blanks - 1."""


@dataclass(frozen=True)
class AttentionStats:
    """Statistics of every head. NaN where lists of this length have no such rows."""

    task: SortTask
    length: int
    seed: int
    """Of the bootstrap intervals."""
    mass: Float[Tensor, "list layer head rows region"]
    """Attention to all keys of a region, mean over the rows; adds up to 1 over the regions."""
    entropy: Float[Tensor, "list layer head rows"]
    """Bits, mean over the rows."""
    relative_entropy: Float[Tensor, "list layer head rows"]
    """Entropy as a share of that of uniform attention to all visible keys, mean over the rows."""
    offset_mass: Float[Tensor, "list layer head rows offset"]
    """Attention to the key that many positions back, mean over the rows (0 where none is)."""
    offset_explained: Float[Tensor, "list layer head rows"]
    """Share of a pattern that an offset-only kernel explains; see :func:`_offset_explained`."""
    target_mass: Float[Tensor, "list layer head target"]
    """Attention to the keys of a target, mean over the answer rows that have one."""
    target_chance: Float[Tensor, "list layer head target"]
    """The same if the attention were uniform: over the digits of the list, for targets that are
    digits (as much attention to all digits as the head pays); over all visible keys, for others."""
    pattern: Float[Tensor, "layer head row key"]
    """Mean over lists, at the answer rows."""

    @property
    def words(self) -> str:
        """For people: ``64 lists of 48 digits``."""
        return f"{len(self.mass)} lists of {self.task.of_length(self.length)}"

    @property
    def heads(self) -> list[tuple[int, int]]:
        """(layer, head) of every head."""
        _, n_layers, n_heads, *_ = self.mass.shape
        return [(layer, head) for layer in range(n_layers) for head in range(n_heads)]

    def masses(self, layer: int, head: int, rows: str, region: Region) -> Float[Tensor, " list"]:
        return self.mass[:, layer, head, ROWS.index(rows), KEYS.index(region)]

    def best_offset(self, layer: int, head: int, rows: str = ANSWER_ROWS) -> int | None:
        """The constant offset that gathers most attention; None if there are no such rows."""
        means = self.offset_mass[:, layer, head, ROWS.index(rows)].mean(0)
        return None if means.isnan().any() else int(means.argmax())

    def estimate(self, values: Float[Tensor, " list"]) -> Estimate | None:
        """Mean over the lists that have a value, with a bootstrap interval; None if none has."""
        values = values[~values.isnan()]
        return bootstrap_mean(values, self.seed) if len(values) else None


def head_scores(stats: AttentionStats) -> dict[str, Float[Tensor, "list layer head"]]:
    """What one may rank heads by, from patterns alone: large is conspicuous.

    All are of the answer rows, and from 0 (or slightly below) to 1: attention to a target *above
    chance*; attention to a region; how far from uniform (1 - relative entropy); how much is
    explained by the offset.
    """
    answer = ROWS.index(ANSWER_ROWS)
    above = stats.target_mass - stats.target_chance
    scores = {f"{target}": above[..., number] for number, target in enumerate(Target)}
    for number, region in enumerate(KEYS):
        if region is not Region.LAST_BLANK and stats.task.region(region, stats.length):
            scores[f"on {region}"] = stats.mass[..., answer, number]
    scores["sharpness"] = 1 - stats.relative_entropy[..., answer]
    scores["offset alone"] = stats.offset_explained[..., answer]
    return scores


@torch.no_grad()
def attention_stats(model: Transformer, batch: SortBatch, seed: int = 0) -> AttentionStats:
    """Statistics of every head of ``model`` on lists of one length.

    Args:
        seed: of the bootstrap intervals.

    Raises:
        UserError: if the lists are fewer than two, or of several lengths.
    """
    lengths = set(batch.lengths.tolist())
    if len(batch) < 2 or len(lengths) != 1:
        raise UserError(
            "attention statistics take two lists or more of one length, "
            f"not {len(batch)} of lengths {sorted(lengths)}"
        )
    scene = _Scene.of(model, batch)
    n_layers = model.cfg.n_layers
    parts: list[dict[str, Tensor]] = []
    for index in torch.arange(len(batch)).split(_LISTS_AT_ONCE):
        run = forward(
            model,
            batch.tokens[index],
            scene.view,
            keep=[(Component.PATTERN, layer) for layer in range(n_layers)],
        )
        patterns = [run.at(Component.PATTERN, layer) for layer in range(n_layers)]
        parts.append(_of_lists(torch.stack(patterns, 1), batch.tokens[index], scene))
    joined = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    explained = _offset_explained(joined.pop("deviation"), joined.pop("energy"), scene)
    pattern = joined.pop("pattern").mean(0)
    return AttentionStats(
        model.task,
        int(batch.lengths[0]),
        seed,
        offset_explained=explained,
        pattern=pattern.float(),
        **joined,
    )


@dataclass(frozen=True)
class _Scene:
    """What all lists of one length share."""

    view: Window
    visible: Bool[Tensor, "query key"]
    rows: Float[Tensor, "rows query"]
    """Each group's mean: 1/n at its n queries. A group without queries is NaN throughout."""
    regions: Float[Tensor, "region key"]
    """1 at the keys of a region; a region without keys is 0 throughout."""

    @classmethod
    def of(cls, model: Transformer, batch: SortBatch) -> _Scene:
        task, length = model.task, int(batch.lengths[0])
        start = task.max_len - length
        view = Window(task, length, start)  # every row, also in the last layer
        tokens = batch.tokens[:1, view.start : view.stop]
        here = torch.arange(view.start, view.stop, device=tokens.device)

        def at(span: range) -> Float[Tensor, " here"]:
            return ((here >= span.start) & (here < span.stop)).double()

        regions = torch.stack([at(task.region(region, length)) for region in KEYS])
        rows = torch.cat([regions, at(task.output_rows(length))[None]])
        visible = allowed_attention(model, tokens, view)[0, 0]
        return cls(view, visible, rows / rows.sum(1, keepdim=True), regions)

    @property
    def uniform(self) -> Float[Tensor, "query key"]:
        return self.visible / self.visible.sum(1, keepdim=True).double()

    @property
    def answer(self) -> slice:
        """The answer rows, within the window."""
        first = self.view.task.first_output_row - self.view.start
        return slice(first, first + self.view.n_outputs)

    def mean(self, by_row: Float[Tensor, "*head query"]) -> Float[Tensor, "*head rows"]:
        """Over each group of rows; entries that are NaN are left out of their group."""
        known = ~by_row.isnan()
        return by_row.nan_to_num() @ self.rows.T / (known.double() @ self.rows.T)

    def by_offset(self, values: Float[Tensor, "*head query key"]) -> Tensor:
        """Means over each group's rows at each offset. [*head, rows, offset]"""
        size = self.visible.shape[0]
        queries, keys = self.visible.nonzero().T
        weights = self.rows[:, queries]  # [rows, pair]
        at = (queries - keys).expand_as(weights)
        shape = (*values.shape[:-2], len(self.rows), size)
        out = values.new_zeros(shape)
        pairs = values[..., queries, keys]
        for group, weight in enumerate(weights):
            out[..., group, :].index_add_(-1, at[group], pairs * weight)
        return out


def _of_lists(
    pattern: Float[Tensor, "list layer head query key"],
    tokens: Int[Tensor, "list pos"],
    scene: _Scene,
) -> dict[str, Tensor]:
    """All that is said of some lists by themselves."""
    pattern = pattern.double()
    entropy = -torch.special.xlogy(pattern, pattern).sum(-1) / math.log(2)
    most = scene.visible.sum(1).double().log2()  # 0 where only one key is visible
    deviation = pattern - scene.uniform
    mass, chance = _targets(pattern, tokens, scene)
    return {
        "mass": scene.mean((pattern @ scene.regions.T).transpose(-1, -2)).transpose(-1, -2),
        "entropy": scene.mean(entropy),
        "relative_entropy": scene.mean((entropy / most).masked_fill(most == 0, torch.nan)),
        "offset_mass": scene.by_offset(pattern),
        "deviation": scene.by_offset(deviation),
        "energy": scene.mean(deviation.square().sum(-1)),
        "target_mass": mass,
        "target_chance": chance,
        "pattern": pattern[..., scene.answer, :],
    }


def _offset_explained(
    deviation: Float[Tensor, "list layer head rows offset"],
    energy: Float[Tensor, "list layer head rows"],
    scene: _Scene,
) -> Float[Tensor, "list layer head rows"]:
    """How much of a pattern is a function of the offset alone.

    With D the pattern's deviation from uniform attention to the visible keys, and f(o) the mean of
    D over all visible (query, key) of the group of rows that are o apart **in the other lists**:

        1 - sum (D - f(query - key))^2 / sum D^2

    The sums go over all lists: what is returned for a list is its part of the numerator over the
    mean denominator, so that the mean over lists is this share. Near 1: the same kernel at every
    row of every list (not quite 1, as rows differ in how many keys they see). 0: no better than
    uniform attention; below 0 is possible, as the kernel never saw the list. A pattern tied to
    fixed positions, such as all rows looking at SEP, scores about 1 / rows. NaN for groups of one
    row, of which any pattern is a function of the offset, and for uniform patterns.
    """
    pairs = scene.by_offset(scene.visible.double()).cpu()  # [rows, offset], per row like the rest
    others = (deviation.sum(0) - deviation) / (len(deviation) - 1)
    kernel = others / pairs.clamp_min(1e-12)
    explained = 2 * (kernel * deviation).sum(-1) - (kernel.square() * pairs).sum(-1)
    several = (scene.rows > 0).sum(1).cpu() > 1
    whole = energy.mean(0)
    return (explained / whole).masked_fill(~several | (whole < _FLAT), torch.nan)


def _targets(
    pattern: Float[Tensor, "list layer head query key"],
    tokens: Int[Tensor, "list pos"],
    scene: _Scene,
) -> tuple[Float[Tensor, "list layer head target"], Float[Tensor, "list layer head target"]]:
    """Attention to every target, and what chance would give it."""
    rows = pattern[..., scene.answer, :]
    digits = scene.regions[KEYS.index(Region.DIGITS)]
    to_digits = (rows @ digits)[:, :, :, None]  # [list, layer, head, 1, row]
    masks = _target_masks(tokens, scene)  # [list, target, row, key]
    share = masks.sum(-1) / scene.view.longest  # of the list's digits that are the target
    visible = scene.uniform[scene.answer].amax(-1)
    of_digits = torch.tensor([t in _DIGIT_TARGETS for t in Target], device=tokens.device)[:, None]
    chance = torch.where(of_digits, to_digits * share[:, None, None], visible)
    mass = torch.einsum("bltrk,bgrk->bltgr", rows, masks)
    there = masks.any(-1)[:, None, None].expand_as(mass)  # rows without a target do not count

    def mean(values: Tensor) -> Tensor:
        return values.masked_fill(~there, torch.nan).nanmean(-1)

    return mean(mass), mean(chance)


_DIGIT_TARGETS = (Target.EQUAL, Target.LARGER, Target.EMITTED)


def _target_masks(
    tokens: Int[Tensor, "list pos"], scene: _Scene
) -> Float[Tensor, "list target row key"]:
    """1 at the keys that each answer row would look for."""
    view, task = scene.view, scene.view.task
    here = torch.arange(view.start, view.stop, device=tokens.device)
    positions = here[scene.answer]
    keys, own = tokens[:, view.start : view.stop], tokens[:, positions]
    listed = scene.regions[KEYS.index(Region.DIGITS)].bool() & (keys < task.pad)
    emits = tokens[:, positions + 1]
    larger = keys[:, None].masked_fill(
        ~listed[:, None] | (keys[:, None] <= own[..., None]), task.pad
    )
    following = larger.amin(-1)  # PAD where there is none
    blank = positions - task.n_blanks + 1
    blank = blank.masked_fill(blank > task.first_output_row, -1)  # more outputs than blanks
    # The first row's token is no digit: it equals none of the list, and none is larger.
    masks = {
        Target.EQUAL: _same(keys, own, listed),
        Target.LARGER: _same(keys, following, listed),
        Target.EMITTED: _same(keys, emits, listed),
        Target.PREVIOUS: (here == positions[:, None] - 1).expand(len(tokens), -1, -1),
        Target.OWN_BLANK: (here == blank[:, None]).expand(len(tokens), -1, -1)
        & (task.n_blanks > 0),
    }
    return torch.stack([masks[target] for target in Target], 1).double()


def _same(
    keys: Int[Tensor, "list key"], wanted: Int[Tensor, "list row"], listed: Bool[Tensor, "list key"]
) -> Bool[Tensor, "list row key"]:
    return (keys[:, None] == wanted[..., None]) & listed[:, None]
