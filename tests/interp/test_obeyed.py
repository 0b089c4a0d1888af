"""Every function of the library that takes a model computes the one that it was given.

To zero what the last MLP writes is to zero its weights: inside such an intervention a function
returns what it returns of a model with those weights, or refuses. The table below is held against
the modules, so that none is left out.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import interp.answers
import interp.methods
import interp.programs
from analyses.experiment.catalogue import experiments
from analyses.experiment.subjects import OfList, OfModel, OfTwoModels
from analyses.one_list.subject import ListSubject, TwoModels
from interp.answers.behaviour import answer, mistakes
from interp.answers.decode import decode_stepwise, exact_match, greedy_decode, score
from interp.answers.pairs import sample_pairs
from interp.answers.treatment import Treatment
from interp.answers.trials import chunks, donors_for, nothing, run_trials, stratified
from interp.answers.use import exact_without_blanks, follow_rate
from interp.interventions import Set, Zero, intervene
from interp.methods import dial
from interp.methods.attention import attention_stats
from interp.methods.attribution import against_other_digits, direct_paths, paths_of, places_read
from interp.methods.circuit_run import Graph
from interp.methods.circuit_scores import sample_groups
from interp.methods.circuits import ov_circuit, qk_circuit
from interp.methods.interchange import Part, Rows, exchanged, recomputed, rerun
from interp.methods.interchange import record as record_rows
from interp.methods.lens import lens
from interp.methods.one_reader import one_reader
from interp.methods.pair_runs import both_ways, pair_runs
from interp.methods.patching import patched_logits, record
from interp.methods.paths import after_receivers, direct_effect, path_patch, record_run
from interp.methods.probes import blank_streams, probe, probe_sites, probing_lists
from interp.methods.reductions import contribution
from interp.methods.subspaces import exchanged_in, search_subspace
from interp.model import SortTransformer
from interp.passes.forward import Run, forward
from interp.passes.native import native_logits
from interp.passes.packed import window
from interp.programs.prompts import Prompts, says, says_along
from interp.sites import Component, Site
from interp.support.errors import UserError
from interp.task import SortTask
from tests.analyses.test_every_model import FEWER
from tests.covers import few
from tests.models import TASK, small_model

pytestmark = pytest.mark.usefixtures("unchecked")
LISTS = [[3, 1, 4, 1], [2, 2], [9], [5, 0, 5, 0, 5, 1], [7, 6, 5], [1, 2]]
BATCH = TASK.encode(LISTS)
VIEW = window(TASK, BATCH, digits_only=True)
SAME_LENGTH = TASK.encode([[3, 1, 4], [2, 2, 0], [9, 9, 1]])  # no rows that mean nothing
SAME_VIEW = window(TASK, SAME_LENGTH, digits_only=True)
PAIRS = sample_pairs(TASK, 4, 3, 0)
PROMPTS = Prompts(((3, 1, 4), (2, 2), (5, 0, 1, 1)), ((1, 3), (), (0,)))
SAME = 5e-4  # far above rounding
LAST = Zero(Site(Component.MLP_OUT, 1))
SENDER, RECEIVER = Site(Component.Z, 0), Site(Component.V, 1)


def without_last_mlp(model: SortTransformer) -> SortTransformer:
    """The same as ``LAST``, by its weights."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.blocks[1].mlp.W_out.zero_()
        other.blocks[1].mlp.b_out.zero_()
    return other


def runs_of(model: SortTransformer) -> tuple[torch.Tensor, Run, Run]:
    tokens = SAME_LENGTH.tokens
    base, donor = (record_run(model, each, SAME_VIEW) for each in (tokens, tokens.flip(0)))
    return tokens, base, donor


def swept(model: SortTransformer) -> Any:
    tokens, base, donor = runs_of(model)
    places = torch.ones(len(tokens), 1, base.view.stop - base.view.start, dtype=torch.bool)
    return patched_logits(model, RECEIVER, base, donor, places, torch.full((3,), 5))


