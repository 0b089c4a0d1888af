"""Interchange interventions at the row that answers: one part of a run from another run.

    pool = record(model, prompts)                       # once; then any two prompts can be paired
    base, source = pool.pick(i), pool.pick(j)
    exchanged(model, base, source, [Part(Site(Component.Z, 0, heads=(4,)))])    # logits [pair, 12]

A prompt (a list and outputs so far, :mod:`interp.programs.prompts`) is answered by one row. What
the row computes is a stream, heads and MLPs of its own, reading keys and values of the positions
before it. A :class:`Part` of the *base* is replaced by what it is in the *source* (Geiger et al.
2021), and what follows in the row is computed anew: exactly the model, for one row instead of all.
Base and source rows may stand at different positions.

A part may also lie ``where`` the row reads from, in the last layer but one or in the stream after
it: at the digits of the list, the blanks, or the outputs before the row. That is exact as well,
because only the last layer reads it there, and of the last layer only the row is read. Earlier
layers of deeper models are not offered. What the row itself *reads* there, the keys and values of
one head, can be exchanged in any layer: other rows go on reading their own. Lists of a pair must
then be of one length, and where the numbers of outputs differ, the places that both have are
exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from interp.passes.activations import neurons
from interp.passes.forward import Place, forward, project
from interp.passes.packed import allowed_attention, mlp, norm_after, norm_before, unembed
from interp.passes.untouched import refuse_touched
from interp.programs.prompts import Prompts, PromptWindow
from interp.sites import Component, Site
from interp.support.errors import UserError
from interp.task import Region, SortTask
from interp.transformer import Transformer

Where = Literal["row", "digits", "blanks", "outputs"]
"""``row``: where the answer is made. Others: what it reads, ``digits`` with SEP, ``blanks`` but the
last (an output row itself), ``outputs`` before the row, the first output row included."""

_AT_ROW = (
    Component.RESID_PRE, Component.Q, Component.Z, Component.ATTN_OUT, Component.RESID_MID,
    Component.NEURONS, Component.MLP_OUT, Component.RESID_POST,
)  # fmt: skip
_BEFORE_LAST = (Component.RESID_PRE, Component.Z, Component.ATTN_OUT, Component.RESID_MID)
READ = Component.V
"""The component of a part that is what one head of the row reads elsewhere: keys and values."""
_PROMPTS_AT_ONCE = 48
_WHAT = "an interchange intervention"
Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Part:
    """A site, at the row that answers or where that row reads from."""

    site: Site
    where: Where = "row"

    @property
    def adds(self) -> bool:
        """Whether it is what a head or an MLP adds, and not a stream or a query."""
        one_head = self.site.component is Component.Z and self.site.heads is not None
        return one_head or self.site.component is Component.MLP_OUT

    @property
    def read(self) -> bool:
        """Whether it is what one head of the row reads elsewhere."""
        return self.site.component is READ

    @property
    def words(self) -> str:
        """``head 0.4``, ``MLP 1``, ``stream before layer 1 at the blanks``, ``what head 0.4 reads
        at the digits``"""
        layer, heads = self.site.layer, self.site.heads
        if heads is not None and self.read:
            name = f"what head {layer}.{heads[0]} reads"
        elif heads is not None:
            name = f"head {layer}.{heads[0]}"
            name = name if self.site.component is Component.Z else f"query {layer}.{heads[0]}"
        else:
            name = _PART_WORDS[self.site.component].format(layer)
        return name if self.where == "row" else f"{name} at the {self.where}"


_PART_WORDS = {
    Component.RESID_PRE: "stream before layer {}",
    Component.ATTN_OUT: "attention {}",
    Component.RESID_MID: "stream inside layer {}",
    Component.MLP_OUT: "MLP {}",
    Component.NEURONS: "neurons {}",
    Component.RESID_POST: "stream after layer {}",
}


@dataclass(frozen=True)
class Rows:
    """What the model holds for each prompt: at its row, and what the row reads."""

    task: SortTask
    rows: Int[Tensor, " prompt"]
    lengths: Int[Tensor, " prompt"]
    allowed: Bool[Tensor, "prompt pos"]
    """The positions that the row may attend to, itself included."""
    at: Mapping[Place, Tensor]
    """At the row: [prompt, ...], the axes of ``Component`` without positions."""
    keys: tuple[Float[Tensor, "prompt pos head d_head"], ...]
    """Layer by layer."""
    values: tuple[Float[Tensor, "prompt pos head d_head"], ...]
    before_last: Mapping[Component, Tensor]
    """Of the last layer but one, at every position: what parts elsewhere than the row need."""
    logits: Float[Tensor, "prompt d_vocab_out"]

    def __len__(self) -> int:
        return len(self.rows)

    def pick(self, index: Int[Tensor, " some"]) -> Rows:
        """Some of the prompts."""
        return Rows(
            self.task,
            self.rows[index],
            self.lengths[index],
            self.allowed[index],
            {place: value[index] for place, value in self.at.items()},
            tuple(keys[index] for keys in self.keys),
            tuple(values[index] for values in self.values),
            {component: value[index] for component, value in self.before_last.items()},
            self.logits[index],
        )


@torch.no_grad()
def record(model: Transformer, prompts: Prompts) -> Rows:
    """Run the model on every prompt.

    Raises:
        UserError: if something acts on the model: :func:`rerun` would not know.
    """
    refuse_touched(model, _WHAT)
    index = torch.arange(len(prompts)).split(_PROMPTS_AT_ONCE)
    return _joined([_record(model, prompts.take(some)) for some in index])


def _joined(parts: Sequence[Rows]) -> Rows:
    first = parts[0]
    layers = range(len(first.keys))
    return Rows(
        first.task,
        torch.cat([part.rows for part in parts]),
        torch.cat([part.lengths for part in parts]),
        torch.cat([part.allowed for part in parts]),
        {place: torch.cat([part.at[place] for part in parts]) for place in first.at},
        tuple(torch.cat([part.keys[n] for part in parts]) for n in layers),
        tuple(torch.cat([part.values[n] for part in parts]) for n in layers),
        {c: torch.cat([part.before_last[c] for part in parts]) for c in first.before_last},
        torch.cat([part.logits for part in parts]),
    )


def _record(model: Transformer, prompts: Prompts) -> Rows:
    task, n_layers = model.task, model.cfg.n_layers
    view = PromptWindow(task, task.max_len, task.first_output_row, task.n_ctx - 2)
    tokens, rows = prompts.tokens(task).to(model.W_U.device), prompts.rows(task)
    places = [(c, n) for n in range(n_layers) for c in (*_AT_ROW, Component.K, Component.V)]
    run, number = forward(model, tokens, view, keep=places), torch.arange(len(prompts))

    def at_row(component: Component, layer: int) -> Tensor:
        own = rows - run.frame(component, layer).position
        return run.at(component, layer)[number, own].clone()

    allowed = allowed_attention(model, tokens[:, : view.stop], view)[number, 0, rows]
    before = {} if n_layers < 2 else {c: run.at(c, n_layers - 2).clone() for c in _BEFORE_LAST}
    return Rows(
        task,
        rows,
        torch.tensor([len(values) for values in prompts.lists]),
        allowed,
        {(c, n): at_row(c, n) for n in range(n_layers) for c in _AT_ROW},
        tuple(run.at(Component.K, n).clone() for n in range(n_layers)),
        tuple(run.at(Component.V, n).clone() for n in range(n_layers)),
        before,
        run.logits[number, rows - view.first_row].clone(),
    )


# -- the row, computed anew ---------------------------------------------------------------------


def rerun(
    model: Transformer, base: Rows, changes: Mapping[Place, Sequence[Change]]
) -> Float[Tensor, "prompt d_vocab_out"]:
    """The row's logits when what it holds at some places is changed; equal to the whole model's.

    Raises:
        UserError: if something acts on the model.
    """
    refuse_touched(model, _WHAT)
    first = min((layer for _, layer in changes), default=model.cfg.n_layers - 1)
    norm, x = model.config.norm, base.at[Component.RESID_PRE, first]

    def done(component: Component, layer: int, value: Tensor) -> Tensor:
        for change in changes.get((component, layer), ()):
            value = change(value)
        return value

    for layer in range(first, model.cfg.n_layers):
        block = model.blocks[layer]
        x = done(Component.RESID_PRE, layer, x)
        y = norm_before(x, block.ln1, norm)
        z = done(Component.Z, layer, _gather(block.attn, base, layer, y, done))
        added = F.linear(z.flatten(1), block.attn.W_O.flatten(0, 1).T, block.attn.b_O)
        x = norm_after(x + done(Component.ATTN_OUT, layer, added), block.ln1, norm)
        x = done(Component.RESID_MID, layer, x)
        y = norm_before(x, block.ln2, norm)
        hidden = done(Component.NEURONS, layer, neurons(y, block.mlp))
        added = F.linear(hidden, block.mlp.W_out.T, block.mlp.b_out)
        x = norm_after(x + done(Component.MLP_OUT, layer, added), block.ln2, norm)
        x = done(Component.RESID_POST, layer, x)
    return unembed(model, x)


@torch.no_grad()
def recomputed(model: Transformer, rows: Rows) -> Rows:
    """The same rows after what they read has been changed: what they hold, and their logits.

    Raises:
        UserError: if something acts on the model.
    """
    held: dict[Place, Tensor] = {}

    def kept(place: Place) -> Change:
        def change(value: Tensor) -> Tensor:
            held[place] = value
            return value

        return change

    places = [(component, n) for n in range(model.cfg.n_layers) for component in _AT_ROW]
    logits = rerun(model, rows, {place: [kept(place)] for place in places})
    return replace(rows, at=held, logits=logits)


def _gather(
    attn: Any, base: Rows, layer: int, y: Tensor, done: Callable[[Component, int, Tensor], Tensor]
) -> Float[Tensor, "prompt head d_head"]:
    """What each head gathers: the row's own key and value are computed anew, others read."""
    q, k, v = (
        project(y[:, None], weight, bias)[:, 0]
        for weight, bias in ((attn.W_Q, attn.b_Q), (attn.W_K, attn.b_K), (attn.W_V, attn.b_V))
    )
    q = done(Component.Q, layer, q) / q.shape[-1] ** 0.5
    number, rows = torch.arange(len(base)), base.rows
    scores = torch.einsum("nhd,nshd->nsh", q, base.keys[layer])
    scores = scores.index_put((number, rows), (q * k).sum(-1))
    scores = scores.masked_fill(~base.allowed[..., None], -torch.inf)
    pattern = scores.softmax(1)
    own = (v - base.values[layer][number, rows]) * pattern[number, rows][..., None]
    return torch.einsum("nsh,nshd->nhd", pattern, base.values[layer]) + own


