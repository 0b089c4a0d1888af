"""The ways to ablate, what each is called, and how each is drawn: everywhere the same.

    Kind.MASK_KEPT.way.text         # "mask-kept", as in the treatment mask-kept:0-48
    [kind for kind in Kind if kind.way.masks]

A new way is a member of :class:`Kind` with its row here, what it does in
:func:`interp.answers.ablation.ablate`, and a member of :class:`Act`, by which it is typed and
clicked. Free of torch, so that flags can name the ways, and a first page need not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

from interp import figures


class Kind(StrEnum):
    """A way to ablate positions."""

    MASK = "mask"
    """Output rows may not attend there, and the softmax spreads over what is left: the content
    goes, and the attention sink with it. The published test."""
    MASK_KEPT = "mask, weights kept"
    """The weights there become zero and all others stay: the content goes, the sink stays."""
    ZERO = "zero"
    """Keys and values of zero: an input that no list ever makes."""
    MEAN = "mean"
    """Keys and values as they are on average over other lists of the length: what is special to
    this list goes, what all lists share stays."""
    RESAMPLE = "resample"
    """Keys and values of one other list of the length: as a real list would leave them."""

    @property
    def way(self) -> Way:
        return _WAYS[self]


HeadKind = Literal["resample", "mean", "zero"]
"""Those that heads can be ablated in, too; what a head writes is then replaced."""
HEAD_KINDS: tuple[HeadKind, ...] = get_args(HeadKind)


@dataclass(frozen=True)
class Way:
    """What is said of a way to ablate, and how it is drawn."""

    text: str
    """As it is typed in a treatment."""
    example: str
    """Blanks that a form of it shows."""
    title: str
    """For people."""
    done: str
    """In a line, of the blanks that stand for ``{}``."""
    explained: str
    """In full."""
    mark: tuple[str, str]
    """Colour and symbol."""
    masks: bool = False
    """It acts on the attention that is paid to the positions, not on what they hold."""


_WAYS = {
    Kind.MASK: Way(
        text="mask",
        example="0-48",
        title="mask",
        done="{} masked for all outputs, the attention spread over the rest",
        explained="Outputs may not look at these positions, and their attention spreads over the "
        "rest. What the positions hold goes, and with it a place for attention to rest (the "
        "attention sink).",
        mark=(figures.VERMILLION, "circle"),
        masks=True,
    ),
    Kind.MASK_KEPT: Way(
        text="mask-kept",
        example="0-48",
        title="mask, other weights kept",
        done="{} masked for all outputs, the other weights left as they were",
        explained="Attention to these positions becomes zero and all other weights stay as they "
        "were: what the positions hold goes, the resting place stays.",
        mark=(figures.ORANGE, "square"),
        masks=True,
    ),
    Kind.ZERO: Way(
        text="zero",
        example="3",
        title="zero",
        done="{}: keys and values zero",
        explained="Keys and values of these positions become zero, an input that no list ever "
        "makes.",
        mark=(figures.PURPLE, "diamond"),
    ),
    Kind.MEAN: Way(
        text="mean",
        example="3,7",
        title="mean",
        done="{}: keys and values as they are on average over lists of this length",
        explained="Keys and values of these positions become their average over 64 random lists of "
        "this length, from layer 1 on: what is special to this list goes, what all lists share "
        "stays.",
        mark=(figures.GREEN, "cross"),
    ),
    Kind.RESAMPLE: Way(
        text="resample",
        example="3-10",
        title="resample",
        done="{}: keys and values of a random other list",
        explained="Keys and values of these positions are those of one random other list of this "
        "length, from layer 1 on: as a real list would leave them.",
        mark=(figures.BLUE, "triangle-up"),
    ),
}


class Act(StrEnum):
    """What is done to a model: an ablation, or something else. The values are those of the text."""

    NOTHING = ""
    PUBLISHED = "published"
    """Outputs after the first may not attend to any blank: the published test."""
    PUBLISHED_LAST = "published+last"
    """Also the last blank, which emits the first output, may not attend to the other blanks."""
    MASK = Kind.MASK.way.text
    MASK_KEPT = Kind.MASK_KEPT.way.text
    ZERO = Kind.ZERO.way.text
    MEAN = Kind.MEAN.way.text
    RESAMPLE = Kind.RESAMPLE.way.text
    TRANSPLANT = "transplant"
    """Keys and values of some blanks from another list, from layer 1 on (in layer 0 they are the
    same for every list)."""
    PATCH = "patch"
    """One component at one position as it is for another list of the same length."""


PUBLISHED_ACTS = (Act.PUBLISHED, Act.PUBLISHED_LAST)
ABLATIONS = tuple(Act(kind.way.text) for kind in Kind)
