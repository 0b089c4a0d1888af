"""The compiled sorters: every list is sorted, and what their truth says is so in the weights."""

import itertools
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.answers.decode import greedy_decode, score
from interp.checkpoints import load_model, save_model
from interp.sites import pattern_hook, scores_hook
from interp.sorters.compiled import SORTERS, compile_sorter
from interp.sorters.truth import N_HEADS, Edge, truth_of
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import BLANK, N_DIGITS, Region, SortBatch, SortTask
from tests.covers import few

SMALL = SortTask(5, 6)
ALL_HEADS = list(itertools.product(range(2), range(N_HEADS)))
every_sorter = pytest.mark.parametrize("name", SORTERS)


def some_lists(task: SortTask, n_lists: int = 120, *key: str) -> SortBatch:
    """The longest lists, of two different digits at least (one digit survives a lost count)."""
    lengths = torch.full((n_lists,), task.max_len)
    batch = task.sample(n_lists, stream("test", "compiled", *key), lengths)
    digits = batch.tokens[:, : task.max_len]
    return batch[(digits.amin(1) < digits.amax(1)).nonzero()[:, 0]]


def emitted(model, tokens, hooks=()):
    """[batch, output] the most probable tokens where sorted digits belong."""
    return output_logits(model, tokens, hooks).argmax(-1)


@torch.no_grad()
def output_logits(model, tokens, hooks=()):
    rows = model.task.output_rows()
    return model.run_with_hooks(tokens, fwd_hooks=list(hooks))[:, rows.start : rows.stop]


def answers(batch, task):
    return batch.tokens[:, task.first_output_row + 1 :]


def sorted_share(model, batch, hooks=()) -> float:
    right = emitted(model, batch.tokens, hooks) == answers(batch, model.task)
    return float(right.all(1).float().mean())


# -- every list is sorted -----------------------------------------------------------------------


@pytest.mark.parametrize("name", few(SORTERS, "slots", "sink"))
def test_every_list_is_sorted_and_blanks_are_predicted(name, unchecked):
    model = compile_sorter(name).model
    task = model.task
    assert (task.max_len, task.n_blanks) == (48, 49)
    short = [values for n in (1, 2, 3) for values in itertools.product(range(10), repeat=n)]
    equal = [[digit] * n for digit in range(10) for n in (1, 2, 24, 47, 48)]
    assert score(model, task.held_out(2016)).exact.all()
    for batch in (task.encode(short), task.encode(equal), task.held_out(96, distinct=2)):
        assert score(model, batch, digits_only=False).exact.all()


@every_sorter
def test_logits_are_those_of_the_plan(name):
    """12 for the digit, 0 for the others, 6 for BLANK; the same in the model's own forward pass."""
    model = compile_sorter(name).model
    task = model.task
    batch = task.held_out(144)
    with torch.no_grad():
        logits, targets = model(batch.tokens), task.targets(batch.tokens)
    digits = task.scored_digits(batch.tokens)
    expected = torch.zeros(int(digits.sum()), 12)
    expected[torch.arange(len(expected)), targets[digits]] = 12.0
    expected[:, BLANK] = 6.0
    torch.testing.assert_close(logits[digits], expected, atol=0.005, rtol=0)
    nothing = torch.eye(12)[BLANK].mul(6).expand(task.n_blanks * len(batch), -1)
    blanks = task.scored(batch.tokens) & ~digits
    torch.testing.assert_close(logits[blanks], nothing, atol=1e-5, rtol=0)


@st.composite
def tasks_and_lists(draw, name):
    max_len = draw(st.integers(1, 6))
    fewest = {"slots": max_len, "histogram": 1, "sink": 1}.get(name, 0)
    task = SortTask(max_len, draw(st.integers(fewest, fewest + 8)), draw(st.integers(0, 7)))
    digits = st.integers(0, 9)
    lists = draw(st.lists(st.lists(digits, min_size=1, max_size=max_len), min_size=1, max_size=4))
    longest = draw(st.lists(digits, min_size=max_len, max_size=max_len))
    return task, [*lists, longest, [draw(digits)] * max_len, [draw(digits)]]


@every_sorter
@given(data=st.data())
def test_any_task_that_it_can_solve(name, data):
    task, lists = data.draw(tasks_and_lists(name))
    model = compile_sorter(name, task).model
    assert score(model, task.encode(lists), digits_only=False).exact.all()
    assert greedy_decode(model, lists).lists == [tuple(sorted(values)) for values in lists]