def directed(model: SortTransformer, then: str) -> Any:
    tokens, base, donor = runs_of(model)
    if then == "path_patch":
        return path_patch(model, tokens, base, donor, [SENDER], [RECEIVER])
    direct = direct_effect(model, tokens, base, donor, [SENDER], [(Component.V, 1)])
    return after_receivers(model, tokens, base, direct, [RECEIVER]) if then else direct.logits


def attributed(model: SortTransformer, run: Run | None = None) -> Any:
    target = against_other_digits(BATCH.tokens, VIEW)
    if run is None:
        return direct_paths(model, BATCH.tokens, VIEW, target).parts()
    return paths_of(model, run, BATCH.tokens, target).parts()


def streams(model: SortTransformer) -> Any:
    return blank_streams(model, BATCH, (0, 2), probe_sites(2))


def probed(model: SortTransformer) -> Any:
    return probe(model, probing_lists(TASK, 90, 0), (0,), sites=[Site(Component.RESID_POST, 1)])


CALLS: dict[str, Callable[[SortTransformer], Any]] = {
    "answer": lambda m: answer(m, BATCH),
    "mistakes": lambda m: mistakes(m, answer(m, BATCH), 9),
    "score": lambda m: score(m, BATCH, digits_only=False),
    "exact_match": lambda m: exact_match(m, 12),
    "greedy_decode": lambda m: greedy_decode(m, [[3, 1, 4], [2, 2, 0]]),
    "decode_stepwise": lambda m: decode_stepwise(m, LISTS),
    "run_trials": lambda m: run_trials(m, BATCH, {"as it is": nothing}),
    "chunks": lambda m: [chunk.logits([]) for chunk in chunks(m, BATCH)],
    "stratified": lambda m: stratified(m, 6, 0),
    "donors_for": lambda m: donors_for(m, BATCH, 0),
    "follow_rate": lambda m: follow_rate(m, 6, 0),
    "exact_without_blanks": lambda m: exact_without_blanks(m, 6, 0),
    "attention_stats": lambda m: attention_stats(m, SAME_LENGTH),
    "direct_paths": attributed,
    "paths_of": lambda m: attributed(m, forward(m, BATCH.tokens, VIEW, keep=places_read(2))),
    "qk_circuit": lambda m: qk_circuit(m, 1),
    "ov_circuit": lambda m: ov_circuit(m, 1),
    "interchange.record": lambda m: record_rows(m, PROMPTS),
    "lens": lambda m: lens(m, SAME_LENGTH.tokens, SAME_VIEW).logits,
    "pair_runs": lambda m: pair_runs(m, PAIRS, "denoising").gap,
    "both_ways": lambda m: [each.metrics for each in both_ways(m, PAIRS)],
    "patching.record": lambda m: record(m, SAME_LENGTH.tokens, SAME_VIEW).logits,
    "patched_logits": swept,
    "record_run": lambda m: record_run(m, SAME_LENGTH.tokens, SAME_VIEW).logits,
    "path_patch": lambda m: directed(m, "path_patch"),
    "direct_effect": lambda m: directed(m, ""),
    "after_receivers": lambda m: directed(m, "after"),
    "blank_streams": streams,
    "probe": probed,
    "contribution": lambda m: contribution(m, BATCH),
    "says": lambda m: says(m, PROMPTS),
    "says_along": lambda m: says_along(m, BATCH),
    "digit_streams": lambda m: dial.digit_streams(m, torch.arange(3)),
    "scores": lambda m: list(dial.scores(m, 1)),
    "equality": lambda m: dial.equality(next(dial.scores(m, 1)).mean((2, 3)).detach()),
    "gathered": lambda m: list(dial.gathered(m, 1)),
    "dial_of": lambda m: dial.dial_of(m, 1),
    "one_reader": lambda m: one_reader(m, PROMPTS),
}
BEFORE: dict[str, Callable[[SortTransformer], Callable[[], Any]]] = {}
"""What is given something that was made when nothing was on the model: it must refuse."""


