"""Exact interventions on edges: against slow literal code, hooks, path patching, and nulls."""

from __future__ import annotations

import math
from functools import cache, partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp.edges import REGIONS, CircuitEdge, parse_edge
from interp.methods.circuit_run import Graph, GraphRun, Lists
from interp.methods.paths import path_patch, record_run
from interp.model import SortTransformer
from interp.passes.forward import forward
from interp.passes.packed import Window
from interp.sites import Component, Site
from interp.sorters.compiled import compile_sorter
from interp.support.errors import UserError
from interp.task import SortTask
from tests.models import small_model

NORMS = ("pre", "post", "none")
LENGTH = 4
CLOSE = {"atol": 3e-5, "rtol": 1e-4}


@pytest.fixture(autouse=True)
def no_gradients():  # type: ignore[no-untyped-def]
    with torch.no_grad():
        yield


@cache
def model_of(norm: str, n_layers: int = 2) -> SortTransformer:
    return small_model(norm, n_layers)


def tokens(model: SortTransformer, seed: int, n: int = 3, length: int = LENGTH) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return model.task.sample(n, generator, torch.full((n,), length)).tokens


def sides(model: SortTransformer, length: int = LENGTH) -> tuple[Graph, Lists, Lists]:
    lists = [Lists.of(model, tokens(model, seed, length=length), length) for seed in (1, 2)]
    return Graph(model), lists[0], lists[1]


# -- slow literal code --------------------------------------------------------------------------


