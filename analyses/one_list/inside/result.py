"""The numbers of ``analyses.one_list.inside.body``: one pass over one list, read in two ways.

A third is in ``analyses.one_list.inside.neurons``.

A pass goes over the list and the model's own answer to it: where the answer is wrong, the outputs
after the mistake have seen the mistake. What is done to the model is done in all of it.

The *margin* of an output is the logit of the right digit minus that of the strongest other token:
the runner-up where the output is right, the token that was said where it is wrong. It is positive
exactly where the output is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.one_list.answer.result import token_name
from interp.answers.decode import greedy_decode
from interp.interventions import edits_of
from interp.methods.attribution import DirectPaths, Kind, difference, paths_of, places_read
from interp.methods.lens import depths
from interp.passes.forward import Edits, Place, forward
from interp.passes.packed import Window, unembed
from interp.sites import Component, Frame
from interp.support.errors import UserError
from interp.task import Region, SortTask

if TYPE_CHECKING:
    from interp.answers.treatment import Treatment
    from interp.model import SortTransformer

SOURCES = (Region.DIGITS, Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)
"""Where heads read; ``blanks`` are all but the last."""
_ROUNDING = 1e-3  # logits; sums in another order differ by a hundredth of it
_DEPTHS = {
    Component.RESID_PRE: "embedding",
    Component.RESID_MID: "after attention {}",
    Component.RESID_POST: "after MLP {}",
}


# -- one pass -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """A list with the answer that the model wrote to it, and what was done meanwhile."""

    model: SortTransformer
    digits: tuple[int, ...]
    tokens: Int[Tensor, "1 pos"]
    answer: tuple[int, ...]
    edits: Edits

    @property
    def task(self) -> SortTask:
        return self.model.task

    @property
    def start(self) -> int:
        """The position of the first digit: before it is padding."""
        return self.task.max_len - len(self.digits)

    def row(self, output: int) -> int:
        """The position that emits an output.

        Raises:
            UserError: if the list has no such output.
        """
        if not 0 <= output < len(self.digits):
            raise UserError(
                f"there is no output {output}: this list has outputs 0 to {len(self.digits) - 1}"
            )
        return self.task.first_output_row + output


def write(
    model: SortTransformer, digits: Sequence[int], treatment: Treatment, seed: int = 0
) -> Written:
    """Let the model answer under the treatment."""
    done = treatment.on_list(model, digits, seed)
    answer = greedy_decode(model, [tuple(digits)], interventions=done).lists[0]
    tokens = model.task.encode([tuple(digits)]).tokens.to(model.W_U.device)
    first = model.task.first_output_row + 1
    tokens[0, first : first + len(digits) - 1] = tokens.new_tensor(answer[:-1])
    return Written(model, tuple(digits), tokens, answer, edits_of(model, done))


@dataclass(frozen=True)
class Margin:
    """The right digit against the strongest other token."""

    right: int
    other: int
    target: Float[Tensor, "1 1 d_vocab_out"]
    """Weights on the logits."""

    def of(self, logits: Float[Tensor, "*batch row d_vocab_out"]) -> Float[Tensor, "*batch row"]:
        """In logits."""
        return (logits * self.target[0]).sum(-1)

    @property
    def words(self) -> str:
        """``4 against 5``"""
        return f"{token_name(self.right)} against {token_name(self.other)}"


def margin(written: Written, output: int, logits: Float[Tensor, "1 1 d_vocab_out"]) -> Margin:
    """The margin of an output whose logits are given."""
    right = logits.new_tensor([[sorted(written.digits)[output]]], dtype=torch.long)
    other = logits.scatter(-1, right[..., None], -torch.inf).argmax(-1)
    return Margin(int(right), int(other), difference(right, other))


class UpTo(Window):
    """What one row can depend on: every position from the list's first to the row itself."""

    @property
    def stop(self) -> int:
        return self.first_row + 1


# -- the logit lens -----------------------------------------------------------------------------


@dataclass(frozen=True)
class ListLens:
    """What every residual stream says at every position, as if the model ended there."""

    depths: tuple[str, ...]
    """``embedding``, ``after attention 0``, ``after MLP 0``, ..."""
    labels: tuple[str, ...]
    """Of the positions, from the first digit on."""
    given: tuple[str, ...]
    """The token at each position."""
    said: tuple[str, ...]
    """The token that the model predicts at each position: the last depth's top one."""
    regions: dict[str, range]
    """Positions, counted as ``labels`` are, that are shown together."""
    right: Int[Tensor, " output"]
    """The sorted digits."""
    logits: Float[Tensor, "depth pos token"]

    @property
    def probabilities(self) -> Float[Tensor, "depth pos token"]:
        return self.logits.softmax(-1)

    def position(self, label: str) -> int:
        """Which position has that label.

        Raises:
            UserError: if none has.
        """
        if label not in self.labels:
            raise UserError(
                f"there is no position {label[:40]!r}; this list has {self.labels[0]} to "
                f"{self.labels[-1]}, by the names of the columns"
            )
        return self.labels.index(label)