def before(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def put(make: Callable[..., Any]) -> Callable[..., Any]:
        BEFORE[name] = make
        return make

    return put


@before("rerun")
def _rerun(model: SortTransformer) -> Callable[[], Any]:
    return partial(rerun, model, record_rows(model, PROMPTS), {})


@before("recomputed")
def _recomputed(model: SortTransformer) -> Callable[[], Any]:
    return partial(recomputed, model, record_rows(model, PROMPTS))


@before("turned")
def _turned(model: SortTransformer) -> Callable[[], Any]:
    one = dial.dial_of(model, 1)
    assert one is not None
    return partial(dial.turned, model, record_rows(model, PROMPTS), one, torch.zeros(len(PROMPTS)))


@before("exchanged")
def _exchanged(model: SortTransformer) -> Callable[[], Any]:
    rows = record_rows(model, PROMPTS)
    return partial(exchanged, model, rows, rows, [Part(Site(Component.MLP_OUT, 0))])


@before("exchanged_in")
def _exchanged_in(model: SortTransformer) -> Callable[[], Any]:
    rows = record_rows(model, PROMPTS)
    return partial(exchanged_in, model, rows, rows, (Component.RESID_PRE, 1), torch.eye(16))


@before("search_subspace")
def _search_subspace(model: SortTransformer) -> Callable[[], Any]:
    rows: Rows = record_rows(model, PROMPTS)
    wanted = torch.tensor([1, 2, 3])
    return partial(search_subspace, model, rows, rows, wanted, (Component.RESID_PRE, 1), 1)


@before("a circuit's run")
def _graph(model: SortTransformer) -> Callable[[], Any]:
    graph = Graph(model)
    (group, *_) = sample_groups(graph, 6, 0)
    return partial(graph.run, group.lists)


@before("kernels")
def _kernels(model: SortTransformer) -> Callable[[], Any]:
    return partial(native_logits, model, BATCH.tokens, VIEW)


WITHOUT_A_PASS = {"all_parts", "writers", "elsewhere", "reads", "norms_of"}  # of its sizes alone


def test_no_function_is_left_out() -> None:
    found = set()
    for package in (interp.answers, interp.methods, interp.programs):
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            for name, value in vars(module).items():
                own = inspect.isfunction(value) and value.__module__ == module.__name__
                if own and not name.startswith("_") and _first(value) == "model":
                    found.add(name)
    named = {name.rpartition(".")[2] for name in CALLS} | set(BEFORE) | WITHOUT_A_PASS
    assert found - named == set()


def _first(function: Callable[..., Any]) -> str:
    return next(iter(inspect.signature(function).parameters), "")


def plain(value: Any) -> Any:
    """What can be compared, of a result."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return torch.as_tensor(value).detach().double().nan_to_num(-99.0).flatten().tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.name != "model"}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def assert_same(got: Any, wanted: Any, near: float, where: str = "") -> None:
    assert type(got) is type(wanted), where
    if isinstance(wanted, dict):
        assert got.keys() == wanted.keys(), where
        for key, one in wanted.items():
            assert_same(got[key], one, near, f"{where}.{key}")
    elif isinstance(wanted, list) and not all(isinstance(one, float) for one in wanted):
        assert len(got) == len(wanted), where
        for number, one in enumerate(wanted):
            assert_same(got[number], one, near, f"{where}.{number}")
    elif isinstance(wanted, float | list):
        assert got == pytest.approx(wanted, rel=near, abs=near, nan_ok=True), where
    else:
        assert got == wanted or not isinstance(wanted, int | str), where


def obeys_or_refuses(
    model: SortTransformer, call: Callable[[SortTransformer], Any], near: float = SAME
) -> bool:
    """Whether it obeys; else it has refused."""
    with intervene(model, [LAST]):
        try:
            got = plain(call(model))
        except UserError as error:
            assert "would ignore" in str(error)  # noqa: PT017
            return False
    assert_same(got, plain(call(without_last_mlp(model))), near)
    return True


REFUSE = {"direct_paths", "paths_of", "patched_logits", "qk_circuit", "ov_circuit"}
REFUSE |= {"interchange.record"}
REFUSE |= {"digit_streams", "scores", "equality", "gathered", "dial_of", "one_reader"}


@pytest.mark.parametrize("name", CALLS)
def test_a_function_computes_the_model_that_it_was_given(name: str) -> None:
    assert obeys_or_refuses(small_model(), CALLS[name]) == (name not in REFUSE)


@pytest.mark.parametrize("name", BEFORE)
def test_what_was_made_before_is_not_used_as_if_nothing_had_changed(name: str) -> None:
    """It was: what acted on the model since then was passed over."""
    model = small_model()
    call = BEFORE[name](model)
    if name != "kernels":
        call()  # positive control
    with intervene(model, [LAST]), pytest.raises(UserError, match="would ignore"):
        call()


# -- values that belong to one list ---------------------------------------------------------------

IN_ORDER: dict[str, Callable[[SortTransformer, Sequence[int]], Any]] = {
    "says": lambda m, some: says(m, Prompts(tuple(tuple(LISTS[i]) for i in some), ((),) * 6)),
    "says_along": lambda m, some: says_along(m, BATCH[torch.tensor(some)]),
    "blank_streams": lambda m, some: blank_streams(
        m, BATCH[torch.tensor(some)], (0, 2), probe_sites(2)
    )[2],
    "answer": lambda m, some: answer(m, BATCH[torch.tensor(some)]).predicted,
}


@pytest.mark.parametrize("name", IN_ORDER)
def test_values_given_list_by_list_meet_their_lists(name: str) -> None:
    """To run lists of like lengths together mixed them up."""
    model, order = small_model(), list(range(6))
    said = 50 * model.W_U.detach().T[:6, None].expand(-1, TASK.n_ctx, -1)  # in list j, the digit j
    with intervene(model, [Set(Site(Component.RESID_POST, 1), said)]):
        together = IN_ORDER[name](model, order)
    for number in order:
        with intervene(model, [Set(Site(Component.RESID_POST, 1), said[number : number + 1])]):
            alone = IN_ORDER[name](model, [number] * 6)
        torch.testing.assert_close(together[number], alone[number])


# -- analyses -------------------------------------------------------------------------------------

SMALL = SortTask(6, 7)
EVERY = {one.name: one for one in experiments().values()}


def subject(about: Any, model: SortTransformer) -> Any:
    kind = kind_of(about)
    treatment = Treatment.parse(getattr(about, "do", ""), SMALL)
    one = ListSubject(model, (3, 1, 4, 1), treatment)
    if issubclass(kind, OfTwoModels):
        return TwoModels(one, ListSubject(small_model(task=SMALL, seed=2), (3, 1, 4, 1)))
    return one if issubclass(kind, OfList) else model


def kind_of(about: Any) -> type:
    return about if isinstance(about, type) else type(about)


OF_MODELS = [one.name for one in EVERY.values() if issubclass(kind_of(one.about), OfModel)]


@pytest.mark.slow
@pytest.mark.parametrize("name", few(OF_MODELS, *OF_MODELS[::3]))
def test_an_analysis_computes_the_model_that_it_was_given(name: str) -> None:
    one = EVERY[name]
    fewer = {
        key: min(most, value)
        for key, most in FEWER.items()
        if isinstance(value := getattr(one.settings, key, None), int)
    }
    settings = replace(one.settings, **fewer)

    def call(model: SortTransformer) -> Any:
        return one.outcome(one.compute(subject(one.about, model), settings, 0)).json

    # Fits go on from what rounding leaves.
    obeys_or_refuses(small_model(task=SMALL), call, 0.02 if name == "probe_blanks" else SAME)