def literal(graph: Graph, lists: Lists, other: GraphRun, kept: set[CircuitEdge]) -> Tensor:
    """The definition, position by position and edge by edge: [batch, row, d_vocab_out]."""
    model, task = graph.model, graph.config.task
    norm, n_layers, length = graph.config.norm, graph.n_layers, lists.view.longest
    spots = range(lists.view.start, lists.view.stop)
    region = {p: task.region_of(p, length) for p in spots}
    mine: dict[tuple[str, int], Tensor] = {}  # what a sender writes at a position: [batch, d_model]
    donors: dict[tuple[str, int], Tensor] = {}
    names = [str(node) for node in graph.senders]
    flat = [(chunk, i) for chunk in other.chunks for i in range(chunk.shape[1])]
    for name, (chunk, i) in zip(names, flat, strict=True):
        for j, values in enumerate(chunk[:, i]):
            donors[name, lists.view.stop - len(chunk) + j] = values

    def read(receiver: str, port: str, position: int, row: int, layer: int, mid: bool) -> Tensor:
        """The receiver's own stream at a position, before its own LayerNorm."""

        def along(sender: str) -> Tensor:
            label = f"{sender}@{region[position]} > {receiver}{port}@{region[row]}"
            edge = parse_edge(label, n_layers)
            return (mine if edge in kept else donors)[sender, position]

        x = along("embed")
        for below in range(layer + mid):
            block = model.blocks[below]
            x = x + sum(along(f"{below}.{head}") for head in range(graph.n_heads)) + block.attn.b_O
            x = block.ln1(x[:, None])[:, 0] if norm == "post" else x
            if below < layer:
                x = x + along(f"mlp{below}")
                x = block.ln2(x[:, None])[:, 0] if norm == "post" else x
        return x

    def normed(module, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return module(x[:, None])[:, 0] if norm == "pre" else x

    for p in spots:
        mine["embed", p] = model.W_E[lists.tokens[:, p]] + model.pos_embed.W_pos[p]
    for layer, block in enumerate(model.blocks):
        rows = [p for p in spots if layer < n_layers - 1 or p >= task.first_output_row]
        attn = block.attn
        for head in range(graph.n_heads):
            name = f"{layer}.{head}"
            for row in rows:
                get = partial(read, name, row=row, layer=layer, mid=False)
                query = normed(block.ln1, get(".q", row)) @ attn.W_Q[head] + attn.b_Q[head]
                keys = [k for k in spots if k <= row]
                scores, values = [], []
                for k in keys:
                    key = normed(block.ln1, get(".k", k)) @ attn.W_K[head] + attn.b_K[head]
                    value = normed(block.ln1, get(".v", k)) @ attn.W_V[head] + attn.b_V[head]
                    scores.append((query * key).sum(-1) / math.sqrt(query.shape[-1]))
                    values.append(value)
                weights = torch.stack(scores, -1).softmax(-1)
                z = sum(weights[:, i, None] * value for i, value in enumerate(values))
                mine[name, row] = z @ attn.W_O[head]
        for row in rows:
            x = read(f"mlp{layer}", "", row, row, layer, mid=True)
            mine[f"mlp{layer}", row] = block.mlp(normed(block.ln2, x)[:, None])[:, 0]
    out = []
    for row in range(task.first_output_row, lists.view.stop):
        x = read("logits", "", row, row, n_layers, mid=False)
        x = model.ln_final(x[:, None])[:, 0] if norm == "pre" else x
        out.append(x @ model.W_U + model.b_U)
    return torch.stack(out, 1)


@pytest.mark.parametrize(("norm", "n_layers"), [*((n, 2) for n in NORMS), ("post", 3), ("pre", 1)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_any_set_of_edges_is_the_literal_definition(norm: str, n_layers: int, share: float) -> None:
    graph, lists, donors = sides(model_of(norm, n_layers), length=3)
    other = graph.run(donors)
    kept = (
        torch.rand(len(graph.edges), generator=torch.Generator().manual_seed(5)) < share
    ).float()
    found = graph.run(lists, kept, other).logits
    wanted = literal(graph, lists, other, set(graph.chosen(kept)))
    torch.testing.assert_close(found, wanted, **CLOSE)
    # Something was patched: far more than what the two may differ by.
    assert (found - graph.run(lists).logits).abs().max() > 1e-3


# -- plain hooks --------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("source", ["digits", "blanks"])
def test_one_edge_by_plain_hooks(norm: str, source: str) -> None:
    """``embed@source > 0.1.v@outputs`` on a HookedTransformer, its values made by hand."""
    model = model_of(norm)
    graph, lists, donors = sides(model)
    task, spans = model.task, {r.value: model.task.region(r, LENGTH) for r in REGIONS}
    # Blanks are the same token in every list, so give the donor's embeddings something of its own.
    noise = torch.randn(3, len(lists.regions), 16, generator=torch.Generator().manual_seed(3))
    embedded = torch.stack([model.embed(d.cut) + model.pos_embed.W_pos[d.view.start : d.view.stop]
                            for d in (donors,)])[0] + noise  # fmt: skip
    other = graph.run(donors, embedded=embedded)
    kept = torch.ones(len(graph.edges))
    kept[graph.index[parse_edge(f"embed@{source} > 0.1.v@outputs")]] = 0
    attn, block = model.blocks[0].attn, model.blocks[0]

    def values(v: Tensor, hook: object) -> Tensor:
        v = v.clone()
        here = spans[source]
        inner = embedded[:, here.start - lists.view.start : here.stop - lists.view.start]
        inner = block.ln1(inner) if norm == "pre" else inner
        v[:, here.start : here.stop, 1] = inner @ attn.W_V[1] + attn.b_V[1]
        return v

    held: dict[str, Tensor] = {}

    def keep_z(z: Tensor, hook: object) -> None:
        held["z"] = z

    names = ("blocks.0.attn.hook_v", "blocks.0.attn.hook_z")
    model.run_with_hooks(lists.tokens, fwd_hooks=[(names[0], values), (names[1], keep_z)])

    def rows(z: Tensor, hook: object) -> Tensor:
        z, here = z.clone(), spans["outputs"]
        z[:, here.start : here.stop, 1] = held["z"][:, here.start : here.stop, 1]
        return z

    logits = model.run_with_hooks(lists.tokens, fwd_hooks=[(names[1], rows)])
    wanted = logits[:, task.first_output_row : task.first_output_row + LENGTH]
    found = graph.run(lists, kept, other).logits
    torch.testing.assert_close(found, wanted, **CLOSE)
    # Rows of other regions read the values as they were.
    torch.testing.assert_close(found[:, 0], graph.run(lists).logits[:, 0], **CLOSE)
    assert (found - graph.run(lists).logits).abs().max() > 1e-3


# -- path patching ------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("sender", "receiver", "region"),
    [
        ("0.1", "1.0.k", "blanks"),
        ("mlp0", "1.1.v", "digits"),
        ("embed", "1.0.q", "outputs"),
        ("0.0", "mlp1", "outputs"),
        ("mlp0", "logits", "outputs"),
        ("embed", "0.1.k", "outputs"),
    ],
)
def test_an_edge_is_the_path_without_stops(
    norm: str, sender: str, receiver: str, region: str
) -> None:
    model = model_of(norm)
    graph, lists, donors = sides(model)
    kept = torch.ones(len(graph.edges))
    for edge, i in graph.index.items():
        name = f"{edge.receiver}.{edge.port}" if edge.port != "in" else str(edge.receiver)
        if (str(edge.sender), name, edge.source) == (sender, receiver, region):
            kept[i] = 0
    found = graph.run(lists, kept, graph.run(donors)).logits

    view = Window(model.task, LENGTH, model.task.first_output_row)
    base, donor = (record_run(model, side.tokens, view) for side in (lists, donors))
    where = next(model.task.region(r, LENGTH) for r in REGIONS if r == region)
    if sender == "embed":
        sends = Site(Component.RESID_PRE, 0, positions=where)
    elif sender.startswith("mlp"):
        sends = Site(Component.MLP_OUT, int(sender[3:]), positions=where)
    else:
        sends = Site(Component.Z, int(sender[0]), heads=(int(sender[2]),), positions=where)
    reads = []
    if receiver.startswith("mlp"):
        reads = [Site(Component.NEURONS, int(receiver[3:]), positions=where)]
    elif receiver != "logits":
        layer, head, port = receiver.split(".")
        reads = [Site(Component(port), int(layer), heads=(int(head),), positions=where)]
    wanted = path_patch(model, lists.tokens, base, donor, [sends], reads)
    torch.testing.assert_close(found, wanted, **CLOSE)


# -- nulls and invariants -----------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_all_edges_kept_is_the_model_and_all_patched_the_donors_run(
    norm: str, n_layers: int
) -> None:
    model = model_of(norm, n_layers)
    graph, lists, donors = sides(model)
    other, ones = graph.run(donors), torch.ones(len(graph.edges))
    plain = [forward(model, side.tokens, lists.view).logits for side in (lists, donors)]
    torch.testing.assert_close(graph.run(lists).logits, plain[0], **CLOSE)
    torch.testing.assert_close(graph.run(lists, ones, other).logits, plain[0], **CLOSE)
    patched = graph.run(lists, 0 * ones, other)
    assert torch.equal(patched.logits, other.logits)  # to the bit
    # Patching a list with itself changes nothing, whatever is kept.
    kept = (torch.rand(len(graph.edges)) < 0.5).float()
    itself = graph.run(lists, kept, graph.run(lists)).logits
    torch.testing.assert_close(itself, plain[0], **CLOSE)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**16), norm=st.sampled_from(NORMS))