@torch.no_grad()
def exchanged(
    model: Transformer, base: Rows, source: Rows, parts: Sequence[Part]
) -> Float[Tensor, "pair d_vocab_out"]:
    """The base row's logits with all of ``parts`` as they are in the source, pair by pair.

    Raises:
        UserError: for a part that this model does not have.
    """
    changes: dict[Place, list[Change]] = {}
    for part in parts:
        part.site.check(model.config)
        if part.where == "row":
            place = (part.site.component, part.site.layer)
            changes.setdefault(place, []).append(_from(source.at[place], part.site.heads))
        else:
            base = _with_elsewhere(model, base, source, part)
        if part.read:  # the row is to be computed anew from the layer that reads
            changes.setdefault((Component.Z, part.site.layer), [])
    return rerun(model, base, changes)


def _from(value: Tensor, heads: tuple[int, ...] | None) -> Change:
    def change(current: Tensor) -> Tensor:
        if heads is None:
            return value
        changed = current.clone()
        changed[:, list(heads)] = value[:, list(heads)]
        return changed

    return change


def _with_elsewhere(model: Transformer, base: Rows, source: Rows, part: Part) -> Rows:
    """``base`` with the last layer's keys and values as they are after an exchange elsewhere."""
    last, site = model.cfg.n_layers - 1, part.site
    here, layer, heads = _shared(base, source, part.where), last, list(range(model.cfg.n_heads))
    if part.read:
        layer, heads = site.layer, list(site.heads or heads)
        keys, values = source.keys[layer], source.values[layer]
    elif site.component is Component.RESID_PRE and site.layer == last and last > 0:
        keys, values = source.keys[last], source.values[last]
    elif site.component in (Component.Z, Component.MLP_OUT) and site.layer == last - 1:
        keys, values = _last_keys(model, base, source, site, here)
    else:
        raise UserError(f"the {part.words} is not offered: only what the last layer reads is")
    chosen = here[..., None, None] & _are(heads, model.cfg.n_heads)[:, None]
    return replace(
        base,
        keys=_put(base.keys, layer, torch.where(chosen, keys, base.keys[layer])),
        values=_put(base.values, layer, torch.where(chosen, values, base.values[layer])),
    )


