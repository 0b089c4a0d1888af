"""A forward pass in which every edge of the graph can carry something else: exact interventions.

    graph = Graph(model)                                # its edges: interp.edges
    clean, corrupt = (graph.run(Lists.of(model, t)) for t in (clean_tokens, corrupt_tokens))
    kept = graph.keep(edges)                            # 1 for each edge of the circuit, else 0
    run = graph.run(lists, kept, corrupt)               # all other edges carry the corrupted run
    run.logits                                          # [batch, row, d_vocab_out]

**Definition.** Let a receiver read, along each of its edges, either what the sender writes *in this
very pass* (edge kept) or what it wrote in another run (edge patched): interchange of single edges,
as in Conmy et al. 2023 and Hanna et al. 2024. So each receiver has a stream of its own,

    none, pre   x = e + h(0.0) + h(0.1) + ... + b_O + m(0) + ...            a sum of edges
    post        x = LN2(LN1(e + h(0.0) + h(0.1) + ... + b_O) + m(0))...     norms between

with e, h, m what embedding, heads and MLPs write, each along its own edge; biases of the output
matrices belong to no edge. In a pre-norm model the receiver's own LayerNorm (or the final one)
follows. In a post-norm model no path avoids the LayerNorms of the blocks, so these belong to every
edge that passes them, and are computed anew on each receiver's own sums: nothing is frozen and
nothing is linearised. Keys and values are made anew for every region of rows that read them, for
there an edge has a target as well.

With all edges kept this is the model; with all patched, every receiver reads the other run and the
logits are those of that run; the tests also hold single edges to literal hooks, in every norm.

Edges have *weights*, so that the same code gives gradients: see ``circuit_scores``.

Glossary: ``here`` positions of the window, ``row`` those that emit digits, ``sender`` as in
``senders_before``. What is written is kept in *chunks*: the embedding, the heads of layer 0, MLP 0,
the heads of layer 1, ... In chunks positions come first, for products of single positions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from interp.edges import (
    REGIONS,
    CircuitEdge,
    answer_regions,
    edges_of,
    logits_node,
    senders_before,
)
from interp.passes.activations import activate
from interp.passes.packed import (
    Window,
    allowed_attention,
    embed,
    mlp,
    norm_after,
    norm_before,
    unembed,
)
from interp.passes.untouched import refuse_touched
from interp.support.errors import UserError
from interp.transformer import Transformer

Chunk = Float[Tensor, "here sender batch d_model"]
_PORTS = ("q", "k", "v")


@dataclass(frozen=True)
class Lists:
    """Full sequences of lists of one length, and where the regions are in them."""

    tokens: Int[Tensor, "batch pos"]
    view: Window
    allowed: Bool[Tensor, "batch 1 here here"]
    regions: Int[Tensor, " here"]
    """An index into ``REGIONS`` for each position of the window."""

    @classmethod
    def of(cls, model: Transformer, tokens: Int[Tensor, "batch pos"], length: int) -> Lists:
        task = model.task
        view = Window(task, length, task.first_output_row)
        cut = tokens[:, view.start : view.stop]
        which = [
            REGIONS.index(task.region_of(position, length))
            for position in range(view.start, view.stop)
        ]
        regions = torch.tensor(which, device=tokens.device)
        return cls(tokens, view, allowed_attention(model, cut, view), regions)

    @property
    def cut(self) -> Int[Tensor, "batch here"]:
        return self.tokens[:, self.view.start : self.view.stop]

    @property
    def first_row(self) -> int:
        """The first row that emits a digit, counted from the window's start."""
        return self.view.first_row - self.view.start

    def span(self, region: int) -> tuple[int, int]:
        """Where a region starts and stops in the window."""
        found = (self.regions == region).nonzero()[:, 0]
        return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)