def test_going_on_from_an_earlier_pass_gives_the_same(seed: int, norm: str) -> None:
    with torch.no_grad():
        graph, lists, donors = sides(model_of(norm))
        other, generator = graph.run(donors), torch.Generator().manual_seed(seed)
        kept = (torch.rand(len(graph.edges), generator=generator) < 0.6).float()
        before = graph.run(lists, kept, other)
        block = torch.randint(len(graph.edges), (3,), generator=generator).tolist()
        less = kept.clone()
        less[block] = 0
        again = graph.run(lists, less, other, before=before, first=graph.first_chunk(block))
        torch.testing.assert_close(again.logits, graph.run(lists, less, other).logits, **CLOSE)


def test_going_on_too_late_would_show() -> None:
    graph, lists, donors = sides(model_of("pre"))
    other, kept = graph.run(donors), torch.ones(len(graph.edges))
    before = graph.run(lists, kept, other)
    edge = graph.index[parse_edge("embed@digits > 0.1.v@outputs")]
    assert graph.first_chunk([edge]) == 1
    kept[edge] = 0
    late = graph.run(lists, kept, other, before=before, first=2).logits
    assert (late - graph.run(lists, kept, other).logits).abs().max() > 1e-3


@pytest.mark.parametrize("sight", ["outputs-not-blanks", "outputs-not-digits"])
def test_a_restricted_model(sight: str) -> None:
    from dataclasses import replace

    plain = model_of("pre")
    model = SortTransformer(replace(plain.config, sight=sight), seed=1)
    model.load_state_dict(plain.state_dict(), strict=False)
    graph, lists, donors = sides(model)
    other = graph.run(donors)
    assert torch.equal(graph.run(lists, torch.zeros(len(graph.edges)), other).logits, other.logits)
    logits = model(lists.tokens)[:, lists.view.rows]
    torch.testing.assert_close(graph.run(lists).logits, logits, **CLOSE)


def test_decoys_carry_exactly_nothing() -> None:
    """Patched, whatever decoy heads write leaves every logit as it is, to the bit."""
    sorter = compile_sorter("slots", SortTask(6, 8))
    graph, lists, donors = sides(sorter.model)
    kept = torch.ones(len(graph.edges))
    for edge, i in graph.index.items():
        decoy = (edge.sender.layer, edge.sender.head) in sorter.truth.decoy_heads
        if edge.sender.kind == "head" and decoy:
            kept[i] = 0
    patched = graph.run(lists, kept, graph.run(donors))
    assert torch.equal(patched.logits, graph.run(lists).logits)


def test_an_edge_that_the_model_has_not_is_said() -> None:
    graph = Graph(model_of("pre"))
    with pytest.raises(UserError, match=r"no edge embed@digits > 0.7.v@outputs"):
        graph.keep([parse_edge("embed@digits > 0.7.v@outputs")])
    one = parse_edge("embed@digits > 0.1.v@outputs")
    assert graph.chosen(graph.keep([one])) == [one]
