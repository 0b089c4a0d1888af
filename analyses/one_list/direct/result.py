"""The margin of one output as a sum over the parts that write to the residual stream."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from analyses.one_list.margin import AnsweredList, Margin, UpTo, margin
from interp.methods.attribution import DirectPaths, Kind, paths_of, places_read
from interp.passes.forward import Edits, Place, forward
from interp.sites import Component, Frame
from interp.task import Region

SOURCES = (Region.DIGITS, Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)
"""Where heads read; ``blanks`` are all but the last."""
_ROUNDING = 1e-3  # logits; sums in another order differ by a hundredth of it


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
def attribute(answered: AnsweredList, output: int) -> ListDirect:
    """Direct logit attribution of an output's margin, LayerNorms frozen as they are in this run."""
    model, view = answered.model, UpTo(answered.task, len(answered.digits), answered.row(output))
    put_in: dict[Place, Tensor] = {}
    edits = _recorded(answered.edits, put_in, view.stop)
    run = forward(model, answered.tokens, view, edits, keep=places_read(model.config.n_layers))
    compared = margin(answered, output, run.logits)
    paths = paths_of(model, run, answered.tokens, compared.target)
    found = paths.parts()
    parts = {
        part.words: value
        for part, value in zip(found.names, found.values[0, 0].tolist(), strict=True)
    }
    if extra := _put_in(paths, put_in):
        parts["put in by the intervention"] = sum(extra)
    heads = tuple(part.words for part in found.names if part.kind is Kind.HEAD)
    by_source = _by_source(answered, paths, [parts[head] for head in heads])
    return ListDirect(
        margin=compared,
        parts=parts,
        total=float(found.total),
        heads=heads,
        by_source=by_source,
    )


def _recorded(edits: Edits, put_in: dict[Place, Tensor], stop: int) -> Edits:
    """The same edits, which leave in ``put_in`` what they added at each place before ``stop``."""

    def record(place: Place, value: Tensor, frame: Frame) -> Tensor:
        after = value
        for edit in edits[place]:
            after = edit(after, frame)
        put_in[place] = (after - value)[:, : stop - frame.position]
        return after

    recorded = Edits({place: (partial(record, place),) for place in edits})
    recorded.since, recorded.opens = edits.since, edits.opens
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
    answered: AnsweredList, paths: DirectPaths, heads: list[float]
) -> Float[Tensor, "head source"]:
    view = paths.run.view
    here = torch.arange(view.start, view.stop, device=paths.target.device)
    spans = [answered.task.region(source, len(answered.digits)) for source in SOURCES]
    member = torch.stack([(here >= s.start) & (here < s.stop) for s in spans]).float()
    layers = range(answered.model.config.n_layers)
    read = torch.cat([paths.by_source(layer)[0, 0] @ member.T for layer in layers])
    put_in = (read.sum(-1) - read.new_tensor(heads)).abs() > _ROUNDING
    return read.masked_fill(put_in[:, None], torch.nan).cpu()