@dataclass(frozen=True)
class GraphRun:
    """What every sender wrote in a pass, and the logits."""

    chunks: tuple[Tensor, ...]
    """[here, sender, batch, d_model] each; those of the last layer hold its rows only."""
    logits: Float[Tensor, "batch row d_vocab_out"]


class Graph:
    """The edges of a model, with the tables that say which edge feeds what."""

    def __init__(self, model: Transformer) -> None:
        refuse_touched(model, "a circuit")
        self.model = model
        self.config = model.config
        self.edges = edges_of(model.config)
        self.index = {edge: i for i, edge in enumerate(self.edges)}
        self.n_layers, self.n_heads = self.config.n_layers, self.config.n_heads
        self.senders = {
            node: i
            for i, node in enumerate(senders_before(self.config, logits_node(self.n_layers)))
        }
        answers = answer_regions(self.config.task)
        self.rows = [i for i, region in enumerate(REGIONS) if region in answers]
        self._heads = [self._head_table(layer) for layer in range(self.n_layers)]
        self._inputs = {
            layer: self._input_table(layer, "mlp" if layer < self.n_layers else "logits")
            for layer in range(self.n_layers + 1)
        }

    def keep(self, edges: Iterable[CircuitEdge]) -> Float[Tensor, " edge"]:
        """1 for each of these edges, 0 for all others.

        Raises:
            UserError: for an edge that this model has not.
        """
        kept = torch.zeros(len(self.edges), device=self.model.W_U.device)
        for edge in edges:
            if edge not in self.index:
                raise UserError(f"this model has no edge {edge}")
            kept[self.index[edge]] = 1.0
        return kept

    def chosen(self, kept: Float[Tensor, " edge"]) -> list[CircuitEdge]:
        """The edges whose weight is not 0; the inverse of :meth:`keep`."""
        return [edge for edge, weight in zip(self.edges, kept.tolist(), strict=True) if weight]

    def first_chunk(self, edges: Collection[int]) -> int:
        """The first chunk that can change when edges do, by their indices."""
        return min((self._chunk_of(self.edges[i]) for i in edges), default=2 * self.n_layers + 1)

    def _chunk_of(self, edge: CircuitEdge) -> int:
        return 2 * edge.receiver.layer + {"head": 1, "mlp": 2}.get(edge.receiver.kind, 1)

    def _head_table(self, layer: int) -> Int[Tensor, "port head target sender source"]:
        """Which edge: the number of edges stands for none, where attention cannot go."""
        n_senders, n_regions = 1 + layer * (self.n_heads + 1), len(REGIONS)
        shape = (len(_PORTS), self.n_heads, n_regions, n_senders, n_regions)
        table = torch.full(shape, len(self.edges))
        for edge, i in self.index.items():
            if edge.receiver.kind == "head" and edge.receiver.layer == layer:
                at = _PORTS.index(edge.port), edge.receiver.head, REGIONS.index(edge.target)
                table[(*at, self.senders[edge.sender], REGIONS.index(edge.source))] = i
        return table

    def _input_table(self, layer: int, kind: str) -> Int[Tensor, "sender region"]:
        n_senders = 1 + layer * (self.n_heads + 1) + (self.n_heads if kind == "mlp" else 0)
        table = torch.full((n_senders, len(REGIONS)), len(self.edges))
        for edge, i in self.index.items():
            if edge.receiver.kind == kind and edge.receiver.layer == layer:
                table[self.senders[edge.sender], REGIONS.index(edge.source)] = i
        return table

    def run(
        self,
        lists: Lists,
        own: Float[Tensor, " edge"] | None = None,
        other: GraphRun | None = None,
        other_weights: Float[Tensor, " edge"] | None = None,
        *,
        before: GraphRun | None = None,
        first: int = 0,
        embedded: Float[Tensor, "batch here d_model"] | None = None,
    ) -> GraphRun:
        """One pass over ``lists``.

        Args:
            own: the weight of each edge for what is written in this pass; all 1 if not given.
            other: a run of as many lists of the same length, whose writing is added along each edge
                by ``other_weights``, which are 1 - ``own`` if not given.
            before: a pass whose chunks before ``first`` are taken over: from a pass on the same
                lists in which no edge differs that such a chunk depends on.
            embedded: in place of the lists' own embeddings.
        """
        refuse_touched(self.model, "a circuit")
        ones = torch.ones(len(self.edges), device=lists.tokens.device)
        own = ones if own is None else own
        weights = [own]
        if other is not None:
            weights.append(1 - own if other_weights is None else other_weights)
        return _Pass(self, lists, weights, other, before, first).run(embedded)


