"""Where do the heads look, on one list? Every head at a glance, or one of them enlarged.

    python -m analyses.one_list.attention --list 3,1,1                          # all heads
    python -m analyses.one_list.attention --list 3,1,1 --layer 1 --head 2       # one of them
    python -m analyses.one_list.attention --layer 1 --head 2 --every-row --keys blanks
    python -m analyses.one_list.attention --layer 1 --head 2 --do zero:3-10 --difference

The model answers the list greedily, under the intervention, and is then run along its own outputs.
With three blanks and the answer 1 1 3 that is

    in 0: 3   in 1: 1   in 2: 1   SEP   blank 0   blank 1   blank 2   out 0: 1   out 1: 1

and the rows that emit are the last three: blank 2 emits 1, out 0 emits 1, out 1 emits 3. Left
padding is no part of it: nothing attends to it. ``--difference`` takes away the attention of the
model as it is *along the same tokens*, so what is left is the intervention's doing alone.

What it does not show: that what is looked at is used. ``analyses.head_finder`` asks that, over many
lists; ``analyses.attention_patterns`` gives these scores over many lists, with intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jaxtyping import Bool, Float

from analyses.attention_patterns.body import label
from analyses.one_list.answer.body import attended, told
from analyses.one_list.answer.result import Answer, Attention, region_name
from analyses.one_list.command import OneListArgs, Seen, run_one_list
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.task import BLANK, Region

if TYPE_CHECKING:
    import numpy as np

    from interp.answers.treatment import Treatment
    from interp.model import SortTransformer
else:
    np = lazy_import("numpy")

Keys = Literal["all", "digits", "blanks", "outputs"]
"""Columns of an enlarged head; ``blanks`` are all of them, the last one too."""


@dataclass(frozen=True)
class AttentionArgs(OneListArgs):
    """Where the heads look while a model answers one list."""

    layer: int | None = None  # of the head to enlarge; without, all heads at a glance
    head: int | None = None  # counted from 0 within its layer
    every_row: bool = False  # every position that looks, not only those that emit the answer
    keys: Keys = "all"  # what is looked at
    difference: bool = False  # less the attention without the intervention, along the same tokens

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.layer is None) != (self.head is None):
            raise UserError("--layer and --head go together: give both, or neither for all heads")
        if self.layer is None and (self.every_row or self.keys != "all" or self.difference):
            raise UserError("--every-row, --keys and --difference are of one head: --layer, --head")


def heads_of(seen: Attention) -> list[tuple[int, int]]:
    """(layer, head) of every head."""
    return [(i, j) for i in range(seen.pattern.shape[0]) for j in range(seen.pattern.shape[1])]


def first_row(seen: Attention) -> int:
    """The first row that emits an output."""
    return len(seen.labels) - len(seen.emitted)


def queries_of(seen: Attention) -> list[str]:
    """Labels of all rows; those that emit say what: ``out 0: 1 → 3``."""
    return [*seen.labels[: first_row(seen)], *seen.row_labels]


def span(seen: Attention, *regions: Region) -> slice:
    """Positions of regions that follow each other; empty where there are none."""
    found = [i for i, region in enumerate(seen.regions) if region in regions]
    return slice(found[0], found[-1] + 1) if found else slice(0, 0)


# -- scores of this one list --------------------------------------------------------------------


def scores(seen: Attention, said: Answer) -> list[dict[str, Any]]:
    """For every head, means over the rows that emit: attention to regions, entropy, and targets.

    The targets are those of :class:`interp.methods.attention.Target`; not above chance, and along
    the model's own outputs. None where no row has such a target.
    """
    rows, masks = seen.pattern[:, :, first_row(seen) :], targets(seen, said)
    table = []
    for head in heads_of(seen):
        weights = rows[head]
        mass = {
            f"on {region_name(region)}": float(weights[:, span(seen, region)].sum(-1).mean())
            for region in dict.fromkeys(seen.regions)
        }
        bits = -(weights * np.log2(np.maximum(weights, 1e-30))).sum(-1).mean()
        on_target = {name: _mean_on(weights, mask) for name, mask in masks.items()}
        table.append({"head": label(head), **mass, "entropy, bits": float(bits), **on_target})
    return table


def _mean_on(
    weights: Float[np.ndarray, "row key"], mask: Bool[np.ndarray, "row key"]
) -> float | None:
    """Mean over the rows that have a target; None without."""
    there = mask.any(-1)
    return float((weights * mask).sum(-1)[there].mean()) if there.any() else None


def targets(seen: Attention, said: Answer) -> dict[str, Bool[np.ndarray, "row key"]]:
    """Keys that an algorithm might have each emitting row look for, by name of the target."""
    from interp.methods.attention import Target

    n, keys = len(said.digits), np.arange(len(seen.labels))
    digits, blanks = np.array(said.digits), span(seen, Region.BLANKS, Region.LAST_BLANK)
    # The first row's token is no digit: it equals none of the list, and none is larger.
    given = np.array([BLANK, *(output.token for output in said.outputs[:-1])])
    larger = [min([d for d in said.digits if d > token], default=-1) for token in given]
    own = blanks.start + np.arange(n)
    places = {
        Target.PREVIOUS: first_row(seen) - 1 + np.arange(n),
        Target.OWN_BLANK: np.where(own < blanks.stop, own, -1),
    }
    in_list = {Target.EQUAL: given, Target.LARGER: larger, Target.EMITTED: sorted(said.digits)}
    masks = {target: keys == place[:, None] for target, place in places.items()}
    for target, wanted in in_list.items():
        masks[target] = np.zeros((n, len(keys)), dtype=bool)
        masks[target][:, :n] = digits == np.array(wanted)[:, None]
    return {target.value: masks[target] for target in Target}


# -- numbers and words --------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """Some rows and columns of one head."""

    weights: Float[np.ndarray, "row key"]
    queries: list[str]
    keys: list[str]
    row_edges: list[int]
    """Where a new region of rows begins, counted from the first row shown."""
    key_edges: list[int]


def part(
    seen: Attention,
    head: tuple[int, int],
    every_row: bool,
    keys: Keys,
    less: Attention | None = None,
) -> Part:
    """The cells of a head to show.

    Args:
        less: attention to take away, along the same tokens.

    Raises:
        UserError: if there is no such head, or nothing of the kind to look at.
    """
    pattern = seen.pattern
    if head not in heads_of(seen):
        raise UserError(
            f"there is no head {label(head)}: layers are 0 to {pattern.shape[0] - 1}, "
            f"heads 0 to {pattern.shape[1] - 1}"
        )
    rows = slice(0 if every_row else first_row(seen), len(seen.labels))
    columns = key_span(seen, keys)
    if columns.start == columns.stop:
        raise UserError(f"there are no {keys} to look at, with this model and list")
    weights = pattern[head] if less is None else pattern[head] - less.pattern[head]
    return Part(
        weights[rows, columns],
        queries_of(seen)[rows],
        list(seen.labels[columns]),
        [edge - rows.start for edge in seen.edges if rows.start < edge < rows.stop],
        [edge - columns.start for edge in seen.edges if columns.start < edge < columns.stop],
    )


def key_span(seen: Attention, keys: Keys) -> slice:
    """The columns of that choice; empty where there are none."""
    if keys == "all":
        return slice(0, len(seen.labels))
    regions = {
        "digits": (Region.DIGITS,),
        "blanks": (Region.BLANKS, Region.LAST_BLANK),
        "outputs": (Region.OUTPUTS,),
    }
    return span(seen, *regions[keys])


def matrix_rows(
    weights: Float[np.ndarray, "row key"], queries: list[str], keys: list[str], **first: Any
) -> Iterator[dict[str, Any]]:
    """A row of the table for each row of the matrix: ``first``, the query, then every key."""
    for query, row in zip(queries, weights.tolist(), strict=True):
        yield {**first, "query": query, **dict(zip(keys, row, strict=True))}


def overview_rows(seen: Attention) -> list[Mapping[str, Any]]:
    """Every head's emitting rows."""
    rows, keys = seen.pattern[:, :, first_row(seen) :], list(seen.labels)
    return [
        row
        for layer, head in heads_of(seen)
        for row in matrix_rows(rows[layer, head], seen.row_labels, keys, layer=layer, head=head)
    ]