def _are(heads: Sequence[int], n_heads: int) -> Bool[Tensor, " head"]:
    return torch.tensor([head in heads for head in range(n_heads)])


def _put(layers: tuple[Tensor, ...], layer: int, value: Tensor) -> tuple[Tensor, ...]:
    return (*layers[:layer], value, *layers[layer + 1 :])


def _shared(base: Rows, source: Rows, where: Where) -> Bool[Tensor, "pair pos"]:
    """The positions of a region that both rows of a pair read."""
    task, pos = base.task, torch.arange(base.allowed.shape[1])
    if where == "digits":
        if not torch.equal(base.lengths, source.lengths):
            raise UserError("to exchange digits the lists of a pair must be of one length")
        return (pos <= task.sep_pos) & base.allowed
    if where == "blanks":
        blanks = task.region(Region.BLANKS)
        return ((pos >= blanks.start) & (pos < blanks.stop)).expand(len(base), -1)
    fewer = torch.minimum(base.rows, source.rows)[:, None]
    return (pos >= task.first_output_row) & (pos < fewer)


def _last_keys(
    model: Transformer,
    base: Rows,
    source: Rows,
    site: Site,
    here: Bool[Tensor, "pair pos"],
) -> tuple[Tensor, Tensor]:
    """The last layer's keys and values when a part of the layer before is the source's."""
    block, norm = model.blocks[site.layer], model.config.norm
    span = here.any(0).nonzero()[:, 0]
    keys, values = (part[site.layer + 1].clone() for part in (base.keys, base.values))
    if not len(span):
        return keys, values
    cut = slice(int(span[0]), int(span[-1]) + 1)
    own = {c: v[:, cut] for c, v in base.before_last.items()}
    if site.component is Component.Z:
        heads = list(site.heads or range(model.cfg.n_heads))
        difference = (source.before_last[Component.Z][:, cut] - own[Component.Z])[:, :, heads]
        added = own[Component.ATTN_OUT] + torch.einsum(
            "nshd,hdm->nsm", difference, block.attn.W_O[heads]
        )
        x = norm_after(own[Component.RESID_PRE] + added, block.ln1, norm)
        y = norm_before(x, block.ln2, norm)
    else:
        x = own[Component.RESID_MID]
        y = norm_before(source.before_last[Component.RESID_MID][:, cut], block.ln2, norm)
    x = norm_after(x + mlp(y, block.mlp), block.ln2, norm)
    after = model.blocks[site.layer + 1]
    y, attn = norm_before(x, after.ln1, norm), after.attn
    keys[:, cut] = project(y, attn.W_K, attn.b_K)
    values[:, cut] = project(y, attn.W_V, attn.b_V)
    return keys, values


