"""The circuit of sorters whose circuit is known, and what must hold of any set that is found."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from interp.edges import parse_edge
from interp.methods.circuit_judge import edge_effects, judge, knockouts, random_sets
from interp.methods.circuit_run import Graph, Lists
from interp.methods.circuit_scores import (
    STEPS,
    Group,
    attribute,
    sample_groups,
    typical_lengths,
)
from interp.methods.circuit_search import circuit_runs, part_errors, search
from interp.model import SortTransformer
from interp.passes.packed import embed
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS, truth_of
from interp.task import SortTask
from tests.covers import few
from tests.models import small_model

SMALL = SortTask(6, 7)


def found(model: SortTransformer, scores: Tensor | None = None) -> list[str]:
    """The circuit to the letter, as the analysis searches for it."""
    graph = Graph(model)
    groups = sample_groups(graph, 24, 0)
    if scores is None:
        scores = attribute(graph, groups[:2], "EAP-IG", 3)
    (level,) = search(graph, groups, scores, [0.99])
    return sorted(map(str, level.edges))


def true(name: str, task: SortTask) -> list[str]:
    return sorted(map(str, truth_of(name, task).circuit))


# -- what is known to be true -------------------------------------------------------------------


@pytest.mark.parametrize("name", few(SORTERS, "slots", "successor"))
def test_exactly_the_compiled_circuit(name: str, unchecked: None) -> None:
    assert found(compile_sorter(name, SMALL).model) == true(name, SMALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task"),
    few(
        [
            ("slots", SortTask(6, 6)),  # the last blank holds a sorted digit as well
            ("slots", SortTask(5, 12)),
            ("histogram", SortTask(4, 1)),  # nothing but the last blank
            ("direct", SortTask(6, 0)),  # the first output is emitted at SEP
            ("successor", SortTask(5, 0)),
            ("sink", SortTask(4, 2)),
        ],
        ("histogram", SortTask(4, 1)),
        ("direct", SortTask(6, 0)),
    ),
)
def test_exactly_the_compiled_circuit_of_other_tasks(
    name: str, task: SortTask, unchecked: None
) -> None:
    assert found(compile_sorter(name, task).model) == true(name, task)


@pytest.mark.slow
def test_the_order_of_trying_does_not_matter_where_the_circuit_is_one(unchecked: None) -> None:
    """Attribution only says where to begin: the exact checks decide."""
    model = compile_sorter("successor", SMALL).model
    n_edges = len(Graph(model).edges)
    noise = torch.randn(2, n_edges, generator=torch.Generator().manual_seed(3))
    assert found(model, noise) == true("successor", SMALL)


@torch.no_grad()
def test_a_head_that_is_split_in_two_is_found_twice(unchecked: None) -> None:
    """A sorter of another make: two heads write half each of what one wrote, a decoy less."""
    model = compile_sorter("direct", SMALL).model
    attn = model.blocks[0].attn
    for name in ("W_Q", "b_Q", "W_K", "b_K", "W_V", "b_V", "W_O"):
        getattr(attn, name)[2] = getattr(attn, name)[0]
    attn.W_O[[0, 2]] /= 2
    one = [edge for edge in true("direct", SMALL) if "0.0" in edge]
    twin = [edge.replace("0.0", "0.2") for edge in one]
    assert found(model) == sorted([*true("direct", SMALL), *twin])


@torch.no_grad()
def test_a_decoy_that_writes_is_no_decoy(unchecked: None) -> None:
    """The head of ``direct`` that looks at its own blank is given something to write."""
    model = compile_sorter("direct", SMALL).model
    # It reads the copy of sorted[i] there (its first values), and adds it to the answer.
    attn, answer = model.blocks[1].attn, model.W_U[:, :10].T
    attn.W_O[2, :10] = answer / answer.norm(dim=1, keepdim=True)
    circuit = found(model)
    # Blanks count for it as well, in the same head.
    assert {"1.2@outputs > logits@outputs", "mlp0@blanks > 1.2.v@outputs"} <= set(circuit)
    assert {"embed@digits > 0.0.v@blanks", "0.0@blanks > mlp0@blanks"} <= set(circuit)
    assert len(circuit) == len(true("direct", SMALL)) + 6


# -- what must be -------------------------------------------------------------------------------


@cache
def ordinary(n_layers: int = 2) -> tuple[Graph, list[Group], Tensor]:
    """A random model that says something of its own of every list, its lists and scores."""
    model = small_model("post", n_layers, task=SortTask(3, 1), seed=3)
    with torch.no_grad():  # as they are made, what heads write is small beside biases
        for name, parameter in model.named_parameters():
            kind = name.rsplit(".", 1)[-1]
            if kind in ("W_V", "W_O", "W_in", "W_out"):
                parameter.mul_(3)
            elif kind.startswith("b"):
                parameter.zero_()
    graph = Graph(model)
    groups = sample_groups(graph, 12, 0)
    assert all(sum(int(g.parts[part].sum()) for g in groups) > 2 for part in range(2))
    return graph, groups, attribute(graph, groups, "EAP-IG", 2)


def test_levels_hold_what_they_promise(unchecked: None) -> None:
    graph, groups, scores = ordinary(1)
    levels = search(graph, groups, scores, [0.95, 0.8], minimal=[0.8])
    assert len(graph.edges) > len(levels[0].edges) > len(levels[1].edges) > 0
    assert set(levels[1].edges) < set(levels[0].edges)
    for level in levels:
        error = part_errors(groups, circuit_runs(graph, groups, graph.keep(level.edges))).max()
        assert float(error) <= 1 - level.keep
        torch.testing.assert_close(float(error), level.error, atol=1e-5, rtol=0)
    for edge in levels[1].edges:  # minimal: without any one of them the bound is broken
        without = graph.keep(set(levels[1].edges) - {edge})
        assert float(part_errors(groups, circuit_runs(graph, groups, without)).max()) > 0.2


def test_errors_against_plain_arithmetic() -> None:
    graph, groups, _ = ordinary()
    kept = (torch.rand(len(graph.edges), generator=torch.Generator().manual_seed(1)) < 0.8).float()
    off, gap = [0.0, 0.0], [0.0, 0.0]
    for group, run in zip(groups, circuit_runs(graph, groups, kept), strict=True):
        for i, row in group.telling.nonzero().tolist():
            answer = int(group.clean.logits[i, row].argmax())

            def margin(logits: Tensor, at: int = answer, i: int = i, row: int = row) -> float:
                others = [float(x) for j, x in enumerate(logits[i, row]) if j != at]
                return float(logits[i, row, at]) - max(others)

            whole, none = margin(group.clean.logits), margin(group.corrupt.logits)
            assert whole > 0 > none
            off[row > 0] += abs(margin(run.logits) - whole)
            gap[row > 0] += whole - none
    wanted = torch.tensor([a / b for a, b in zip(off, gap, strict=True)])
    found = part_errors(groups, circuit_runs(graph, groups, kept))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("method", "alphas"), [("EAP", [1.0]), ("EAP-IG", [0.25, 0.75])])
def test_attribution_is_the_slope_of_the_margin(method: str, alphas: list[float]) -> None:
    """Against small steps along single edges, with embeddings on the line from donor to list."""
    graph, groups, _ = ordinary()
    group = groups[-1]
    scores = attribute(graph, [group], method, 2)
    names = ["embed@digits > 0.1.v@outputs", "0.0@outputs > mlp0@outputs",
             "mlp0@digits > 1.0.k@outputs", "mlp1@outputs > logits@outputs"]  # fmt: skip
    own, donor = (embed(graph.model, s.cut, s.view) for s in (group.lists, group.donors))
    change = type(group.clean)(
        tuple(a - b for a, b in zip(group.corrupt.chunks, group.clean.chunks, strict=True)),
        group.corrupt.logits,
    )
    rows = group.parts[1]
    for name in names:
        i, slopes = graph.index[parse_edge(name)], []
        for alpha in alphas:
            means = []
            for step in (-1e-3, 1e-3):
                weights = torch.zeros(len(graph.edges))
                weights[i] = step
                with torch.no_grad():
                    run = graph.run(group.lists, other=change, other_weights=weights,
                                    embedded=torch.lerp(donor, own, alpha))  # fmt: skip
                means.append(float(group.margin(run)[rows].mean()))
            slopes.append((means[1] - means[0]) / 2e-3)
        wanted = sum(slopes) / len(slopes)
        assert abs(wanted) > 1e-4
        assert float(scores[1, i]) == pytest.approx(wanted, rel=0.02, abs=5e-4)
    assert STEPS > 1


def test_everything_kept_is_all_and_nothing_is_nothing() -> None:
    graph, groups, _ = ordinary()
    whole, none = (judge(graph, groups, torch.full((len(graph.edges),), w), 0) for w in (1.0, 0.0))
    for part in range(2):
        for judged, share in ((whole, 1.0), (none, 0.0)):
            estimate = judged.faithfulness(part)
            assert estimate is not None
            assert estimate.value == pytest.approx(share, abs=1e-5)
            assert estimate.n == int((~judged.shares[:, part].isnan()).sum())
    assert whole.lists_kept.value == 1 and whole.outputs_kept.value == 1  # type: ignore[union-attr]
    assert none.outputs_kept.value == 0  # type: ignore[union-attr]
    assert whole.real.sum() == sum(g.answers.numel() for g in groups)


def test_an_edge_brings_what_is_lost_without_it() -> None:
    graph, groups, _ = ordinary()
    edges = graph.edges[::3]
    effects = edge_effects(graph, groups, edges[:4])
    kept = judge(graph, groups, graph.keep(edges[:4]), 0)
    for i, edge in enumerate(edges[:4]):
        left = judge(graph, groups, graph.keep(set(edges[:4]) - {edge}), 0)
        torch.testing.assert_close(
            effects[i], kept.shares - left.shares, equal_nan=True, atol=1e-5, rtol=0
        )


def test_a_circuit_of_everything_is_complete() -> None:
    graph, groups, _ = ordinary()
    both = knockouts(graph, groups, graph.edges, draws=2, seed=0)
    torch.testing.assert_close(both[:, 0], both[:, 1])
    assert not torch.equal(both[0], both[1])


def test_random_sets_have_the_size_asked_for() -> None:
    graph, _, _ = ordinary()
    sets = random_sets(graph, 17, 3, 0)
    assert [int(kept.sum()) for kept in sets] == [17] * 3
    assert len({tuple(kept.tolist()) for kept in sets}) == 3


# -- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_len", "lengths"), [(48, (6, 12, 24, 48)), (8, (1, 2, 4, 8)), (1, (1,)), (3, (1, 2, 3))]
)
def test_typical_lengths(max_len: int, lengths: tuple[int, ...]) -> None:
    assert typical_lengths(SortTask(max_len, 1)) == lengths


def test_lists_and_donors_are_others_and_each_seed_and_purpose_has_its_own() -> None:
    graph, groups, _ = ordinary()
    again = sample_groups(graph, 12, 0)
    other = [sample_groups(graph, 12, 1)[-1], sample_groups(graph, 12, 0, "judged")[-1]]
    assert sum(len(g.answers) for g in groups) == 12
    assert all(
        torch.equal(a.lists.tokens, b.lists.tokens) for a, b in zip(groups, again, strict=True)
    )
    for group in other:
        assert not torch.equal(group.lists.tokens, groups[-1].lists.tokens)
    assert not torch.equal(groups[-1].lists.tokens, groups[-1].donors.tokens)


def test_a_model_that_says_the_same_of_all_lists_has_no_circuit() -> None:
    model = small_model("none", task=SortTask(3, 1))
    with torch.no_grad():
        model.unembed.W_U.zero_()
    graph = Graph(model)
    groups = sample_groups(graph, 6, 0)
    assert not any(group.telling.any() for group in groups)
    (level,) = search(graph, groups, attribute(graph, groups, "EAP"), [0.99])
    assert level.edges == () and level.error == 0
    judged = judge(graph, groups, graph.keep(()), 0)
    assert judged.faithfulness(0) is None and judged.outputs_kept is None
    assert judged.lists_kept.value == 1


def test_regions_of_lists_in_their_window() -> None:
    model = small_model(task=SortTask(4, 2))
    lists = Lists.of(model, model.task.encode([[3, 1, 2]]).tokens, 3)
    assert lists.regions.tolist() == [0, 0, 0, 1, 2, 3, 4, 4]
    assert lists.span(4) == (6, 8) and lists.first_row == 5
    one = Lists.of(model, model.task.encode([[3]]).tokens, 1)
    assert one.span(4) == (0, 0)  # a single output is emitted by the last blank
