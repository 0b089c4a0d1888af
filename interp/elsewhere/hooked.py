"""State dicts of a ``HookedTransformer`` that others trained, opened as a ``SortTransformer``.

    import_hooked(Path("model.pt"), Facts(activation="gelu"), Task(10, 0), None)

Of this family: decoders with causal attention, with MLPs of any activation or without, normalised
before each part (weights folded or not), after it, or not at all. Tokens go to where our vocabulary
has them; an output that is not there, such as a padding token's, is left out, and one of ours that
they do not have is never said. Before an import is handed over, it is compared with a plain
``HookedTransformer`` that holds the file's own tensors (:mod:`interp.elsewhere.reference`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.config import ModelConfig
from interp.elsewhere.facts import Facts
from interp.elsewhere.files import read_content, state_of, without_prefixes
from interp.elsewhere.reference import check_same, reference_logits
from interp.elsewhere.rivals import SEEN, Read
from interp.elsewhere.tensors import (
    Kind,
    Sizes,
    check_tensors,
    is_bias,
    kind_of,
    shapes_of,
    sorted_out,
)
from interp.elsewhere.vocabulary import Vocabulary, read_vocabulary, usual_vocabulary
from interp.model import SortTransformer
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import SortBatch, Task
from interp.weights import check_finite

NEVER = -1000.0
"""The logit of a token of ours that their vocabulary does not have: its probability is exactly 0,
and a mean over tokens is still a number of ordinary size."""
_LISTS = 16  # of lengths up to the longest, that both models are compared on


@dataclass(frozen=True)
class Imported:
    """What came of a file."""

    model: SortTransformer
    read: Read


@dataclass(frozen=True)
class Theirs:
    """A set of weights, and all that is known of it."""

    state: Mapping[str, Tensor]
    sizes: Sizes
    kind: Kind
    facts: Facts
    vocabulary: Vocabulary

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All that such a model has; biases that are not there are 0."""
        shapes = shapes_of(self.sizes, self.kind)
        none = {name: torch.zeros(shape) for name, shape in shapes.items() if is_bias(name)}
        return {**none, **self.state}

    def scale(self, layer: int) -> float:
        """What the scores of a layer are divided by."""
        scale = self.facts.attn_scale or math.sqrt(self.sizes.d_head)
        return scale * (layer + 1 if self.facts.scale_by_layer else 1)


def import_hooked(path: Path, facts: Facts, task: Task, vocabulary: str | None = None) -> Imported:
    """A ``SortTransformer`` that computes what a file's weights do.

    Args:
        vocabulary: as :func:`read_vocabulary` takes it; None: the task's, or the usual one.

    Raises:
        UserError: naming the file and why it is not such weights, or what has to be told.
    """
    content = read_content(path)
    try:
        task.try_rule()
        theirs = recognise(content, facts, task, vocabulary)
        check_finite(theirs.state, "it")
        model = SortTransformer(config_of(theirs, task))
        model.load_state_dict(weights_of(theirs, model))
        _compare(model.eval(), theirs)
    except UserError as error:
        raise UserError(f"{path} is not imported: {error}") from None
    unlike = {
        f"{words}, which cannot be held here": partial(_said, theirs, model.config, otherwise)
        for words, otherwise in _unlike(theirs)
    }
    if task.min_len < task.max_len and task.pad in theirs.vocabulary:
        unlike[SEEN] = partial(_said, theirs, model.config, {}, hide=False)
    return Imported(model, Read(theirs.kind.folded, facts.attn_scale, unlike))