def all_parts(model: Transformer) -> list[Part]:
    """Every part that a sweep exchanges: at the row, then where the row reads from."""
    layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
    row = [Part(Site(Component.RESID_PRE, n)) for n in layers]
    row += writers(model)
    row += [Part(Site(Component.Q, n, heads=(h,))) for n in layers for h in heads]
    for component in (Component.ATTN_OUT, Component.RESID_MID, Component.RESID_POST):
        row += [Part(Site(component, n)) for n in layers]
    return row + elsewhere(model) + reads(model)


def writers(model: Transformer) -> list[Part]:
    """What adds to the row's stream: every head and every MLP, in order."""
    found = []
    for layer in range(model.cfg.n_layers):
        found += [Part(Site(Component.Z, layer, heads=(h,))) for h in range(model.cfg.n_heads)]
        found.append(Part(Site(Component.MLP_OUT, layer)))
    return found


def elsewhere(model: Transformer) -> list[Part]:
    """Parts where the row reads from; none in a model of one layer."""
    last, found = model.cfg.n_layers - 1, []
    if not last:
        return []
    for where in _regions(model):
        found.append(Part(Site(Component.RESID_PRE, last), where))
        for head in range(model.cfg.n_heads):
            found.append(Part(Site(Component.Z, last - 1, heads=(head,)), where))
        found.append(Part(Site(Component.MLP_OUT, last - 1), where))
    return found


def reads(model: Transformer) -> list[Part]:
    """What each head of the row reads in each region, layer by layer."""
    return [
        Part(Site(READ, layer, heads=(head,)), where)
        for layer in range(model.cfg.n_layers)
        for where in _regions(model)
        for head in range(model.cfg.n_heads)
    ]


def _regions(model: Transformer) -> list[Where]:
    regions: list[Where] = ["digits", "blanks", "outputs"]
    return regions if model.task.region(Region.BLANKS) else ["digits", "outputs"]
