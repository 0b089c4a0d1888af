"""Every public method of TransformerLens on our model: it works, or refuses in words.

python -m tests.interp.test_transformer_lens    # writes docs/transformer-lens.md
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformer_lens import ActivationCache, HookedTransformer, SVDInterpreter

from interp.answers.decode import greedy_decode, score
from interp.model import SortTransformer
from interp.passes.untouched import touch
from interp.support.errors import UserError
from interp.task import PAD
from tests.models import TASK, small_model

DOCS = Path(__file__).resolve().parents[2] / "docs" / "transformer-lens.md"
LISTS = [[3, 1, 4, 1], [2, 2], [9], [5, 0, 5, 0, 5, 1]]
BATCH = TASK.encode(LISTS)
REAL = BATCH.tokens != PAD


@dataclass(frozen=True)
class Row:
    """What becomes of a method."""

    name: str
    words: str
    """For the table: what it gives, or what to use instead."""
    check: Callable[[SortTransformer], Any]
    refused: str = ""
    """Part of the message with which it refuses; empty if it works."""
    norms: tuple[str, ...] = ("pre", "post")
    """Of the models for which this holds."""


def near(got: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-3)


def holds(condition: bool) -> None:
    assert condition


def log_probs(model: Any) -> Tensor:
    with torch.no_grad():
        return model(BATCH.tokens).log_softmax(-1)[REAL]


def kept(model: SortTransformer, change: Callable[[], Any]) -> None:
    """A change of the weights after which all log-probabilities are as before, on every path."""
    before, said = log_probs(model), greedy_decode(model, LISTS).lists
    right = score(model, BATCH).right
    change()
    near(log_probs(model), before)
    assert greedy_decode(model, LISTS).lists == said
    assert torch.equal(score(model, BATCH).right, right)


def state(model: SortTransformer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def loaded(model: SortTransformer, changed: Any) -> None:
    model.load_state_dict(changed, strict=False)


def cache_of(model: SortTransformer) -> ActivationCache:
    return model.run_with_cache(BATCH.tokens)[1]


def final(model: SortTransformer) -> Tensor:
    return cache_of(model)["blocks.1.hook_resid_post"]


def loss(model: SortTransformer) -> None:
    for stop in (TASK.n_ctx, 12):
        tokens = BATCH.tokens[:, :stop]
        logits = model(tokens)
        targets, rows = tokens[:, 1:], range(TASK.sep_pos, stop - 1)
        each = [
            -logits[i, p].log_softmax(-1)[targets[i, p]]
            for i in range(len(tokens))
            for p in rows
            if targets[i, p] != PAD
        ]
        near(model(tokens, return_type="loss"), torch.stack(each).mean())
        near(model.loss_fn(logits, tokens, per_token=True).sum(), torch.stack(each).sum())


def hooked(model: SortTransformer) -> None:
    tokens = BATCH.tokens
    zero = [("blocks.0.hook_mlp_out", lambda value, hook: value * 0)]
    changed = model.run_with_hooks(tokens, fwd_hooks=zero)
    with model.hooks(zero):
        assert torch.equal(model(tokens), changed)
    assert not torch.allclose(model(tokens), changed)


def permanent(model: SortTransformer) -> None:
    before = log_probs(model)
    model.add_hook("hook_embed", lambda value, hook: value * 0)
    model.add_perma_hook("hook_pos_embed", lambda value, hook: value * 0)
    assert len(model.list_hooks()) == 2
    model.reset_hooks(including_permanent=True)
    assert torch.equal(log_probs(model), before)


def caching(model: SortTransformer) -> None:
    held = model.add_caching_hooks("hook_embed")
    model(BATCH.tokens)
    near(held["hook_embed"], model.W_E[BATCH.tokens])
    model.remove_all_hook_fns()
    assert touch(model) is None


def stopped(model: SortTransformer) -> None:
    first = model(BATCH.tokens, stop_at_layer=1)
    near(first, cache_of(model)["blocks.1.hook_resid_pre"])
    rest = model(first, start_at_layer=1, tokens=BATCH.tokens)
    near(rest[REAL], model(BATCH.tokens)[REAL])


def sums_to_the_stream(model: SortTransformer, parts: Tensor) -> None:
    near(parts.sum(0), final(model))


def neurons_sum(model: SortTransformer) -> None:
    cache = cache_of(model)
    near(
        cache.get_neuron_results(1).sum(-2),
        cache["blocks.1.hook_mlp_out"] - model.blocks[1].mlp.b_out,
    )


def heads_sum(model: SortTransformer) -> None:
    cache = cache_of(model)
    cache.compute_head_results()
    wanted = cache["blocks.1.hook_attn_out"] - model.blocks[1].attn.b_O
    near(cache["blocks.1.attn.hook_result"].sum(-2), wanted)
    both = sum(cache[f"blocks.{k}.attn.hook_result"].sum(-2) for k in range(2))
    near(cache.stack_head_results().sum(0), both)


def attributions(model: SortTransformer) -> None:
    cache = cache_of(model)
    parts = cache.decompose_resid(mode="all", return_labels=False)
    found = cache.logit_attrs(parts, tokens=torch.full_like(BATCH.tokens, 3))
    assert found.shape == parts.shape[:-1] and found.isfinite().all()


def toggles(model: SortTransformer) -> None:
    before = log_probs(model)
    model.set_use_attn_result(True)
    model.set_use_split_qkv_input(True)
    model.set_use_hook_mlp_in(True)
    near(log_probs(model), before)
    model.set_use_split_qkv_input(False)
    model.set_use_attn_in(True)
    model.set_ungroup_grouped_query_attention(True)
    near(log_probs(model), before)


def device(model: SortTransformer) -> None:
    before = log_probs(model)
    assert torch.equal(log_probs(model.to("cpu").cpu()), before)


def stacked(name: str) -> Callable[[SortTransformer], None]:
    def check(model: SortTransformer) -> None:
        owner = {"W_in": "mlp", "W_out": "mlp", "b_in": "mlp", "b_out": "mlp"}.get(name, "attn")
        wanted = torch.stack([getattr(getattr(b, owner), name) for b in model.blocks])
        assert torch.equal(getattr(model, name), wanted)

    return check


def biases(model: SortTransformer) -> None:
    b = model.blocks
    wanted = b[0].attn.b_O + b[0].mlp.b_out + b[1].attn.b_O + b[1].mlp.b_out
    near(model.accumulated_bias(2), wanted)


def composition(model: SortTransformer) -> None:
    scores = model.all_composition_scores("V")
    a, b = model.blocks[0].attn, model.blocks[1].attn
    left, right = a.W_V[0] @ a.W_O[0], b.W_V[1] @ b.W_O[1]
    near(scores[0, 0, 1, 1], (left @ right).norm() / left.norm() / right.norm())


_TEXT = "is about text, and there is no tokenizer"
_NETWORK = "would ask the network"
_FOLDING = {"center_writing_weights": False}
MODEL: list[Row] = [
    Row("forward", "logits; ``stop_at_layer``, ``start_at_layer`` with ``tokens=``", stopped),
    Row("forward(return_type='loss')", "as ``loss_fn``", loss),
    Row(
        "forward(attention_mask=...)",
        "padding is masked by itself; ``interp.interventions.Mask`` closes more",
        lambda m: m(BATCH.tokens, attention_mask=torch.ones_like(BATCH.tokens)),
        "padding is masked by itself",
    ),
    Row(
        "forward(prepend_bos=...)",
        "for text; so are ``padding_side`` and ``shortformer_pos_embed``",
        lambda m: m(BATCH.tokens, prepend_bos=True),
        "would be ignored here",
    ),
    Row(
        "forward(return_type=...)",
        "``logits``, ``loss``, ``both`` or None",
        lambda m: m(BATCH.tokens, return_type="logit"),
        "return_type is one of",
    ),
    Row("loss_fn", "mean negative log-likelihood from SEP on, blanks included", loss),
    Row(
        "run_with_cache",
        "all activations",
        lambda m: near(cache_of(m)["hook_embed"], m.W_E[BATCH.tokens]),
    ),
    Row("run_with_hooks", "obeyed", hooked),
    Row("hooks", "obeyed", hooked),
    Row("add_hook", "obeyed by every path of the library", permanent),
    Row("add_perma_hook", "obeyed by every path of the library", permanent),
    Row("list_hooks", "what is on the model", permanent),
    Row("reset_hooks", "all hooks but those of ``intervene``", permanent),
    Row("remove_all_hook_fns", "as ``reset_hooks``", caching),
    Row("add_caching_hooks", "activations of later passes", caching),
    Row("check_and_add_hook", "used by ``add_hook``", permanent),
    Row("check_hooks_to_add", "used by ``add_hook``", permanent),
    Row("clear_contexts", "hook contexts", lambda m: m.clear_contexts()),
    Row(
        "hook_points",
        "every hook point",
        lambda m: holds(len(list(m.hook_points())) == len(m.hook_dict)),
    ),
    Row("setup", "names the hook points anew", lambda m: kept(m, m.setup)),
    Row(
        "input_to_embed",
        "the first stream",
        lambda m: near(m.input_to_embed(BATCH.tokens)[0], cache_of(m)["blocks.0.hook_resid_pre"]),
    ),
    Row(
        "get_residual",
        "used by ``input_to_embed``",
        lambda m: near(m.input_to_embed(BATCH.tokens)[0], cache_of(m)["blocks.0.hook_resid_pre"]),
    ),
    Row(
        "get_pos_offset",
        "0 without a KV cache",
        lambda m: holds(m.get_pos_offset(None, 4) == 0),
    ),
    Row(
        "generate",
        "``interp.answers.decode.greedy_decode``",
        lambda m: m.generate(BATCH.tokens),
        "greedy_decode answers lists",
    ),
    Row(
        "generate_stream",
        "``interp.answers.decode.greedy_decode``",
        lambda m: m.generate_stream(BATCH.tokens),
        "greedy_decode answers lists",
    ),
    *(
        Row(name, "``model.task.encode``", lambda m, name=name: getattr(m, name)("3"), _TEXT)
        for name in (
            "set_tokenizer",
            "to_tokens",
            "to_string",
            "to_str_tokens",
            "to_single_token",
            "to_single_str_token",
            "get_token_position",
        )
    ),
    *(
        Row(
            name,
            "``interp.checkpoints.load_model``",
            lambda m, name=name: getattr(m, name)("gpt2"),
            _NETWORK,
        )
        for name in (
            "from_pretrained",
            "from_pretrained_no_processing",
            "load_sample_training_dataset",
            "sample_datapoint",
        )
    ),
    Row(
        "tokens_to_residual_directions",
        "columns of ``W_U``, of tokens 0 to 11",
        lambda m: near(m.tokens_to_residual_directions(torch.tensor([3])).squeeze(), m.W_U[:, 3]),
    ),
    Row("to", "devices", device),
    Row(
        "to(dtype)",
        "float32 alone; ``torch.autocast`` around passes is faster",
        lambda m: m.to(torch.float64),
        "of float32 here, not float64",
    ),
    Row(
        "to(device, dtype)",
        "as ``to(dtype)``",
        lambda m: m.to("cpu", torch.float64),
        "of float32 here, not float64",
    ),
    Row(
        "to(a device that is not there)",
        "the model stays where it is",
        lambda m: m.to("cuda:99"),
        "cannot be moved to cuda:99",
    ),
    Row("cpu", "as ``to``", device),
    Row("cuda", "as ``to``, where there is such a device", device),
    Row("mps", "as ``to``, where there is such a device", device),
    Row(
        "move_model_modules_to_device",
        "to the best device",
        lambda m: kept(m, m.move_model_modules_to_device),
    ),
    Row(
        "init_weights",
        "``SortTransformer(config, seed)``",
        lambda m: m.init_weights(),
        "has fresh weights",
    ),
    Row(
        "process_weights_()",
        "say ``center_writing_weights=False``",
        lambda m: m.process_weights_(),
        "center_writing_weights",
    ),
    Row(
        "process_weights_",
        "with ``center_writing_weights=False``: the same log-probabilities",
        lambda m: kept(m, lambda: m.process_weights_(**_FOLDING)),
        "",
        ("pre",),
    ),
    Row(
        "process_weights_(fold_ln=True)",
        "``fold_ln`` is for pre-norm",
        lambda m: m.process_weights_(**_FOLDING),
        "right for pre-norm blocks only",
        ("post",),
    ),
    Row(
        "process_weights_(fold_ln=False)",
        "the same log-probabilities",
        lambda m: kept(m, lambda: m.process_weights_(fold_ln=False, **_FOLDING)),
    ),
    Row(
        "load_and_process_state_dict",
        "as ``process_weights_``",
        lambda m: kept(
            m, lambda: m.load_and_process_state_dict(state(m), fold_ln=False, **_FOLDING)
        ),
    ),
    Row(
        "fold_layer_norm",
        "a state dict for ``LNPre``; use ``process_weights_``",
        lambda m: m.fold_layer_norm(state(m)),
        "",
        ("pre",),
    ),
    Row(
        "fold_layer_norm",
        "for pre-norm only",
        lambda m: m.fold_layer_norm(state(m)),
        "right for pre-norm blocks only",
        ("post",),
    ),
    Row(
        "center_writing_weights",
        "nothing here needs it",
        lambda m: m.center_writing_weights(state(m)),
        "does not know the fixed positions",
    ),
    Row(
        "center_unembed",
        "a state dict with the same log-probabilities",
        lambda m: kept(m, lambda: loaded(m, m.center_unembed(state(m)))),
    ),
    Row(
        "fold_value_biases",
        "a state dict that computes the same",
        lambda m: kept(m, lambda: loaded(m, m.fold_value_biases(state(m)))),
    ),
    Row(
        "refactor_factored_attn_matrices",
        "a state dict that computes the same",
        lambda m: kept(m, lambda: loaded(m, m.refactor_factored_attn_matrices(state(m)))),
    ),
    Row(
        "fill_missing_keys",
        "nothing is missing",
        lambda m: holds(set(m.fill_missing_keys(state(m))) >= set(state(m))),
    ),
    *(
        Row(name, "hook points for it; the same values", toggles)
        for name in (
            "set_use_attn_result",
            "set_use_split_qkv_input",
            "set_use_hook_mlp_in",
            "set_use_attn_in",
            "set_ungroup_grouped_query_attention",
        )
    ),
    Row("accumulated_bias", "biases in the stream", biases, "", ("pre",)),
    Row(
        "accumulated_bias",
        "``interp.methods.attribution``",
        biases,
        "LayerNorms come between",
        ("post",),
    ),
    Row("all_composition_scores", "Elhage et al. 2021, from the weights", composition),
    Row("all_head_labels", "L0H0, ...", lambda m: holds(m.all_head_labels()[0] == "L0H0")),
]
MODEL += [
    Row(name, "as ``add_caching_hooks``, which replaces it", caching)
    for name in ("cache_all", "cache_some", "get_caching_hooks")
]
SVD: list[Row] = [
    Row(
        "get_singular_vectors",
        "takes inputs and outputs to have one vocabulary; ``interp.methods.circuits``",
        lambda m: SVDInterpreter(m).get_singular_vectors("OV", 0, 2, 1),
        "Vectors shape should be",
    )
]
CACHE: list[Row] = [
    Row(
        "accumulated_resid",
        "the streams",
        lambda m: near(cache_of(m).accumulated_resid()[-1], final(m)),
    ),
    Row(
        "accumulated_resid(apply_ln=True)",
        "through the final LayerNorm",
        lambda m: near(
            cache_of(m).accumulated_resid(apply_ln=True)[-1] @ m.W_U + m.b_U, m(BATCH.tokens)
        ),
        "",
        ("pre",),
    ),
    Row(
        "accumulated_resid(apply_ln=True)",
        "there is no final LayerNorm",
        lambda m: cache_of(m).accumulated_resid(apply_ln=True),
        "LayerNorms come between",
        ("post",),
    ),
    Row(
        "decompose_resid",
        "parts that sum to the stream",
        lambda m: sums_to_the_stream(m, cache_of(m).decompose_resid()),
        "",
        ("pre",),
    ),
    Row(
        "decompose_resid",
        "``interp.methods.attribution``",
        lambda m: cache_of(m).decompose_resid(),
        "LayerNorms come between",
        ("post",),
    ),
    Row(
        "get_full_resid_decomposition",
        "parts that sum to the stream",
        lambda m: sums_to_the_stream(m, cache_of(m).get_full_resid_decomposition()),
        "",
        ("pre",),
    ),
    Row(
        "get_full_resid_decomposition",
        "``interp.methods.attribution``",
        lambda m: cache_of(m).get_full_resid_decomposition(),
        "LayerNorms come between",
        ("post",),
    ),
    Row("logit_attrs", "attributions of digits' logits", attributions, "", ("pre",)),
    Row(
        "logit_attrs",
        "``interp.methods.attribution``",
        lambda m: cache_of(m).logit_attrs(final(m)[None], tokens=BATCH.tokens),
        "LayerNorms come between",
        ("post",),
    ),
    Row(
        "apply_ln_to_stack",
        "scaled as the final LayerNorm did",
        lambda m: cache_of(m).apply_ln_to_stack(final(m)[None]),
        "",
        ("pre",),
    ),
    Row(
        "apply_ln_to_stack",
        "``interp.methods.attribution``",
        lambda m: cache_of(m).apply_ln_to_stack(final(m)[None]),
        "LayerNorms come between",
        ("post",),
    ),
    Row("compute_head_results", "what each head adds", heads_sum),
    Row("stack_head_results", "what each head adds", heads_sum),
    Row("get_neuron_results", "what each neuron adds", neurons_sum),
    Row(
        "stack_neuron_results",
        "what each neuron adds",
        lambda m: near(
            cache_of(m).stack_neuron_results(2)[24:].sum(0),
            cache_of(m).get_neuron_results(1).sum(-2),
        ),
    ),
    Row(
        "stack_activation",
        "of all layers",
        lambda m: near(cache_of(m).stack_activation("z")[1], cache_of(m)["blocks.1.attn.hook_z"]),
    ),
    Row(
        "apply_slice_to_batch_dim",
        "of some lists",
        lambda m: near(
            cache_of(m).apply_slice_to_batch_dim(2)["hook_embed"], m.W_E[BATCH.tokens[2]]
        ),
    ),
    Row(
        "apply_slice_to_batch_dim",
        "what comes out refuses what the cache refuses",
        lambda m: cache_of(m).apply_slice_to_batch_dim(2).decompose_resid(),
        "LayerNorms come between",
        ("post",),
    ),
    Row(
        "remove_batch_dim",
        "of one list",
        lambda m: near(
            m.run_with_cache(BATCH.tokens[:1])[1].remove_batch_dim()["hook_embed"],
            m.W_E[BATCH.tokens[0]],
        ),
    ),
    Row("to", "devices", lambda m: near(cache_of(m).to("cpu")["hook_embed"], m.W_E[BATCH.tokens])),
    Row("toggle_autodiff", "gradients on or off", lambda m: cache_of(m).toggle_autodiff(True)),
    *(
        Row(
            name,
            "as of a dict",
            lambda m: holds(set(cache_of(m)) == set(cache_of(m).keys())),
        )
        for name in ("keys", "values", "items")
    ),
    *(
        Row(
            name,
            "there is no state space model here",
            lambda m, name=name: getattr(cache_of(m), name)(),
            _SSM,
        )
        for name, _SSM in (
            ("compute_ssm_effective_attention", "No SSM"),
            ("compute_ssm_state", "No SSM"),
        )
    ),
    Row("ssm_layers", "none", lambda m: holds(cache_of(m).ssm_layers() == [])),
]
ROWS = (
    [("HookedTransformer", row) for row in MODEL]
    + [("ActivationCache", row) for row in CACHE]
    + [("SVDInterpreter", row) for row in SVD]
)


def public(kind: type, base: type) -> set[str]:
    """Public methods of a class that it does not have from ``base``."""
    return {
        name
        for name, value in inspect.getmembers(kind, callable)
        if not name.startswith("_") and not hasattr(base, name) and inspect.isroutine(value)
    }


@pytest.mark.parametrize(("kind", "rows"), [(HookedTransformer, MODEL), (ActivationCache, CACHE)])
def test_no_method_is_left_out(kind: type, rows: list[Row]) -> None:
    named = {row.name.partition("(")[0] for row in rows}
    wanted = public(kind, nn.Module if kind is HookedTransformer else object)
    assert wanted - named == set()
    assert {name for name in named if not hasattr(kind, name)} == set()


@pytest.mark.parametrize(
    ("row", "norm"),
    [(row, norm) for _, row in ROWS for norm in row.norms],
    ids=lambda x: x.name if isinstance(x, Row) else x,
)
def test_it_works_or_refuses(row: Row, norm: str, unchecked: None) -> None:
    model = small_model(norm)
    before = state(model)
    if not row.refused:
        row.check(model)
        return
    with pytest.raises((UserError, RuntimeError, AssertionError), match=row.refused):
        row.check(model)
    assert touch(model) is None
    assert model.cfg.device == "cpu"
    model(BATCH.tokens)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(model).items())


@pytest.mark.parametrize("change", ["double", "half", "bfloat16"])
def test_no_other_precision(change: str) -> None:
    model = small_model()
    with pytest.raises(UserError, match="of float32 here"):
        getattr(model, change)()
    assert model.W_U.dtype is torch.float32 and touch(model) is None


def test_no_other_default_precision() -> None:
    model = small_model()
    torch.set_default_dtype(torch.float64)
    try:
        for use in (small_model, lambda: score(model, BATCH)):
            with pytest.raises(UserError, match="float32 here"):
                use()
    finally:
        torch.set_default_dtype(torch.float32)


def table() -> str:
    """The page of the docs."""
    lines = [
        "# TransformerLens's methods on these models",
        "",
        "`python -m tests.interp.test_transformer_lens` writes this page from the table that the",
        "tests check, method by method, on a pre-norm and a post-norm model. What refuses does so",
        "before anything is changed.",
    ]
    for kind in ("HookedTransformer", "ActivationCache", "SVDInterpreter"):
        lines += ["", f"## {kind}", "", "| method | norm | | |", "| --- | --- | --- | --- |"]
        for owner, row in ROWS:
            if owner == kind:
                norm = " and ".join(row.norms)
                verdict = "refuses" if row.refused else "works"
                words = row.words.replace("``", "`")
                lines.append(f"| `{row.name}` | {norm} | {verdict} | {words} |")
    return "\n".join(lines) + "\n"


def test_the_docs_hold_this_table() -> None:
    assert DOCS.read_text() == table()


if __name__ == "__main__":
    DOCS.write_text(table())
