"""Inside the model at one list: the logit lens, who writes an output, and single neurons.

    python -m analyses.one_list.inside lens --list 3,1,1
    python -m analyses.one_list.inside lens --show all --do zero:3-10
    python -m analyses.one_list.inside position --pos "out 0"
    python -m analyses.one_list.inside direct --output 2
    python -m analyses.one_list.inside neurons --output 2 --layer 0 --top 40

After 3 1 1 the model says 1 1 3. ``lens`` reads the residual stream after every layer, at every
position, by the model's own unembedding; ``position`` shows the whole distribution at one of them.
``direct`` shares out one output's *margin*, the logit of the right digit minus that of the
strongest other token, over the parts that write to the stream; the parts add up to it. ``neurons``
sets every neuron of a layer to zero in turn, at all positions at once, and runs the model again:
what the margin loses is the neuron's effect, exactly.

All of it is of one list, and under what ``--do`` says is done to the model. What none of it shows:
what happens on other lists (``analyses.logit_lens`` and ``analyses.attribution`` are of many), what
lies in directions that the unembedding does not read, and who worked out what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import subcommand

from analyses.common import CommonArgs
from analyses.one_list.answer.result import token_name
from analyses.one_list.command import OneListArgs, Seen, run_one_list
from analyses.one_list.inside import figure as draw
from interp.support.errors import UserError, at_least
from interp.support.lazy import lazy_import
from interp.support.progress import SILENT, Progress
from interp.task import D_VOCAB_OUT

if TYPE_CHECKING:
    from analyses.one_list.inside import neurons as neurons
    from analyses.one_list.inside import result as inside
    from interp.answers.treatment import Treatment
    from interp.model import SortTransformer
else:
    inside = lazy_import("analyses.one_list.inside.result")
    neurons = lazy_import("analyses.one_list.inside.neurons")

Show = Literal["outputs", "digits", "blanks", "all"]
"""Positions in view. ``outputs``: the rows that emit the answer, the last blank among them.
``digits``: the list and SEP. ``blanks``: all but the last. ``all``: the three, below each other."""


RESULTS = Path("results/inside")  # each of the four writes below a folder of its own


@dataclass(frozen=True)
class LensArgs(OneListArgs):
    """The logit lens at every layer and position."""

    out: Path = RESULTS / "lens"
    show: Show = "outputs"  # positions in view; the rows that emit the answer come first


@dataclass(frozen=True)
class PositionArgs(OneListArgs):
    """The logit lens at one position: the whole distribution, layer by layer."""

    out: Path = RESULTS / "position"
    pos: str = ""  # as the columns are called: "out 3", "blank 48", "in 0" (the first output row)


@dataclass(frozen=True)
class DirectArgs(OneListArgs):
    """Direct logit attribution of one output."""

    out: Path = RESULTS / "direct"
    output: int = 0  # counted from 0


@dataclass(frozen=True)
class NeuronArgs(OneListArgs):
    """Zero ablation of every neuron of a layer, for one output."""

    out: Path = RESULTS / "neurons"
    output: int = 0  # counted from 0
    layer: int = 1  # the published model has layers 0 and 1
    top: int = 20  # neurons in the figure; the numbers are of all active ones

    def __post_init__(self) -> None:
        CommonArgs.__post_init__(self)
        at_least(self, top=1)


# -- the logit lens -----------------------------------------------------------------------------


def look_lens(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, args: LensArgs
) -> Seen:
    """Every depth at some of the positions."""
    found = inside.read_lens(inside.write(model, digits, treatment, args.seed))
    regions = list(found.regions) if args.show == "all" else [args.show]
    if missing := [region for region in regions if region not in found.regions]:
        raise UserError(
            f"this model has no {missing[0]} to show; there is {', '.join(found.regions)}, all"
        )
    positions = [p for region in regions for p in found.regions[region]]
    rows = [row for position in positions for row in _lens_rows(found, position)]
    return Seen(draw.lens_map(found, regions), rows, _lens_words(found))


def _lens_rows(found: inside.ListLens, position: int) -> list[dict[str, Any]]:
    best = found.probabilities[:, position].topk(2)
    return [
        {
            "position": found.labels[position],
            "token": found.given[position],
            "depth": depth,
            "top": token_name(tokens[0]),
            "probability": chances[0],
            "second": token_name(tokens[1]),
            "second_probability": chances[1],
        }
        for depth, tokens, chances in zip(
            found.depths, best.indices.tolist(), best.values.tolist(), strict=True
        )
    ]


def _lens_words(found: inside.ListLens) -> list[str]:
    rows = found.regions["outputs"]
    top = found.logits[:, rows.start : rows.stop].argmax(-1) == found.right
    lines = ["Outputs at which the right digit is the most probable token, of this one list:"]
    counts = [int(row.sum()) for row in top]
    lines += [
        f"  {depth}: {n} of {len(rows)}" for depth, n in zip(found.depths, counts, strict=True)
    ]
    return lines


def look_position(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, args: PositionArgs
) -> Seen:
    """Every depth and token at one position."""
    found = inside.read_lens(inside.write(model, digits, treatment, args.seed))
    position = found.position(args.pos) if args.pos else found.regions["outputs"].start
    chances, logits = found.probabilities[:, position], found.logits[:, position]
    rows = [
        {
            "position": found.labels[position],
            "depth": depth,
            "token": token_name(token),
            "probability": float(chances[number, token]),
            "logit": float(logits[number, token]),
        }
        for number, depth in enumerate(found.depths)
        for token in range(D_VOCAB_OUT)
    ]
    words = [f"At {found.labels[position]}, which holds {found.given[position]}:"]
    for depth, best in zip(found.depths, chances.topk(2).indices.tolist(), strict=True):
        row = chances[found.depths.index(depth)]
        first, second = (f"{token_name(token)} {100 * row[token]:.1f} %" for token in best)
        words.append(f"  {depth}: {first}, then {second}")
    return Seen(draw.lens_position(found, position), rows, words)


# -- direct logit attribution -------------------------------------------------------------------


def look_direct(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, args: DirectArgs
) -> Seen:
    """The margin of one output as a sum over parts."""
    found = inside.attribute(inside.write(model, digits, treatment, args.seed), args.output)
    sources = [source.value for source in inside.SOURCES]
    rows: list[dict[str, Any]] = [
        {"part": part, "logits": value, **_by_source(found, part, sources)}
        for part, value in found.parts.items()
    ]
    whole = [("sum of the parts", sum(found.parts.values())), ("the model's own", found.total)]
    rows += [{"part": part, "logits": value} for part, value in whole]
    return Seen(draw.direct_bars(found, args.output, sources), rows, _direct_words(found, args))


def _by_source(
    found: inside.ListDirect, part: str, sources: Sequence[str]
) -> dict[str, float | None]:
    if part not in found.heads:
        return {f"from {source}": None for source in sources}
    values = found.by_source[found.heads.index(part)].tolist()
    return {  # NaN is no JSON
        f"from {source}": value if value == value else None
        for source, value in zip(sources, values, strict=True)
    }


def _direct_words(found: inside.ListDirect, args: DirectArgs) -> list[str]:
    right = "right" if found.total > 0 else "wrong"
    largest = sorted(found.parts, key=lambda part: -abs(found.parts[part]))[:3]
    shares = ", ".join(f"{part} {found.parts[part]:+.2f}" for part in largest)
    return [
        f"Output {args.output}, which is {right}: {found.margin.words}, margin {found.total:+.4f} "
        "logits.",
        f"The parts add up to {sum(found.parts.values()):+.4f}; the model's own logits give "
        f"{found.total:+.4f} (they differ by {found.error:.0e}).",
        f"The largest shares: {shares}.",
    ]


# -- neurons ------------------------------------------------------------------------------------


def look_neurons(
    model: SortTransformer,
    digits: tuple[int, ...],
    treatment: Treatment,
    args: NeuronArgs,
    progress: Progress = SILENT,
) -> Seen:
    """Every neuron of a layer, by its effect on the margin of one output."""
    written = inside.write(model, digits, treatment, args.seed)
    found = neurons.ablate_neurons(written, args.output, args.layer, progress)
    order = found.lost.abs().argsort(descending=True).tolist()
    rows = [
        {
            "neuron": int(found.neurons[n]),
            "lost_when_zeroed": float(found.lost[n]),
            "written_directly": float(found.direct[n]),
            "activation_at_row": float(found.here[n]),
            "largest_activation": float(found.most[n]),
            "largest_at": found.where[n],
        }
        for n in order
    ]
    figure = draw.neuron_bars(found, args.output, args.top)
    return Seen(figure, rows, _neuron_words(found, args))


def _neuron_words(found: neurons.ListNeurons, args: NeuronArgs) -> list[str]:
    n = len(found.neurons)
    where = "at the output's own row" if found.last else "at any position up to the output's row"
    words = [
        f"Output {args.output}: {found.margin.words}, margin {found.total:+.4f} logits.",
        f"{n} of {found.n_neurons} neurons of layer {found.layer} are active {where}; the others "
        "have no effect.",
    ]
    if not n:
        return words
    best = int(found.lost.abs().argmax())
    return [
        *words,
        f"The largest effect of one: without neuron {int(found.neurons[best])} the margin loses "
        f"{float(found.lost[best]):+.4f}. Summed over all, one at a time: "
        f"{float(found.lost.sum()):+.4f}; they write {float(found.direct.sum()):+.4f} directly.",
    ]


# -- command line -------------------------------------------------------------------------------

Command = (
    Annotated[LensArgs, subcommand("lens")]
    | Annotated[PositionArgs, subcommand("position")]
    | Annotated[DirectArgs, subcommand("direct")]
    | Annotated[NeuronArgs, subcommand("neurons")]
)
_LOOKS: Mapping[type[OneListArgs], Callable[..., Seen]] = {
    LensArgs: look_lens,
    PositionArgs: look_position,
    DirectArgs: look_direct,
    NeuronArgs: look_neurons,
}


def look(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, args: OneListArgs
) -> Seen:
    """What the arguments, one of the four kinds, ask for."""
    return _LOOKS[type(args)](model, digits, treatment, args)


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    run_one_list(look, Command, "one_list_inside", argv)


if __name__ == "__main__":
    main()
