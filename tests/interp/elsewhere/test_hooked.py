"""State dicts of plain ``HookedTransformer``s: what is imported computes what they compute."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from interp.checkpoints import load_bare, load_model, save_model
from interp.checkpoints.__main__ import main
from interp.config import Activation, ModelConfig
from interp.elsewhere.facts import Facts, agreed, facts_of, read_config
from interp.elsewhere.hooked import NEVER, import_hooked
from interp.elsewhere.rivals import losses, rivals
from interp.elsewhere.vocabulary import read_vocabulary, usual_vocabulary
from interp.lists import DIGITS
from interp.model import SortTransformer
from interp.passes.forward import forward
from interp.passes.packed import packed_logits, window
from interp.rule import Rule, one
from interp.sites import Component
from interp.support.errors import UserError
from interp.task import Task
from tests.interp.elsewhere.theirs import lists_of_four, plain

FIXED = Task(4, 0, min_len=4)  # four digits, SEP, four sorted digits
OURS = list(range(13))  # their token of each of ours, where both have them in one order


def saved(folder: Path, state: Any) -> Path:
    torch.save(state, folder / "theirs.pt")
    return folder / "theirs.pt"


def imported(folder: Path, state: Any, task: Task = FIXED, **facts: Any) -> SortTransformer:
    return import_hooked(saved(folder, state), Facts(**facts), task).model


def refusal(folder: Path, state: Any, task: Task = FIXED, **facts: Any) -> str:
    with pytest.raises(UserError) as refused:
        imported(folder, state, task, **facts)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def without(state: dict[str, Any], *parts: str) -> dict[str, Any]:
    return {name: t for name, t in state.items() if not any(part in name for part in parts)}


# -- what is imported computes the same -----------------------------------------------------------


@settings(max_examples=20)
@given(
    n_layers=st.integers(1, 3),
    heads=st.sampled_from([(1, 12), (3, 4), (2, 5)]),
    d_mlp=st.sampled_from([None, 1, 10]),
    act_fn=st.sampled_from(get_args(Activation)),
    normalization_type=st.sampled_from(["LN", "LNPre", None]),
    scale=st.sampled_from([{}, {"use_attn_scale": False}, {"attn_scale": 3.0}]),
    by_layer=st.booleans(),
    n_ctx=st.integers(8, 11),
    order=st.permutations(range(11)),
)
def test_it_computes_what_the_plain_model_computes(
    tmp_path_factory, n_layers, heads, d_mlp, act_fn, normalization_type, scale, by_layer, n_ctx,
    order,
):  # fmt: skip
    """By the hooked pass, by both fast ones, and opened as parameters alone."""
    folder = tmp_path_factory.mktemp("theirs")
    theirs = plain(
        n_layers=n_layers, n_heads=heads[0], d_head=heads[1], d_mlp=d_mlp, attn_only=d_mlp is None,
        act_fn=act_fn, normalization_type=normalization_type, n_ctx=n_ctx, d_vocab=11,
        d_vocab_out=11, scale_attn_by_inverse_layer_idx=by_layer, **scale,
    )  # fmt: skip
    config = json.loads(json.dumps(theirs.cfg.to_dict(), default=str))
    vocabulary = ",".join("SEP" if token == 10 else str(token) for token in order)
    found = import_hooked(
        saved(folder, theirs.state_dict()), facts_of(config), FIXED, vocabulary
    ).model
    where = [list(order).index(token) for token in range(11)]
    ours, same = lists_of_four(FIXED, [*where, 0, 0])
    with torch.no_grad():
        expected = theirs(same)[..., where]
        torch.testing.assert_close(found(ours)[..., :11], expected, atol=2e-4, rtol=1e-3)
        save_model(folder / "mine", found)
        batch = FIXED.sample(8, torch.Generator().manual_seed(0), torch.full((8,), 4))
        view, rows = window(FIXED, batch), slice(4, 8)
        for model in (found, load_bare(folder / "mine").model):
            packed = packed_logits(model, batch.tokens, view)
            kept = forward(model, batch.tokens, view, keep=[(Component.NEURONS, 0)])
            for logits in (packed, kept.logits):
                torch.testing.assert_close(
                    logits[..., :11], expected[:, rows], atol=2e-4, rtol=1e-3
                )


@pytest.mark.parametrize("wrap", ["model", "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "_orig_mod.module."])
def test_wrappers_and_prefixes_do_not_matter(wrap, prefix, tmp_path):
    state = plain().state_dict()
    expected = imported(tmp_path, state, activation="gelu").state_dict()
    wrapped = {wrap: {prefix + name: t for name, t in state.items()}, "step": 7, "best": 0.9}
    found = imported(tmp_path, wrapped, activation="gelu").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_safetensors_of_half_precision(tmp_path):
    theirs = plain()
    rounded = {n: t.half() if t.is_floating_point() else t for n, t in theirs.state_dict().items()}
    save_file({n: t.contiguous() for n, t in rounded.items()}, tmp_path / "theirs.safetensors")
    found = import_hooked(tmp_path / "theirs.safetensors", Facts(activation="gelu"), FIXED).model
    theirs.load_state_dict(rounded)
    ours, same = lists_of_four(FIXED, OURS)
    torch.testing.assert_close(found(ours), theirs(same)[..., :12], atol=1e-4, rtol=1e-3)


def test_folded_and_centred_weights_say_the_same(tmp_path):
    theirs = plain()
    before = imported(tmp_path, theirs.state_dict(), activation="gelu")
    theirs.process_weights_(center_unembed=False)
    state = without(theirs.state_dict(), "ln1", "ln2", "ln_final")
    after = imported(tmp_path, state, activation="gelu", norm="pre")
    ours, _ = lists_of_four(FIXED, OURS)
    torch.testing.assert_close(
        after(ours).log_softmax(-1), before(ours).log_softmax(-1), atol=1e-3, rtol=1e-3
    )


def test_biases_that_are_not_there_are_zero(tmp_path):
    theirs = plain(normalization_type=None, d_vocab=11)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if ".b_" in name:
                parameter.zero_()
    state = without(theirs.state_dict(), ".b_")
    facts: dict[str, Any] = {"activation": "gelu", "norm": "none"}
    assert "it lacks blocks.0.attn.b_Q; --no-biases, if it has none" in refusal(
        tmp_path, state, **facts
    )
    ours, same = lists_of_four(FIXED, OURS)
    found = imported(tmp_path, state, **facts, no_biases=True)
    torch.testing.assert_close(found(ours)[..., :11], theirs(same), atol=1e-4, rtol=1e-3)


def test_our_own_weights_come_back(tmp_path):
    """Post-norm and sinusoids, which TransformerLens does not have, blanks and an offset."""
    for norm in ("pre", "post"):
        config = ModelConfig(Task(5, 6), 2, 12, 3, 4, 10, norm, activation="silu", embed_bias=True)
        own = SortTransformer(config, seed=3)
        facts: dict[str, Any] = {"norm": norm, "positions": "sinusoidal", "activation": "silu"}
        found = imported(tmp_path, own.state_dict(), Task(5, 6), **facts)
        assert found.config == config
        tokens = own.task.held_out(20).tokens
        real = tokens != own.task.pad
        torch.testing.assert_close(found(tokens)[real], own(tokens)[real], atol=1e-5, rtol=1e-4)


def test_what_they_cannot_say_is_never_said(tmp_path):
    """Numbers alone as outputs: of SEP and BLANK there is no logit."""
    theirs = plain(d_vocab=11, d_vocab_out=10)
    found = imported(tmp_path, theirs.state_dict(), activation="gelu")
    assert found.b_U[10:].tolist() == [NEVER, NEVER]
    ours, same = lists_of_four(FIXED, OURS)
    torch.testing.assert_close(
        found(ours).log_softmax(-1)[..., :10], theirs(same).log_softmax(-1), atol=1e-4, rtol=1e-3
    )


# -- what is refused, by name ---------------------------------------------------------------------


def changed(state: dict[str, Any], **tensors: Any) -> dict[str, Any]:
    return {**state, **{name.replace("__", "."): t for name, t in tensors.items()}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: changed(s, blocks__0__mlp__W_more=torch.ones(2)), "holds blocks.0.mlp.W_more,"),
        (lambda s: without(s, "blocks.1.attn.W_O"), "it lacks blocks.1.attn.W_O"),
        (lambda s: without(s, "blocks.1."), "holds blocks.2.attn.W_K"),
        (lambda s: without(s, "embed.W_E"), "no state dict of a HookedTransformer"),
        (lambda s: changed(s, unembed__b_U=torch.ones(3)), "unembed.b_U has shape (3,), expected"),
        (lambda s: changed(s, blocks__0__attn__mask=torch.ones(9, 9)), "is no causal mask"),
        (lambda s: changed(s, embed__W_E=torch.full((13, 12), torch.nan)), "W_E holds NaN"),
        (lambda s: changed(s, embed__W_E=torch.ones(13, 12).long()), "embed.W_E holds int64"),
        (lambda s: {"a": s, "b": s}, "several sets of weights, 'a', 'b'"),
        (lambda s: {"step": 3}, "it holds no state_dict: 'step' in it is a int"),
        (lambda s: {**s, **{f"module.{n}": t for n, t in s.items()}}, "more than once"),
        (lambda s: without(s, "ln_final"), "give --norm, or --config"),
        (lambda s: without(s, "pos_embed"), "give --positions, or --config"),
        (lambda s: changed(s, pos_embed__W_pos=torch.ones(7, 12)), "7 rows, and lists of 4 digits"),
    ],
)
def test_what_cannot_be_is_refused_by_name(change, words, tmp_path):
    state = plain(n_layers=3).state_dict()
    if words.startswith("holds blocks.2"):
        state = {n.replace("blocks.2.", "blocks.3."): t for n, t in state.items()}
        words = "it lacks blocks.1."
    assert words in refusal(tmp_path, change(state), activation="gelu")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"positional_embedding_type": "rotary", "rotary_dim": 4}, "it has rotary positions"),
        ({"n_key_value_heads": 1}, "it has keys and values that several heads share"),
        ({"gated_mlp": True}, "it has gated MLPs (blocks.0.mlp.W_gate)"),
        ({"num_experts": 2, "experts_per_token": 1}, "it has mixtures of experts"),
        ({"use_qk_norm": True}, "it has norms of queries and keys"),
        ({"post_embedding_ln": True}, "it has norms of the embedding"),
        ({"normalization_type": "RMS"}, "blocks.0.ln1 has no bias: it is an RMSNorm"),
        ({"final_rms": True}, "ln_final has no bias: it is an RMSNorm"),
    ],
)
def test_another_kind_of_model_is_named(config, words, tmp_path):
    state = plain(**config).state_dict()
    assert words in refusal(tmp_path, state, activation="gelu", norm="pre", no_biases=True)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"parallel_attn_mlp": True}, "attention and MLP side by side"),
        ({"attention_dir": "bidirectional"}, "attention that sees what comes later"),
        ({"positional_embedding_type": "shortformer"}, "shortformer positions"),
        ({"positional_embedding_type": "alibi"}, "ALiBi positions"),
        ({"normalization_type": "RMSPre"}, "RMSNorms"),
    ],
)
def test_a_kind_that_leaves_no_trace_is_found_out(config, words, tmp_path):
    """The task is to say what a model of that kind says: nothing else suits its weights."""
    theirs = plain(**config, d_vocab=11)
    with torch.no_grad():
        theirs.unembed.W_U.mul_(8)
        theirs.unembed.b_U[10] = -1000.0  # SEP is no answer

    @cache
    def answer(values):
        return [int(theirs(torch.tensor([[*values, 10]]))[0, 4].argmax())]

    rule = Rule("theirs", DIGITS, lambda v: answer(tuple(v)), "what they say", outputs=one)
    task = Task(4, 0, 0, rule, 4)
    path = saved(tmp_path, theirs.state_dict())
    hooked = import_hooked(path, Facts(norm="pre", activation="gelu"), task)
    lists = task.held_out(200)
    best = rivals(hooked.model, lists, hooked.read, losses(hooked.model, lists))[0]
    assert best.better and best.words == f"{words}, which cannot be held here"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "give --activation, or --config"),
        ({"activation": "gelu", "norm": "none"}, "holds blocks.0.ln1.b, which is no part"),
        ({"activation": "gelu", "norm": "post"}, "holds ln_final.b, which is no part"),
        ({"activation": "gelu", "positions": "sinusoidal"}, "holds pos_embed.W_pos, which is no"),
        ({"activation": "solu_ln"}, "it lacks blocks.0.mlp.ln.w"),
    ],
)
def test_a_flag_that_the_tensors_contradict(facts, words, tmp_path):
    assert words in refusal(tmp_path, plain().state_dict(), **facts)


@pytest.mark.parametrize(
    ("vocabulary", "n_tokens", "words"),
    [
        (None, 15, "its vocabulary has 15 tokens, and sort has 13"),
        (None, 10, "its vocabulary has 10 tokens"),
        ("0-9", 11, "has no SEP, which the task needs"),
        ("0-9,SEP,SEP", 12, "has SEP twice"),
        ("0-9,SEP,4", 12, "has 4 twice"),
        ("0-9,SEP,START", 12, "'START' in a vocabulary is no digit from 0 to 9"),
        ("0-19,SEP", 21, "0-19 in a vocabulary is no range"),
        ("0-9,SEP,-,-", 12, "its vocabulary has 12 tokens, and 13 were named"),
    ],
)
def test_a_vocabulary_that_does_not_fit(vocabulary, n_tokens, words, tmp_path):
    path = saved(tmp_path, plain(d_vocab=n_tokens).state_dict())
    with pytest.raises(UserError, match="is not imported") as refused:
        import_hooked(path, Facts(activation="gelu"), FIXED, vocabulary)
    assert words in str(refused.value)


def test_vocabularies_in_their_order():
    assert read_vocabulary("SEP, 0-9", FIXED) == (10, *range(10))
    assert read_vocabulary("-,9,0-8,-,PAD,SEP,_", FIXED) == (
        None, 9, *range(9), None, 12, 10, 11,
    )  # fmt: skip
    assert usual_vocabulary(12, Task(4, 2)) == tuple(range(12))
    with pytest.raises(UserError, match="a vocabulary of 11 tokens has no BLANK"):
        usual_vocabulary(11, Task(4, 2))


def test_an_import_that_computes_something_else_is_not_handed_over(tmp_path, monkeypatch):
    import interp.elsewhere.hooked as module

    right = module.weights_of

    def carelessly(theirs, model):
        found = right(theirs, model)
        return {**found, "blocks.1.attn.b_V": torch.zeros_like(found["blocks.1.attn.b_V"])}

    monkeypatch.setattr(module, "weights_of", carelessly)
    words = refusal(tmp_path, plain().state_dict(), activation="gelu")
    assert "its logits would be off by" in words


# -- configs --------------------------------------------------------------------------------------


def test_a_config_of_transformer_lens_is_read(tmp_path):
    theirs = plain(act_fn="solu_ln", eps=1e-3)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(theirs.cfg.to_dict(), default=str))
    found = read_config(path)
    assert (found.norm, found.activation, found.ln_eps) == ("pre", "solu_ln", 1e-3)
    assert dict(found.sizes)["n_heads"] == 3
    model = import_hooked(saved(tmp_path, theirs.state_dict()), found, FIXED).model
    assert model.config.activation == "solu_ln" and model.config.ln_eps == 1e-3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"positional_embedding_type": "rotary"}, "positional_embedding_type 'rotary' cannot"),
        ({"normalization_type": "RMS"}, "normalization_type 'RMS' cannot be held"),
        ({"parallel_attn_mlp": True}, "parallel_attn_mlp True cannot be held here, only False"),
        ({"attention_dir": "bidirectional"}, "attention_dir 'bidirectional' cannot be held"),
        ({"act_fn": "tanh"}, "act_fn 'tanh' is none of relu"),
        ({"n_head": 3}, "'n_head' is no field of a HookedTransformerConfig"),
        ({"n_layers": "two"}, "n_layers cannot be 'two': it must be a whole number"),
        ({"eps": "small"}, "eps cannot be 'small': it must be a number"),
    ],
)
def test_a_config_of_another_kind_of_model_is_refused(change, words):
    with pytest.raises(UserError) as refused:
        facts_of({"n_layers": 2, **change})
    assert words in str(refused.value)


def test_a_config_of_other_weights_is_refused(tmp_path):
    config = facts_of({"n_layers": 1, "act_fn": "gelu"})
    with pytest.raises(UserError, match="the config says n_layers 1, and the weights have 2"):
        import_hooked(saved(tmp_path, plain().state_dict()), config, FIXED)


def test_flags_and_config_together():
    config = facts_of({"act_fn": "gelu", "scale_attn_by_inverse_layer_idx": True})
    assert agreed(Facts(no_biases=True), config).scale_by_layer
    assert agreed(Facts(norm="post"), config).norm == "post"
    with pytest.raises(UserError, match="--activation relu contradicts the config, which says gel"):
        agreed(Facts(activation="relu"), config)


# -- the command ----------------------------------------------------------------------------------


def command(*argv: object) -> None:
    main(["import", *map(str, argv)])


def test_random_weights_are_refused_and_nothing_is_written(tmp_path, capsys):
    path, folder = saved(tmp_path, plain().state_dict()), tmp_path / "mine"
    flags = ["--task", "sort", "--max-len", 4, "--min-len", 4, "--n-blanks", 0]
    flags += ["--activation", "gelu", "--vocabulary", "0-9,SEP,BLANK,-"]
    state = plain().state_dict()
    state["unembed.b_U"][10:] = -50.0  # they answer with digits
    torch.save(state, path)
    with pytest.raises(SystemExit) as stop:
        command(path, folder, *flags)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1
    assert "exact match 0." in error and "it does not do this task, or was read wrongly" in error
    assert "--anyway imports it as it is" in error and not folder.exists()
    command(path, folder, *flags, "--anyway")
    said = capsys.readouterr().out
    assert "lists of 4 digits, 0 blanks" in said and "exact match 0." in said
    opened = load_model(folder)
    assert opened.model.config.activation == "gelu" and opened.model.task == FIXED
    assert opened.info["imported"]["exact_match"]["n"] == 1000


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--max-len", 4, "--n-blanks", 0], "--task"),
        (["--task", "sort", "--n-blanks", 0], "--max-len"),
        (["--task", "sort", "--max-len", 4], "--n-blanks"),
        (["--task", "sorts", "--max-len", 4, "--n-blanks", 0], "there is no task 'sorts'"),
        (["--task", "sort", "--max-len", 4, "--n-blanks", 0, "--ln-eps", 0], "--ln-eps must be ab"),
        (["--task", "sort", "--max-len", 4, "--n-blanks", 0, "--config", "no.json"], "no.json"),
        (["--task", "sort", "--max-len", 4, "--n-blanks", 0, "--min-len", 5], "minimum length"),
    ],
)
def test_bad_flags_are_one_line(flags, words, tmp_path, capsys):
    path = saved(tmp_path, plain().state_dict())
    with pytest.raises(SystemExit) as stop:
        command(path, tmp_path / "mine", *flags)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and words in error
    assert not (tmp_path / "mine").exists()