def _unlike(theirs: Theirs) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kinds of models that have the same tensors and cannot be held here, and their configs."""
    if theirs.kind.norm == "post":  # nothing of TransformerLens's
        return
    yield "attention that sees what comes later", {"attention_dir": "bidirectional"}
    if theirs.sizes.d_mlp:
        yield "attention and MLP side by side", {"parallel_attn_mlp": True}
    if theirs.kind.positions == "learned":
        yield "shortformer positions", {"positional_embedding_type": "shortformer"}
        yield "ALiBi positions", {"positional_embedding_type": "alibi"}
    if theirs.kind.folded:
        yield "RMSNorms", {"normalization_type": "RMSPre"}


def recognise(content: object, facts: Facts, task: Task, vocabulary: str | None) -> Theirs:
    """What was read from a file, sorted out."""
    state = sorted_out(without_prefixes(state_of(content, "blocks.")))
    sizes = Sizes.of(state)
    sizes.check(facts)
    kind = kind_of(state, facts)
    check_tensors(state, sizes, kind, facts.no_biases)
    said = vocabulary or task.rule.vocabulary
    tokens = read_vocabulary(said, task) if said else usual_vocabulary(sizes.d_vocab, task)
    if len(tokens) != sizes.d_vocab:
        raise UserError(f"its vocabulary has {sizes.d_vocab} tokens, and {len(tokens)} were named")
    unsaid = [token for token in tokens[sizes.d_vocab_out :] if token is not None]
    for token in (*task.alphabet, *([task.sep] if task.rule.ends else [])):
        if token in unsaid:
            raise UserError(f"it can never say {task.token_name(token)}, which answers hold")
    return Theirs(state, sizes, kind, facts, tokens)


def config_of(theirs: Theirs, task: Task) -> ModelConfig:
    """The architecture.

    Raises:
        UserError: if the task's sequences are longer than its table of positions.
    """
    sizes, kind = theirs.sizes, theirs.kind
    if kind.norm == "post" and not sizes.d_mlp:
        raise UserError("a post-norm model without MLPs cannot be held here")
    if kind.positions == "learned" and (sizes.n_ctx or 0) < task.n_ctx - 1:
        raise UserError(
            f"its table of positions has {sizes.n_ctx} rows, and lists of {task.lengths_words} "
            f"with {task.n_blanks} blanks need {task.n_ctx - 1}"
        )
    return ModelConfig(
        task=task,
        n_layers=sizes.n_layers,
        d_model=sizes.d_model,
        n_heads=sizes.n_heads,
        d_head=sizes.d_head,
        d_mlp=sizes.d_mlp,
        norm=kind.norm,
        positions=kind.positions,
        embed_bias="embed.b_E" in theirs.state,
        ln_eps=theirs.facts.ln_eps or ModelConfig.ln_eps,
        activation=kind.activation,
    )


def weights_of(theirs: Theirs, model: SortTransformer) -> dict[str, Tensor]:
    """Their tensors as a model of that architecture names and shapes them.

    What they have not (folded LayerNorms, MLPs of attention-only models, unused tokens) is what
    changes nothing.
    """
    task, given = model.task, theirs.tensors
    found = {name: given.get(name, tensor) for name, tensor in _neutral(model).items()}
    for layer in range(theirs.sizes.n_layers):  # ours are divided by the root of a head's width
        for name in ("W_Q", "b_Q"):
            full = f"blocks.{layer}.attn.{name}"
            found[full] = found[full] * (math.sqrt(theirs.sizes.d_head) / theirs.scale(layer))
    found["embed.W_E"] = torch.zeros(task.d_vocab, theirs.sizes.d_model)
    found["unembed.W_U"] = torch.zeros(theirs.sizes.d_model, task.d_vocab_out)
    found["unembed.b_U"] = torch.full((task.d_vocab_out,), NEVER)
    for index, token in enumerate(theirs.vocabulary):
        if token is not None:
            found["embed.W_E"][token] = given["embed.W_E"][index]
    for index, token in said_tokens(theirs, task):
        found["unembed.W_U"][:, token] = given["unembed.W_U"][:, index]
        found["unembed.b_U"][token] = given["unembed.b_U"][index]
    if theirs.kind.positions == "learned":
        table = given["pos_embed.W_pos"][: task.n_ctx]  # nothing reads the answer's last token
        padded = torch.zeros(task.n_ctx, theirs.sizes.d_model)
        padded[: len(table)] = table
        found["pos_embed.W_pos"] = padded
    return found


def _neutral(model: SortTransformer) -> dict[str, Tensor]:
    """A state dict of which nothing but LayerNorms does anything, and these the least they can."""
    return {
        name: tensor if "attn.mask" in name or "attn.IGNORE" in name
        else torch.ones_like(tensor) if name.endswith(".w")
        else torch.zeros_like(tensor)
        for name, tensor in model.state_dict().items()
    }  # fmt: skip


def said_tokens(theirs: Theirs, task: Task) -> list[tuple[int, int]]:
    """Outputs that are in both vocabularies: theirs, and ours."""
    pairs = enumerate(theirs.vocabulary[: theirs.sizes.d_vocab_out])
    return [(index, token) for index, token in pairs if token not in (None, task.pad)]


@torch.no_grad()
def _compare(model: SortTransformer, theirs: Theirs) -> None:
    task = model.task
    steps = torch.linspace(task.min_len, task.max_len, _LISTS)
    tokens = task.sample(_LISTS, stream("import", 0), steps.round().long()).tokens[:, :-1]
    reference = _by_reference(theirs, model.config, tokens, tokens == task.pad)
    both = said_tokens(theirs, task)
    shared, ours = [index for index, _ in both], [token for _, token in both]
    real = tokens != task.pad
    check_same(model(tokens)[..., ours][real], reference[..., shared][real], "logits")
    rows = task.scored_digits(torch.nn.functional.pad(tokens, (0, 1), value=task.pad))[:, :-1]
    for said in reference[rows].argmax(-1).unique().tolist():
        if said not in shared:
            raise UserError(f"it answers with its token {said}, which is none of the task's")


def _by_reference(
    theirs: Theirs,
    config: ModelConfig,
    tokens: Int[Tensor, "batch pos"],
    hidden: Tensor,
    **otherwise: Any,
) -> Float[Tensor, "batch pos d_vocab_theirs"]:
    """What their own tensors say of our tokens, in their vocabulary."""
    as_theirs = torch.zeros(config.task.d_vocab, dtype=torch.long)
    for index, token in enumerate(theirs.vocabulary):
        if token is not None:
            as_theirs[token] = index
    scales = [theirs.scale(layer) for layer in range(theirs.sizes.n_layers)]
    return reference_logits(
        theirs.tensors, config, theirs.kind.folded, scales, as_theirs[tokens], hidden, **otherwise
    )


@torch.no_grad()
def _said(
    theirs: Theirs,
    config: ModelConfig,
    otherwise: Mapping[str, Any],
    batch: SortBatch,
    hide: bool = True,
) -> Float[Tensor, "batch pos d_vocab_out"]:
    """What they say if their config is otherwise, or padding is a token as others are."""
    tokens = batch.tokens[:, :-1]
    hidden = (tokens == config.task.pad) & hide
    reference = _by_reference(theirs, config, tokens, hidden, **otherwise)
    found = torch.full((*batch.tokens.shape, config.task.d_vocab_out), NEVER)
    for index, token in said_tokens(theirs, config.task):
        found[:, :-1, token] = reference[..., index]
    return found