class _Pass:
    """One forward pass; what it wrote so far is in ``chunks``."""

    def __init__(
        self,
        graph: Graph,
        lists: Lists,
        weights: list[Tensor],
        other: GraphRun | None,
        before: GraphRun | None,
        first: int,
    ) -> None:
        self.graph, self.lists, self.other = graph, lists, other
        self.model, self.norm = graph.model, graph.config.norm
        # Where there is no edge, nothing is read: any weight will do, as long as sums stay finite.
        ends = [1.0, 0.0]
        self.weights = [
            torch.cat([w, w.new_tensor([end])]) for w, end in zip(weights, ends, strict=False)
        ]
        self.exact = not any(w.requires_grad for w in weights)
        self.chunks: list[Tensor] = [] if before is None else list(before.chunks[:first])

    def run(self, embedded: Tensor | None) -> GraphRun:
        if not self.chunks:
            e = embed(self.model, self.lists.cut, self.lists.view) if embedded is None else embedded
            self.chunks.append(e.transpose(0, 1)[:, None])
        for layer in range(self.graph.n_layers):
            if len(self.chunks) <= 2 * layer + 1:
                self.chunks.append(self._heads(layer))
            if len(self.chunks) <= 2 * layer + 2:
                x = self._input(layer, self._first(layer))
                block = self.model.blocks[layer]
                self.chunks.append(self._mlp(norm_before(x, block.ln2, self.norm), block.mlp))
        final = self._input(self.graph.n_layers, self.lists.first_row)
        return GraphRun(tuple(self.chunks), unembed(self.model, final[:, 0]).transpose(0, 1))

    def _first(self, layer: int) -> int:
        return self.lists.first_row if layer == self.graph.n_layers - 1 else 0

    def _mlp(self, x: Tensor, module: Any) -> Chunk:
        if self.exact:
            return mlp(x.flatten(0, 2)[None], module)[0].view_as(x)
        # The blocked product would also make the weights' gradients, which nobody wants here.
        hidden = activate(F.linear(x, module.W_in.T.detach(), module.b_in.detach()), module)
        return F.linear(hidden, module.W_out.T.detach(), module.b_out.detach())

    # -- what receivers read ----------------------------------------------------------------------

    def _input(self, layer: int, first: int) -> Chunk:
        """The stream that an MLP or the logits read, from position ``first`` on."""
        table = self.graph._inputs[layer][None]
        n_chunks = 2 * layer + (2 if layer < self.graph.n_layers else 1)
        return self._streams([w[table] for w in self.weights], n_chunks, first)

    def _streams(
        self, weights: Sequence[Float[Tensor, "receiver sender region"]], n_chunks: int, first: int
    ) -> Float[Tensor, "here receiver batch d_model"]:
        """Each receiver's own residual stream, after ``n_chunks``, from position ``first`` on."""
        regions = self.lists.regions[first:]
        # [here, receiver, sender], for the product at each position
        at = [w[..., regions].permute(2, 0, 1) for w in weights]
        n_here, n_receivers = at[0].shape[:2]
        x, start = at[0].new_zeros(()), 0
        for number in range(n_chunks):
            stop = start + self.chunks[number].shape[1]
            for w, chunks in zip(at, self._sources(), strict=True):
                chunk, part = chunks[number][-n_here:], w[..., start:stop].contiguous()
                if self.exact and x.ndim and not part.any():
                    continue  # nobody reads this chunk of this run
                read = part @ chunk.flatten(2)
                x = x + read.view(n_here, n_receivers, *chunk.shape[2:])
            x, start = self._after(x, number), stop
        return x

    def _sources(self) -> list[Sequence[Tensor]]:
        return [self.chunks] if self.other is None else [self.chunks, self.other.chunks]

    def _after(self, x: Tensor, number: int) -> Tensor:
        """What follows when a chunk has been added: the heads' bias, and a post-norm LayerNorm."""
        if number == 0:
            return x
        block = self.model.blocks[(number - 1) // 2]
        if number % 2:
            return norm_after(x + block.attn.b_O.detach(), block.ln1, self.norm)
        return norm_after(x, block.ln2, self.norm)

    # -- heads ----------------------------------------------------------------------------------

    def _heads(self, layer: int) -> Chunk:
        """What the heads of a layer write, at its rows."""
        first, table = self._first(layer), self.graph._heads[layer]
        block, n_chunks = self.model.blocks[layer], 2 * layer + 1
        # A row's query is read in its own region: [head, sender, region].
        own = table[0].diagonal(dim1=1, dim2=3)
        queries, which_q = self._normed([w[own] for w in self.weights], n_chunks, first, block)
        targets = [t for t in range(len(REGIONS)) if self._has(t, first)]
        both = table[1:, :, targets].flatten(0, 2)  # [port * head * target, sender, source]
        read, which = self._normed([w[both] for w in self.weights], n_chunks, 0, block)
        which = which.view(2, self.graph.n_heads, len(targets))
        heads = []
        for head in range(self.graph.n_heads):
            rows = [
                self._rows(block.attn, head, target, first, queries[:, which_q[head]],
                           read[:, which[0, head, i]], read[:, which[1, head, i]])
                for i, target in enumerate(targets)
            ]  # fmt: skip
            heads.append(torch.cat(rows))
        return torch.stack(heads, 1)

    def _has(self, target: int, first: int) -> bool:
        start, stop = self.lists.span(target)
        return stop > start >= first

    def _normed(
        self, weights: list[Tensor], n_chunks: int, first: int, block: Any
    ) -> tuple[Tensor, Tensor]:
        """What heads read, normalised: the streams that differ, and which of them is whose."""
        index = torch.arange(len(weights[0]), device=weights[0].device)
        if self.exact:  # most receivers have the same edges kept as others
            joint = torch.cat([w.flatten(1) for w in weights], 1)
            _, index = joint.unique(dim=0, return_inverse=True)
            firsts = [int((index == i).nonzero()[0, 0]) for i in range(int(index.max()) + 1)]
            weights = [w[firsts] for w in weights]
        return norm_before(self._streams(weights, n_chunks, first), block.ln1, self.norm), index

    def _rows(
        self, attn: Any, head: int, target: int, first: int, q: Tensor, k: Tensor, v: Tensor
    ) -> Float[Tensor, "here batch d_model"]:
        """What a head writes at the rows of a region."""
        start, stop = self.lists.span(target)
        q = q[start - first : stop - first] @ attn.W_Q[head].detach() + attn.b_Q[head].detach()
        k = k[:stop] @ attn.W_K[head].detach() + attn.b_K[head].detach()
        v = v[:stop] @ attn.W_V[head].detach() + attn.b_V[head].detach()
        scores = q.transpose(0, 1) @ k.permute(1, 2, 0) / math.sqrt(q.shape[-1])
        shut = ~self.lists.allowed[:, 0, start:stop, :stop]
        pattern = scores.masked_fill(shut, -torch.inf).softmax(-1)
        z = pattern @ v.transpose(0, 1)  # [batch, row, d_head]
        return (z @ attn.W_O[head].detach()).transpose(0, 1)