def test_longer_lists_than_published(unchecked):
    task = SortTask(200, 200)
    lists = [[(7 * i) % 10 for i in range(n)] for n in (200, 199, 101)]
    for name in SORTERS:
        assert score(compile_sorter(name, task).model, task.encode(lists)).exact.all()


def test_gradients_at_whole_counts_are_those_of_the_slope():
    """k digits 3, then 7s: as C(<=3) = k falls or rises by one, row k or row k - 1 changes."""
    model = compile_sorter("direct").model
    lists = [[3] * (n // 2) + [7] * (n - n // 2) for n in range(2, 49)]
    count = int(model.blocks[0].attn.W_O[0, 3].argmax())  # the coordinate of C(<=3)
    kept = []
    hook = ("blocks.0.hook_attn_out", lambda x, hook: kept.append(x) or x)
    logits = model.run_with_hooks(model.task.encode(lists).tokens, fwd_hooks=[hook])
    (gradient,) = torch.autograd.grad(logits[..., 3].sum(), kept)
    for i, values in enumerate(lists):
        k, expected = values.count(3), torch.zeros(48)
        expected[[k - 1, k]] = 12.0
        start = model.task.first_output_row
        got = gradient[i, start : start + 48, count]
        torch.testing.assert_close(got, expected, atol=0.01, rtol=0)


# -- heads, MLPs and edges ----------------------------------------------------------------------


@every_sorter
def test_decoy_heads_attend_and_write_exactly_nothing(name):
    model, truth = (sorter := compile_sorter(name, SMALL)).model, sorter.truth
    with torch.no_grad():
        _, cache = model.run_with_cache(some_lists(SMALL).tokens)
    writers = set()
    for layer, head in ALL_HEADS:
        z = cache[f"blocks.{layer}.attn.hook_z"][:, :, head]
        assert z.abs().max() > 0  # it reads something
        if (z @ model.blocks[layer].attn.W_O[head]).abs().max() > 0:
            writers.add((layer, head))
    assert writers == truth.heads
    assert truth.decoy_heads == set(ALL_HEADS) - truth.heads
    assert {layer for layer, _ in truth.decoy_heads} == {0, 1}


def zeroed(x, hook, index=...):
    x = x.clone()
    x[index] = 0
    return x


@every_sorter
def test_the_answer_is_lost_without_the_parts_that_carry_it_and_no_others(name):
    model, truth = (sorter := compile_sorter(name, SMALL)).model, sorter.truth
    batch = some_lists(SMALL)
    for layer, head in ALL_HEADS:
        zero_head = partial(zeroed, index=(slice(None), slice(None), head))
        share = sorted_share(model, batch, [(f"blocks.{layer}.attn.hook_z", zero_head)])
        assert share == (0 if (layer, head) in truth.heads else 1), (layer, head)
    for layer in range(2):
        share = sorted_share(model, batch, [(f"blocks.{layer}.hook_mlp_out", zeroed)])
        assert share == (0 if layer in truth.mlps else 1), layer


EDGE_TASKS = {
    "slots": (SMALL, SortTask(5, 5), SortTask(4, 9)),
    "histogram": (SMALL, SortTask(5, 1), SortTask(2, 4)),
    "direct": (SMALL, SortTask(5, 0), SortTask(5, 1)),
    "sink": (SMALL, SortTask(5, 1), SortTask(2, 4)),
    "successor": (SMALL, SortTask(5, 0), SortTask(5, 1)),
}
edge_cases = pytest.mark.parametrize(
    "name, task", [(name, task) for name, tasks in EDGE_TASKS.items() for task in tasks]
)


def where(edges: tuple[Edge, ...], task: SortTask) -> torch.Tensor:
    """[layer, head, query, key] True at the positions of the edges."""
    at = torch.zeros(2, N_HEADS, task.n_ctx, task.n_ctx, dtype=torch.bool)
    for edge in edges:
        query, key = (torch.tensor(task.region(region)) for region in (edge.query, edge.key))
        at[edge.layer, edge.head, query[:, None], key] = True
    return at


def filled(x, hook, mask, value):
    return x.masked_fill(mask, value)


def cut(mask, renormalised):
    """Hooks that close the attention at ``mask``, before the softmax or after it."""
    name, value = (scores_hook, -torch.inf) if renormalised else (pattern_hook, 0.0)
    return [(name(layer), partial(filled, mask=mask[layer], value=value)) for layer in range(2)]


@edge_cases
def test_edges_are_enough(name, task):
    sorter = compile_sorter(name, task)
    model, truth, batch = sorter.model, sorter.truth, some_lists(task)
    edges, sinks = where(truth.edges, task), where(truth.sinks, task)
    assert sorted_share(model, batch, cut(~edges, renormalised=False)) == 1
    kept = edges | sinks
    own = torch.eye(task.n_ctx, dtype=torch.bool) & ~kept.any(-1, keepdim=True)
    assert sorted_share(model, batch, cut(~(kept | own), renormalised=True)) == 1


@edge_cases
def test_edges_and_sinks_are_needed(name, task):
    sorter = compile_sorter(name, task)
    model, truth, batch = sorter.model, sorter.truth, some_lists(task)
    for layer in range(2):
        group = tuple(edge for edge in truth.edges if edge.layer == layer)
        for renormalised in (True, False) if group else ():
            assert sorted_share(model, batch, cut(where(group, task), renormalised)) == 0
    sinks = where(truth.sinks, task)
    assert sorted_share(model, batch, cut(sinks, renormalised=True)) == 0
    assert sorted_share(model, batch, cut(sinks, renormalised=False)) == 1
    clean = output_logits(model, batch.tokens)
    for edge in truth.edges:  # each of them carries some
        moved = output_logits(model, batch.tokens, cut(where((edge,), task), renormalised=False))
        assert (moved - clean).abs().max() > 0.5, edge


def test_edges_that_are_named():
    blanks, last, out = Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS
    assert truth_of("slots").edges == (
        Edge(0, 1, blanks, Region.DIGITS),
        Edge(1, 2, last, blanks),
        Edge(1, 2, out, blanks),
    )
    assert truth_of("slots", SortTask(1, 1)).edges == (
        Edge(0, 1, last, Region.DIGITS),
        Edge(1, 2, last, last),
    )
    assert truth_of("direct", SortTask(2, 0)).edges == (
        Edge(0, 0, Region.SEP, Region.DIGITS),
        Edge(0, 0, out, Region.DIGITS),
    )


# -- what the blanks hold, and who reads it -----------------------------------------------------


def given_from(donor, positions):
    """Hooks that give layer 1 the donor's keys and values at some positions."""

    def swap(x, hook):
        x = x.clone()
        x[:, positions] = donor[hook.name][:, positions]
        return x

    return [(f"blocks.1.attn.hook_{kind}", swap) for kind in "kv"]


@torch.no_grad()
def two_runs(model, task):
    """Two batches of lists, and the activations of the second."""
    a, b = some_lists(task, 50, "a"), some_lists(task, 50, "b")
    n = min(len(a), len(b))
    return a[:n], b[:n], model.run_with_cache(b[:n].tokens)[1]


@pytest.mark.parametrize("task", [SMALL, SortTask()], ids=["small", "published"])
@every_sorter
def test_the_answer_follows_the_content_that_is_read(name, task):
    """All of the effect goes through the blanks, or none: ``mediated`` is 1 or 0."""
    model, truth = (sorter := compile_sorter(name, task)).model, sorter.truth
    a, b, donor = two_runs(model, task)
    blanks = list(range(task.sep_pos + 1, task.first_output_row + 1))
    digits = list(range(task.sep_pos + 1))
    for positions, read in ((blanks, truth.blanks_content), (digits, truth.digits_content)):
        got = emitted(model, a.tokens, given_from(donor, positions))
        assert (got == answers(b if read else a, task)).all()
    assert truth.mediated == (1.0 if truth.blanks_content else 0.0)


@pytest.mark.parametrize("task", [SMALL, SortTask(5, 5), SortTask(4, 9)])
def test_slots_each_blank_feeds_its_output_alone(task):
    model, truth = (sorter := compile_sorter("slots", task)).model, sorter.truth
    assert truth.blank_output == "diagonal"
    a, b, donor = two_runs(model, task)
    for blank in range(task.n_blanks):
        expected = answers(a, task).clone()
        if blank < task.max_len:
            expected[:, blank] = answers(b, task)[:, blank]
        got = emitted(model, a.tokens, given_from(donor, [task.sep_pos + 1 + blank]))
        assert (got == expected).all()


def test_histogram_each_blank_feeds_every_output_alike():
    """Lists that differ in one digit: one blank of six has a sixth of the effect, everywhere."""
    model, truth = (sorter := compile_sorter("histogram", SMALL)).model, sorter.truth
    assert truth.blank_output == "flat"
    batch = some_lists(SMALL)
    lists = [list(SMALL.decode_list(row)) for row in batch.tokens]
    changed = SMALL.encode([[(values[0] + 4) % 10, *values[1:]] for values in lists]).tokens
    start = SMALL.first_output_row + 1  # the prefix stays, so that only the list differs
    changed[:, start:] = batch.tokens[:, start:]
    clean, whole = output_logits(model, batch.tokens), output_logits(model, changed)
    assert (whole - clean).abs().max() > 11
    with torch.no_grad():
        _, donor = model.run_with_cache(changed)
    for blank in range(6):
        one = output_logits(model, batch.tokens, given_from(donor, [SMALL.sep_pos + 1 + blank]))
        torch.testing.assert_close(one - clean, (whole - clean) / 6, atol=0.005, rtol=0)


@pytest.mark.parametrize("name", ["direct", "sink", "successor"])
def test_blanks_that_nothing_reads(name):
    model, truth = (sorter := compile_sorter(name, SMALL)).model, sorter.truth
    assert truth.blank_output == "none"
    a, _, donor = two_runs(model, SMALL)
    blanks = list(range(SMALL.sep_pos + 1, SMALL.first_output_row + 1))
    clean, moved = (output_logits(model, a.tokens, h) for h in ((), given_from(donor, blanks)))
    assert torch.equal(clean, moved)


@torch.no_grad()
def blank_streams(model, batch):
    """[batch, blank, d_model] before layer 1, of all blanks."""
    task = model.task
    _, cache = model.run_with_cache(batch.tokens)
    return cache["blocks.1.hook_resid_pre"][:, task.sep_pos + 1 : task.first_output_row + 1]


def test_sink_blanks_are_the_same_for_every_list():
    model = compile_sorter("sink").model
    streams = blank_streams(model, some_lists(model.task))
    assert torch.equal(streams, streams[:1].expand_as(streams))


def test_counts_are_counted():
    """The list 3,1,1 has no 0, two digits up to 1 and to 2, and three up to 3 and beyond."""
    model = compile_sorter("histogram", SMALL).model
    counts = model.blocks[1].attn.W_V[0][:, :10]  # what layer 1 reads of a blank
    streams = blank_streams(model, SMALL.encode([[3, 1, 1]]))
    expected = torch.tensor([0.0, 2, 2, 3, 3, 3, 3, 3, 3, 3]).expand(6, -1)
    torch.testing.assert_close((streams @ counts)[0], expected, atol=1e-3, rtol=0)


def least_squares(x, y):
    """The linear map of the first half of the rows, applied to the second half."""
    x = torch.cat([x, torch.ones(len(x), 1)], 1).double()
    half = len(x) // 2
    solution = torch.linalg.lstsq(x[:half], y[:half].double(), driver="gelsd").solution
    return x[half:] @ solution


@every_sorter
def test_what_is_linearly_readable_at_a_blank(name):
    model, truth = (sorter := compile_sorter(name, SMALL)).model, sorter.truth
    pairs = itertools.product(range(10), range(10), range(1, 5))  # every digit at every rank
    lists = [[a] * n + [b] * (5 - n) for a, b, n in pairs]
    lists += [SMALL.decode_list(row) for row in some_lists(SMALL, 400).tokens]
    batch = SMALL.encode(lists)
    batch = batch[torch.randperm(len(batch), generator=stream("test", "order"))]
    streams, right = blank_streams(model, batch), answers(batch, SMALL)
    digits = batch.tokens[:, :5, None]
    counts = (digits <= torch.arange(N_DIGITS)).sum(1)  # [batch, value]
    half = len(batch) // 2
    for blank in range(SMALL.n_blanks - 1):
        x = streams[:, blank]
        read_counts = least_squares(x, counts)
        readable = bool((read_counts - counts[half:]).abs().max() < 0.01)
        assert readable == ("counts" in truth.decodable)
        if readable:  # the largest of f(v) = sum over u < v of (j + 1/2 - C(<=u)), also linear
            f = torch.nn.functional.pad((blank + 0.5 - read_counts).cumsum(1), (1, 0))[:, :10]
        else:
            f = least_squares(x, torch.eye(10)[right[:, blank]])
        readable = bool((f.argmax(1) == right[half:, blank]).all())
        assert readable == ("sorted" in truth.decodable)


@pytest.mark.parametrize("name", ["slots", "direct"])
def test_blanks_that_hold_sorted_digits_forget_the_counts(name):
    """Two lists with the same middle digit leave the same at its blank."""
    model = compile_sorter(name, SMALL).model
    streams = blank_streams(model, SMALL.encode([[5, 1, 2, 9, 9], [5, 5, 5, 5, 5]]))
    torch.testing.assert_close(streams[0, 2], streams[1, 2], atol=1e-3, rtol=0)
    assert (streams[0, 1] - streams[1, 1]).abs().max() > 0.99


# -- masks and prefixes -------------------------------------------------------------------------


@every_sorter
def test_masking_the_blanks(name):
    """Closed to the output rows in all layers: no list survives where the blanks are needed."""
    model, truth = (sorter := compile_sorter(name)).model, sorter.truth
    task, batch = model.task, some_lists(model.task)
    blanks = torch.arange(task.sep_pos + 1, task.first_output_row + 1)
    blocked = torch.zeros(2, 1, task.n_ctx, task.n_ctx, dtype=torch.bool)
    blocked[:, :, task.first_output_row :, blanks] = True
    blocked[:, :, blanks, blanks] = False  # the last blank still sees itself
    share = sorted_share(model, batch, cut(blocked, renormalised=True))
    assert share == (0 if truth.blanks_needed else 1)


def successor(values, last, row):
    """The algorithm in plain code; BLANK where no digit is left."""
    if last is not None and sum(v <= last for v in values) > row:
        return last
    return min((v for v in values if last is None or v > last), default=BLANK)


@every_sorter
def test_a_false_prefix_changes_only_successor(name):
    model, truth = (sorter := compile_sorter(name, SMALL)).model, sorter.truth
    batch = some_lists(SMALL)
    false = batch.tokens.clone()
    prefix = false[:, SMALL.first_output_row + 1 :]
    prefix.random_(0, N_DIGITS, generator=stream("test", "prefix"))
    if not truth.prefix_used:
        before, after = (output_logits(model, tokens) for tokens in (batch.tokens, false))
        torch.testing.assert_close(after, before, atol=1e-4, rtol=0)
        return
    expected = [
        [successor(SMALL.decode_list(row), last, i) for i, last in enumerate([None, *given[:-1]])]
        for row, given in zip(false, prefix.tolist(), strict=True)
    ]
    got = emitted(model, false)
    assert got.tolist() == expected
    assert (got != answers(batch, SMALL)).any(1).float().mean() > 0.9


# -- decoys look like the real thing ------------------------------------------------------------


@torch.no_grad()
def pattern(model, tokens, layer, head):
    _, cache = model.run_with_cache(tokens)
    return cache[pattern_hook(layer)][:, head]


def test_the_decoy_of_direct_attends_as_slots_does():
    task = SortTask()
    tokens = some_lists(task, 20).tokens
    real, decoy = (
        pattern(compile_sorter(n, task).model, tokens, 1, 2) for n in ("slots", "direct")
    )
    assert (1, 2) in truth_of("direct").decoy_heads
    torch.testing.assert_close(decoy, real, atol=1e-6, rtol=0)
    for i, row in enumerate(task.output_rows()):
        assert (decoy[:, row, task.sep_pos + 1 + i] > 0.999).all()


def test_decoys_of_position_and_of_equal_digits():
    task = SortTask()
    model = compile_sorter("slots", task).model
    tokens = task.encode([[3] * 47 + [7]]).tokens
    previous = pattern(model, tokens, 0, 2)[0]
    assert (previous.diagonal(-1) > 0.999).all()
    equal = pattern(model, tokens, 0, 0)[0]
    torch.testing.assert_close(equal[20, :21], torch.full((21,), 1 / 21))
    assert equal[47, 47] > 0.999  # the only 7 so far


# -- the same weights, and clear refusals -------------------------------------------------------


@every_sorter
def test_the_same_weights_every_time_also_from_disk(name, tmp_path):
    first = compile_sorter(name, SMALL).model
    torch.manual_seed(5)
    second = compile_sorter(name, SMALL).model
    save_model(tmp_path / "saved", first)
    loaded = load_model(tmp_path / "saved").model
    assert loaded.config == first.config
    for other in (second, loaded):
        pairs = zip(first.parameters(), other.parameters(), strict=True)
        assert all(torch.equal(x, y) for x, y in pairs)


def test_what_cannot_be_compiled_is_refused():
    with pytest.raises(UserError, match="no compiled sorter 'bogo': there are slots, histogram"):
        compile_sorter("bogo")
    with pytest.raises(UserError, match=r"slots needs at least 5 blanks .* up to 5 digits, not 4"):
        compile_sorter("slots", SortTask(5, 4))
    for name in ("histogram", "sink"):
        with pytest.raises(UserError, match=f"{name} needs at least 1 blank for"):
            compile_sorter(name, SortTask(5, 0))


def test_the_truth_needs_no_torch():
    code = (
        "import sys, interp.sorters.truth as t; t.truth_of('slots'); print('torch' in sys.modules)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.stdout == "False\n", done.stderr