@torch.no_grad()
def read_lens(written: Written) -> ListLens:
    """Unembed every residual stream at every position, under the edits."""
    model, task, length = written.model, written.task, len(written.digits)
    view, places = Window(task, length, written.start), depths(model.cfg.n_layers)
    run = forward(model, written.tokens, view, written.edits, keep=places)
    streams = torch.cat([run.at(*place) for place in places])  # [depth, pos, d_model]
    logits = unembed(model, streams).cpu()
    given = written.tokens[0, view.start : view.stop].tolist()
    return ListLens(
        tuple(_DEPTHS[component].format(layer) for component, layer in places),
        tuple(task.labels(length)[view.start : view.stop]),
        tuple(token_name(token) for token in given),
        tuple(token_name(token) for token in logits[-1].argmax(-1).tolist()),
        _regions(task, length),
        torch.tensor(sorted(written.digits)),
        logits,
    )


def _regions(task: SortTask, length: int) -> dict[str, range]:
    """What is shown together, each position once; the rows that emit the answer first."""
    start = task.max_len - length
    digits = range(task.region(Region.DIGITS, length).start, task.sep_pos + 1)
    every = {
        "outputs": task.output_rows(length),
        "digits": digits if task.n_blanks else digits[:-1],  # SEP then emits the first output
        "blanks": task.region(Region.BLANKS, length),
    }
    return {key: range(r.start - start, r.stop - start) for key, r in every.items() if r}


# -- direct logit attribution -------------------------------------------------------------------


@dataclass(frozen=True)
class ListDirect:
    """The margin of one output as a sum over parts, in logits."""

    margin: Margin
    parts: dict[str, float]
    """By part, in the order of the forward pass; what an intervention put into the stream last."""
    total: float
    """The model's own margin."""
    heads: tuple[str, ...]
    by_source: Float[Tensor, "head source"]
    """Each head's part by the region of ``SOURCES`` that it reads; NaN where a head's output was
    put in, and so read nowhere."""

    @property
    def error(self) -> float:
        """How far the parts' sum is from the model's own margin."""
        return abs(sum(self.parts.values()) - self.total)


@torch.no_grad()
def attribute(written: Written, output: int) -> ListDirect:
    """Direct logit attribution of an output's margin, LayerNorms frozen as they are in this run."""
    model, view = written.model, UpTo(written.task, len(written.digits), written.row(output))
    put_in: dict[Place, Tensor] = {}
    edits = _recorded(written.edits, put_in)
    run = forward(model, written.tokens, view, edits, keep=places_read(model.cfg.n_layers))
    compared = margin(written, output, run.logits)
    paths = paths_of(model, run, written.tokens, compared.target)
    found = paths.parts()
    parts = {
        part.words: value
        for part, value in zip(found.names, found.values[0, 0].tolist(), strict=True)
    }
    if extra := _put_in(paths, put_in):
        parts["put in by the intervention"] = sum(extra)
    heads = tuple(part.words for part in found.names if part.kind is Kind.HEAD)
    by_source = _by_source(written, paths, [parts[head] for head in heads])
    return ListDirect(compared, parts, float(found.total), heads, by_source)


def _recorded(edits: Edits, put_in: dict[Place, Tensor]) -> Edits:
    """The same edits, which leave in ``put_in`` what they added at each place."""

    def record(place: Place, value: Tensor, frame: Frame) -> Tensor:
        after = value
        for edit in edits[place]:
            after = edit(after, frame)
        put_in[place] = after - value
        return after

    recorded = Edits({place: (partial(record, place),) for place in edits})
    recorded.since = edits.since
    return recorded


def _put_in(paths: DirectPaths, put_in: dict[Place, Tensor]) -> list[float]:
    """What edits of the stream itself add to the margin; edits of a part are the part's own."""
    n_layers, n_rows = len(paths.mlp), paths.target.shape[1]
    final = paths.target @ paths.model.W_U.T if paths.model.config.norm == "post" else paths.mlp[-1]
    after = (*paths.attention[1:], final)
    read = {
        Component.RESID_PRE: paths.attention,
        Component.ATTN_OUT: paths.attention,
        Component.RESID_MID: paths.mlp,
        Component.RESID_POST: after,
    }
    return [
        float((put_in[component, layer][:, -n_rows:] * read[component][layer]).sum())
        for layer in range(n_layers)
        for component in read
        if (component, layer) in put_in
    ]


def _by_source(
    written: Written, paths: DirectPaths, heads: list[float]
) -> Float[Tensor, "head source"]:
    view = paths.run.view
    here = torch.arange(view.start, view.stop, device=paths.target.device)
    spans = [written.task.region(source, len(written.digits)) for source in SOURCES]
    member = torch.stack([(here >= s.start) & (here < s.stop) for s in spans]).float()
    layers = range(written.model.cfg.n_layers)
    read = torch.cat([paths.by_source(layer)[0, 0] @ member.T for layer in layers])
    put_in = (read.sum(-1) - read.new_tensor(heads)).abs() > _ROUNDING
    return read.masked_fill(put_in[:, None], torch.nan).cpu()
