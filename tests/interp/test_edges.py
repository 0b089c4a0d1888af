"""The edges of a model: which there are, and how they are written."""

from __future__ import annotations

import pytest

from interp.config import ModelConfig
from interp.edges import (
    CircuitEdge,
    edges_of,
    head_node,
    mlp_node,
    parse_edge,
    senders_before,
)
from interp.support.errors import UserError
from interp.task import Region, SortTask

SMALL = SortTask(6, 4)


def config(task: SortTask = SMALL, n_layers: int = 2, **more: str) -> ModelConfig:
    return ModelConfig(
        task=task, n_layers=n_layers, d_model=8, n_heads=2, d_head=4, d_mlp=8, **more
    )


def written(config: ModelConfig) -> set[str]:
    return {str(edge) for edge in edges_of(config)}


def test_every_edge_of_a_small_model_by_hand() -> None:
    """One layer, one head, no blanks: the first output is emitted at SEP."""
    small = ModelConfig(task=SortTask(3, 0), n_layers=1, d_model=8, n_heads=1, d_head=4, d_mlp=8)
    seen = {"sep": ("digits", "sep"), "outputs": ("digits", "sep", "outputs")}
    wanted = set()
    for row, sources in seen.items():
        wanted |= {f"embed@{row} > 0.0.q@{row}", f"embed@{row} > mlp0@{row}"}
        wanted |= {f"embed@{source} > 0.0.{p}@{row}" for p in "kv" for source in sources}
        wanted |= {f"0.0@{row} > mlp0@{row}"}
        wanted |= {f"{sender}@{row} > logits@{row}" for sender in ("embed", "0.0", "mlp0")}
    assert written(small) == wanted


def test_the_last_layer_has_no_rows_but_those_that_emit_digits() -> None:
    edges = edges_of(config())
    assert {e.target for e in edges if e.receiver.layer >= 1} == {
        Region.LAST_BLANK,
        Region.OUTPUTS,
    }
    assert {e.target for e in edges if e.receiver.layer == 0} == {
        *Region
    } - {Region.PAD}  # fmt: skip


def test_nobody_reads_what_comes_later() -> None:
    order = [region for region in Region if region is not Region.PAD]
    for edge in edges_of(config()):
        assert order.index(edge.source) <= order.index(edge.target)
        assert (edge.source == edge.target) or edge.port in ("k", "v")
        assert edge.sender in senders_before(config(), edge.receiver)


def test_a_restricted_model_has_no_edges_where_it_may_not_look() -> None:
    closed = config(sight="outputs-not-digits")
    gone = written(config()) - written(closed)
    assert gone == {
        e
        for e in written(config())
        if ".k@" in e or ".v@" in e
        if e.split("@")[1].split(" >")[0] in ("digits", "sep")
        if e.rsplit("@", 1)[1] in ("last blank", "outputs")
    }
    # The last blank always sees itself, and no other blank.
    alone = written(config(sight="outputs-not-blanks"))
    assert "embed@last blank > 0.0.k@last blank" in alone
    assert "embed@blanks > 0.0.k@last blank" not in alone


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_edges_are_read_as_they_are_written(n_layers: int) -> None:
    edges = edges_of(config(n_layers=n_layers))
    assert len(set(edges)) == len(edges)
    assert [parse_edge(str(edge), n_layers) for edge in edges] == list(edges)


def test_one_edge_in_full() -> None:
    edge = CircuitEdge(head_node(1, 0), "v", Region.OUTPUTS, mlp_node(0), Region.LAST_BLANK)
    assert str(edge) == "mlp0@last blank > 1.0.v@outputs"


@pytest.mark.parametrize(
    "text", ["", "embed > logits", "embed@moon > mlp0@moon", "0.1 > 1.2.q@sep"]
)
def test_what_is_no_edge_is_said(text: str) -> None:
    with pytest.raises(UserError, match="is no edge; one is written like"):
        parse_edge(text)
