"""What the logit lens reads off one list, for ``analyses.one_list.lens`` and ``position``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.one_list.margin import AnsweredList
from interp.methods.lens import depths
from interp.passes.forward import forward
from interp.passes.packed import Window, unembed
from interp.sites import place_name
from interp.support.errors import UserError
from interp.task import Region, SortTask


@dataclass(frozen=True)
class ListLens:
    """What every residual stream says at every position, as if the model ended there."""

    task: SortTask
    depths: tuple[str, ...]
    """``before layer 0``, ``after attention 0``, ``after MLP 0``, ..."""
    labels: tuple[str, ...]
    """Of the positions, from the first digit on."""
    given: tuple[str, ...]
    """The token at each position."""
    said: tuple[str, ...]
    """The token that the model predicts at each position: the last depth's top one."""
    regions: dict[str, range]
    """Positions, counted as ``labels`` are, that are shown together."""
    right: Int[Tensor, " output"]
    """The right tokens; PAD past the answer's end."""
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
def read_lens(answered: AnsweredList) -> ListLens:
    """Unembed every residual stream at every position, under the edits."""
    model, task, length = answered.model, answered.task, len(answered.digits)
    view, places = Window(task, length, answered.start), depths(model.config.n_layers)
    run = forward(model, answered.tokens, view, answered.edits, keep=places)
    streams = torch.cat([run.at(*place) for place in places])  # [depth, pos, d_model]
    logits = unembed(model, streams).cpu()
    given = answered.tokens[0, view.start : view.stop].tolist()
    return ListLens(
        task=task,
        depths=tuple(place_name(*place) for place in places),
        labels=tuple(task.labels(length)[view.start : view.stop]),
        given=tuple(map(task.token_name, given)),
        said=tuple(map(task.token_name, logits[-1].argmax(-1).tolist())),
        regions=_regions(task, length),
        right=task.answers(answered.tokens[:, : task.max_len])[0, : view.n_outputs].cpu(),
        logits=logits,
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
