"""Files of weights that the original code has saved, opened as a ``SortTransformer``.

    import_weights(Path("model_6000.pth"), Told(published=True))
    import_weights(path, Told(False, 4, "pre", "relu", max_len=20, n_blanks=0))

Nothing in a file is executed. A file may be the bare ``state_dict``, in any floating-point type, or
a dict with it inside, an optimiser beside it. What its tensors do not tell has to be said
(:class:`Told`); a tensor that is not part of the network is refused, never left out. Before an
import is handed over, it is compared with PyTorch's own modules holding the same tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch

from interp.algoformer import (
    Published,
    ReferenceModel,
    copy_weights,
    offset_of,
    recognise,
    rounding_of,
)
from interp.config import ModelConfig
from interp.elsewhere.files import numbers, read_content, state_of
from interp.elsewhere.reference import check_same
from interp.model import SortTransformer
from interp.support.errors import UserError
from interp.support.fields import check_types
from interp.support.seeds import stream
from interp.task import SortTask
from interp.weights import check_finite

Norm = Literal["pre", "post"]
"""``pre``: ``norm_first=True`` and a LayerNorm at the end. ``post``: PyTorch's default."""
Activation = Literal["relu", "gelu"]
"""Those of ``nn.TransformerEncoderLayer``; only ``relu`` can be held."""

_LISTS = 16  # of lengths up to the longest, that both networks are compared on
_SCORES = 1 << 23  # attention scores of a head at once, about


@dataclass(frozen=True)
class Told:
    """What weights do not tell; None where it is not known."""

    published: bool = False
    """Whether what is None is as in the published experiment."""
    heads: int | None = None
    norm: Norm | None = None
    activation: Activation | None = None
    max_len: int | None = None
    n_blanks: int | None = None
    ln_eps: float = 1e-5  # PyTorch's default

    def settled(self, offset: int) -> Told:
        """With all that is known of a file whose positions are shifted by ``offset``.

        Raises:
            UserError: for what contradicts it, and for what is known from nowhere.
        """
        told = self._with_offset(offset) if offset else self
        if self.published:
            max_len = SortTask().max_len if told.max_len is None else told.max_len
            usual = Told(True, 5, "post", "relu", max_len, max_len + 1)
            given = {name: value for name, value in vars(told).items() if value is not None}
            told = replace(usual, **given)
        if missing := [flag for flag, name in _FLAGS.items() if getattr(told, name) is None]:
            raise UserError(
                f"weights do not tell everything: give {', '.join(missing)}, or --published for "
                "what the published experiment has"
            )
        return told

    def _with_offset(self, offset: int) -> Told:
        if self.max_len not in (None, offset - 1):
            raise UserError(
                f"its positions are shifted by {offset}, which fits lists of {offset - 1}"
            )
        if self.n_blanks:
            raise UserError(f"its positions are shifted by {offset}: then there are no blanks")
        return replace(self, max_len=offset - 1, n_blanks=0)


_FLAGS = {
    "--heads": "heads",
    "--norm": "norm",
    "--activation": "activation",
    "--max-len": "max_len",
    "--n-blanks": "n_blanks",
}


def import_weights(path: Path, told: Told) -> SortTransformer:
    """A ``SortTransformer`` from a file saved by the original code (``torch.save``).

    Whether positions were offset is read off the saved table of sinusoids, where there is one; an
    offset tells the longest list, and that there are no blanks.

    Raises:
        UserError: naming the file and why it is not such weights, or what has to be told.
    """
    check_types(told)
    content = read_content(path)
    try:
        state = {k: numbers(k, tensor) for k, tensor in state_of(content, "layers.").items()}
        published = recognise(state)
        config = _config_of(published, told)
    except UserError as error:
        raise UserError(f"{path} is not a set of Algoformer weights: {error}") from None
    check_finite(state, path)
    model = SortTransformer(config)
    copy_weights(model, state)
    _compare(path, model, published)
    return model.eval()


# -- what it is ---------------------------------------------------------------------------------


def _config_of(published: Published, told: Told) -> ModelConfig:
    d_model = published.d_model
    if d_model % 2:
        raise UserError(f"its width of {d_model} is odd: sines and cosines come in pairs")
    offset = offset_of(published.table)
    told = told.settled(offset)
    heads, max_len, n_blanks = int(told.heads or 0), int(told.max_len or 0), int(told.n_blanks or 0)
    if told.activation != "relu":
        raise UserError(f"the activation {told.activation} cannot be held here, only relu")
    if heads < 1 or d_model % heads:
        raise UserError(f"its width of {d_model} is not {heads} heads wide")
    _check_norm(published, told)
    task = SortTask(max_len, n_blanks, offset)
    if published.table is not None and len(published.table) < task.n_ctx - 1:
        raise UserError(
            f"its table of positions has {len(published.table)} rows, and lists of 1 to {max_len} "
            f"with {n_blanks} blanks need {task.n_ctx - 1}"
        )
    return ModelConfig(
        task=task,
        n_layers=len(published.layers),
        d_model=d_model,
        n_heads=heads,
        d_head=d_model // heads,
        d_mlp=published.d_mlp,
        norm=told.norm or "post",
        positions="sinusoidal",
        embed_bias=True,
        ln_eps=told.ln_eps,
    )


def _check_norm(published: Published, told: Told) -> None:
    if told.norm not in get_args(Norm):
        raise UserError(f"the norm is {' or '.join(get_args(Norm))}, not {told.norm!r}")
    if told.norm == "post" and published.final_norm is not None:
        raise UserError(
            "it has a LayerNorm after the last layer (norm.weight), which only a network of "
            "--norm pre has here"
        )
    if told.norm == "pre" and published.final_norm is None:
        raise UserError("a network of --norm pre ends with a LayerNorm (norm.weight); it has none")


# -- whether it is right ------------------------------------------------------------------------


@torch.no_grad()
def _compare(path: Path, model: SortTransformer, published: Published) -> None:
    """The import against the network that PyTorch builds from the file's own tensors."""
    reference = ReferenceModel(model.config, dropout=0.0).eval()
    reference.load_state_dict(published.state(), strict=False)  # the table is no parameter
    n_lists = max(2, min(_LISTS, _SCORES // model.task.n_ctx**2))
    lengths = torch.linspace(1, model.task.max_len, n_lists).round().long()
    tokens = model.task.sample(n_lists, stream("import", 0), lengths).tokens
    if published.table is not None and not rounding_of(published.table):
        reference.pe = published.table
        tokens = tokens[:, : len(published.table)]
    real = tokens != model.task.pad
    ours, theirs = model(tokens).log_softmax(-1)[real], reference(tokens)[real]
    try:
        check_same(ours, theirs, "log-probabilities")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