def _score_words(row: Mapping[str, Any]) -> str:
    parts = [f"{k} {v:.2f}" for k, v in row.items() if k != "head" and v is not None]
    return f"head {row['head']}: {'; '.join(parts)}"


# -- command line -------------------------------------------------------------------------------


def look(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, args: AttentionArgs
) -> Seen:
    """All heads, or the one that the flags ask for; see :mod:`analyses.one_list.command`."""
    from analyses.one_list.attention import figure as drawn

    done = treatment.on_list(model, digits, args.seed)
    said = told(model, digits, done).answer
    seen = attended(model, said, done)
    words = {row["head"]: _score_words(row) for row in scores(seen, said)}
    if args.layer is None or args.head is None:
        return Seen(drawn.overview(seen), overview_rows(seen), [*words.values()])
    if args.difference and not treatment:
        raise UserError("--difference takes away nothing: give an intervention with --do")
    head, less = (args.layer, args.head), attended(model, said) if args.difference else None
    shown = part(seen, head, args.every_row, args.keys, less)
    rows = list(matrix_rows(shown.weights, shown.queries, shown.keys))
    figure = drawn.enlarged(shown, head, signed=args.difference)
    return Seen(figure, rows, [words[label(head)]])


def main(argv: Sequence[str] | None = None) -> None:
    run_one_list(look, AttentionArgs, "one_list_attention", argv)


if __name__ == "__main__":
    main()
