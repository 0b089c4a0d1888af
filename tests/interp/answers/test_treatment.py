"""Treatments: as text, in words, refused, and against the interventions that they stand for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp.answers.ablation import Kind, ablate, published_mask
from interp.answers.kinds import ABLATIONS, PUBLISHED_ACTS, Act
from interp.answers.treatment import Treatment, blank_positions
from interp.answers.trials import Chunk, chunks, donors_for
from interp.config import ModelConfig
from interp.interventions import Intervention, Patch, Transplant, edits_of, intervene
from interp.passes.forward import Run, forward
from interp.passes.packed import window
from interp.sites import Component, Site
from interp.support.errors import UserError
from interp.task import SortTask
from tests.models import small_model

TASK = SortTask(max_len=6, n_blanks=4)  # SEP is position 6, blanks are 7-10, outputs 11-15
CONFIG = ModelConfig(task=TASK, n_layers=2, d_model=16, n_heads=2, d_head=8, d_mlp=24)
LIST, OTHER = (3, 1, 4, 1, 5), (9, 2, 6, 5, 3)
KINDS = {
    "mask": Kind.MASK,
    "mask-kept": Kind.MASK_KEPT,
    "zero": Kind.ZERO,
    "mean": Kind.MEAN,
    "resample": Kind.RESAMPLE,
}

numbers = st.sets(st.integers(0, 60), min_size=1).map(lambda found: tuple(sorted(found)))
lists = st.lists(st.integers(0, 9), min_size=1, max_size=48).map(tuple)
places = st.tuples(
    st.sampled_from(list(Component)),
    st.integers(0, 5),
    st.none() | st.tuples(st.integers(0, 9)),
    numbers,
)
nothing, one = st.just(()), st.none()
fields = st.one_of(
    st.tuples(st.sampled_from([Act.NOTHING, *PUBLISHED_ACTS]), nothing, nothing, one),
    st.tuples(st.sampled_from(ABLATIONS), numbers, nothing, one),
    st.tuples(st.just(Act.TRANSPLANT), numbers, lists, one),
    st.tuples(st.just(Act.PATCH), nothing, lists, places),
)


# -- text ---------------------------------------------------------------------------------------


@given(fields)
def test_text_round_trip(drawn: tuple[Any, ...]) -> None:
    act, blanks, other, place = drawn
    treatment = Treatment(act, blanks, other, None if place is None else Site(*place))
    assert Treatment.parse(treatment.text) == treatment
    assert Treatment.parse(f"  {treatment.text}\n") == treatment


@pytest.mark.parametrize(
    ("text", "treatment"),
    [
        ("", Treatment()),
        ("published", Treatment(Act.PUBLISHED)),
        ("published+last", Treatment(Act.PUBLISHED_LAST)),
        ("zero:3-5,9", Treatment(Act.ZERO, (3, 4, 5, 9))),
        ("mask-kept:0", Treatment(Act.MASK_KEPT, (0,))),
        ("transplant:0-1:3,1,4,1,5", Treatment(Act.TRANSPLANT, (0, 1), (3, 1, 4, 1, 5))),
        ("patch:v.1.2:53:3,1", Treatment(Act.PATCH, (), (3, 1), Site(Component.V, 1, (2,), (53,)))),
        (
            "patch:resid_pre.0:4:7",
            Treatment(Act.PATCH, (), (7,), Site(Component.RESID_PRE, 0, None, (4,))),
        ),
    ],
)
def test_text_as_it_is_documented(text: str, treatment: Treatment) -> None:
    assert Treatment.parse(text) == treatment
    assert treatment.text == text
    assert bool(treatment) == bool(text)


def test_lists_in_old_links_have_no_commas() -> None:
    moved = Treatment(Act.TRANSPLANT, (0, 1), (3, 1, 4, 1, 5))
    assert Treatment.parse("transplant:0-1:31415") == moved
    assert Treatment.parse("patch:v.1.2:53:31").text == "patch:v.1.2:53:3,1"


def test_text_is_tidied() -> None:
    assert Treatment.parse("mean: 5,3, 4 ,4").text == "mean:3-5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zap:3", "'zap:3' is nothing that can be done; there is published, published+last, mask"),
        ("ZERO:3", "is nothing that can be done"),
        ("zero", "'zero' is nothing that can be done"),
        ("zero:1:2", "is nothing that can be done"),
        ("transplant:0-3", "is nothing that can be done"),
        ("published:3", "is nothing that can be done"),
        (":3", "is nothing that can be done"),
        ("zero:", "'' is neither a number nor a span like 3-10"),
        ("zero:5-3", "'5-3' is neither a number nor a span"),
        ("zero:-1", "'-1' is neither a number"),
        ("zero:1.5", "'1.5' is neither a number"),
        ("zero:99999", "'99999' is neither a number"),
        ("zero:0-99999", "is neither a number"),
        ("transplant:0:", "'' is no list of digits like 3,1,4,1,5"),
        ("transplant:0:3,11", "'11' is not a digit from 0 to 9"),
        ("transplant:0:٣", "is not a digit from 0 to 9"),
        ("patch:v.1.2:53:x", "'x' is not a digit from 0 to 9"),
        ("patch:v:53:31", "'v' is no place in a model, like resid_pre.0 or, of head 2, v.1.2"),
        ("patch:v.1.2.3:53:31", "is no place in a model"),
        ("patch:v.one:53:31", "is no place in a model"),
        ("patch:v.٣:53:31", "is no place in a model"),
        ("patch:w.1:53:31", "'w.1' is no place"),
        ("patch:v.1::31", "'' is neither a number"),
        ("x" * 500, f"{'x' * 80!r} is nothing"),
    ],
)
def test_what_is_no_treatment(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        Treatment.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_whatever_is_typed_is_a_treatment_or_refused(text: str) -> None:
    try:
        treatment = Treatment.parse(text)
    except UserError:
        return
    assert Treatment.parse(treatment.text) == treatment


# -- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing is changed"),
        ("published", "blanks masked for the outputs after the first"),
        ("published+last", "blanks masked for all outputs, the last blank's row too"),
        ("mask:0-3", "all 4 blanks masked for all outputs, the attention spread over the rest"),
        ("mask-kept:1", "blank 1 masked for all outputs, the other weights left as they were"),
        ("zero:0,2-3", "blanks 0, 2-3: keys and values zero"),
        ("mean:2", "blank 2: keys and values as they are on average over lists of this length"),
        ("resample:0-1", "blanks 0-1: keys and values of a random other list"),
        ("transplant:3:31", "blank 3: keys and values of the list 3 1"),
        ("patch:v.1.0:8:31", "values of head 1.0, at blank 1: as it is for the list 3 1"),
        (
            "patch:resid_pre.1:4:31",
            "residual stream before layer 1, at in 0: as it is for the list 3 1",
        ),
    ],
)
def test_words(text: str, words: str) -> None:
    assert Treatment.parse(text).words(TASK) == words


# -- what does not fit --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zero:4", "blank 4 is not in this model: its blanks are 0 to 3"),
        ("mask:0-48", "blank 48 is not in this model: its blanks are 0 to 3"),
        ("transplant:0:314", "has 3 digits, the list to sort 5: they must be of the same length"),
        ("transplant:0:3141592", "the list has 7 digits; this model takes 1 to 6"),
        ("patch:v.1.0:8:3141", "has 4 digits, the list to sort 5"),
        ("patch:v.2.0:8:31415", "there is no layer 2: this model has 0 to 1"),
        ("patch:v.1.2:8:31415", "there is no head 2: this model has 0 to 1"),
        ("patch:v.1.0:17:31415", "there is no position 17: this model has 0 to 16"),
        ("patch:resid_pre.1.0:8:31415", "has no heads to choose from"),
    ],
)
def test_what_does_not_fit_a_model(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        Treatment.parse(text).check(CONFIG, len(LIST))
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["published", "mask:0", "zero:0", "transplant:0:31415"])
def test_a_model_without_blanks(text: str) -> None:
    config = ModelConfig(task=SortTask(6, 0), d_model=16, n_heads=2, d_head=8, d_mlp=24)
    with pytest.raises(UserError, match="this model has no blanks: there is nothing to do to them"):
        Treatment.parse(text).check(config, len(LIST))
    Treatment().check(config, len(LIST))
    Treatment.parse("patch:v.1.0:3:31415").check(config, len(LIST))


def test_what_fits() -> None:
    for text in ("", "published", "zero:0-3", "transplant:0-3:31415", "patch:z.1.1:10:31415"):
        Treatment.parse(text).check(CONFIG, len(LIST))
    Treatment.parse("transplant:0-3:314").check(CONFIG)  # no list to compare it with yet


def test_a_list_that_does_not_fit_is_refused_before_anything_runs() -> None:
    with pytest.raises(UserError, match="of the same length"):
        Treatment.parse("transplant:0:314").on_list(small_model(), LIST)


# -- what is done -------------------------------------------------------------------------------


def a_chunk(seed: int = 0) -> Chunk:
    """Two lists of one length, and as many donors."""
    model = small_model()
    batch = TASK.encode([LIST, (0, 0, 7, 7, 2)])
    return next(chunks(model, batch, donors_for(model, batch, seed), seed))


def hooked(done: list[Intervention] | tuple[Intervention, ...], digits: tuple[int, ...]) -> Tensor:
    """Logits of the answer by the hooked model: [row, d_vocab_out]."""
    model = small_model()
    batch = TASK.encode([digits])
    with torch.no_grad(), intervene(model, list(done)):
        return model(batch.tokens)[0, TASK.output_rows(len(digits))]


def by_treatment(text: str, digits: tuple[int, ...] = LIST, seed: int = 0) -> Tensor:
    """The same by the packed pass under a treatment."""
    model = small_model()
    batch = TASK.encode([digits])
    edits = edits_of(model, Treatment.parse(text).on_list(model, digits, seed))
    with torch.no_grad():
        return forward(model, batch.tokens, window(TASK, batch, digits_only=True), edits).logits[0]


def test_blanks_are_counted_from_0() -> None:
    assert blank_positions(TASK, (0, 3)) == (7, 10)
    assert blank_positions(SortTask(), (0, 48)) == (49, 97)


@pytest.mark.parametrize("name", KINDS)
def test_an_ablation_is_that_of_the_library(name: str) -> None:
    chunk, treatment = a_chunk(5), Treatment(Act(name), (0, 2))
    assert treatment.kind is KINDS[name]
    wanted = chunk.logits(ablate(KINDS[name], chunk, (7, 9)))
    assert torch.equal(chunk.logits(treatment.on(chunk)), wanted)
    assert not torch.allclose(wanted, chunk.logits([]), atol=1e-3)  # it does something


@pytest.mark.parametrize("name", KINDS)
def test_an_ablation_of_one_list_is_that_of_the_library(name: str) -> None:
    model, batch = small_model(), TASK.encode([LIST])
    chunk = next(chunks(model, batch, donors_for(model, batch, 5), 5))
    found = by_treatment(f"{name}:0,2", seed=5)
    wanted = chunk.logits(ablate(KINDS[name], chunk, (7, 9)))[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_the_seed_is_that_of_means_and_resamples_alone() -> None:
    for text in ("mean:0-3", "resample:0-3"):
        assert not torch.allclose(by_treatment(text), by_treatment(text, seed=1), atol=1e-4)
        assert torch.equal(by_treatment(text, seed=1), by_treatment(text, seed=1))
    for text in ("", "mask:0-3", "zero:0-3", "transplant:0-3:92653"):
        assert torch.equal(by_treatment(text), by_treatment(text, seed=1))


@pytest.mark.parametrize(("text", "last_too"), [("published", False), ("published+last", True)])
def test_the_published_masks(text: str, last_too: bool) -> None:
    wanted = hooked(tuple(published_mask(TASK, last_too)), LIST)
    torch.testing.assert_close(by_treatment(text), wanted, rtol=0, atol=1e-5)
    assert Treatment.parse(text).on(a_chunk()) == published_mask(TASK, last_too)
    first_row = by_treatment(text)[0] - by_treatment("")[0]
    assert bool(first_row.abs().max() > 1e-3) == last_too


@pytest.mark.parametrize(
    "text",
    [
        "",
        "published",
        "mask:1-2",
        "mask-kept:1-2",
        "zero:1-2",
        "mean:1-2",
        "resample:1-2",
        "transplant:1-2:92653",
        "patch:v.1.1:8:92653",
        "patch:resid_pre.1:9:92653",
    ],
)
def test_what_is_done_is_the_same_with_hooks(text: str) -> None:
    done = Treatment.parse(text).on_list(small_model(), LIST)
    torch.testing.assert_close(by_treatment(text), hooked(tuple(done), LIST), rtol=0, atol=1e-5)


def test_a_transplant_is_made_by_hand() -> None:
    model = small_model()
    other = Run.from_cache(model, TASK.encode([OTHER]).tokens)
    wanted = hooked((Transplant(other, (8, 10), layers=(1,)),), LIST)
    torch.testing.assert_close(by_treatment("transplant:1,3:92653"), wanted, rtol=0, atol=1e-5)
    assert not torch.allclose(wanted, hooked((), LIST), atol=1e-3)


@pytest.mark.parametrize(
    "place",
    [
        "resid_pre.0",
        "resid_pre.1",
        "q.1.0",
        "k.1.1",
        "v.0.1",
        "z.1.0",
        "attn_out.1",
        "resid_mid.0",
        "post.1",
        "mlp_out.0",
        "resid_post.1",
    ],
)
def test_a_patch_is_made_by_hand(place: str) -> None:
    model, (component, layer, *head) = small_model(), place.split(".")
    other = Run.from_cache(model, TASK.encode([OTHER]).tokens)
    heads = (int(head[0]),) if head else None
    # The last blank is the first row that answers; SEP's part of the answer is read at others.
    position = 10 if layer == "1" else 7
    site = Site(Component(component), int(layer), heads, (position,))
    wanted = hooked((Patch(site, other),), LIST)
    found = by_treatment(f"patch:{place}:{position}:92653")
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


@given(st.data())
def test_a_list_put_into_itself_changes_nothing(data: st.DataObject) -> None:
    digits = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=6).map(tuple))
    same = "".join(map(str, digits))
    blank = data.draw(st.integers(0, 3))
    layer = data.draw(st.integers(0, 1))
    component = data.draw(st.sampled_from([Component.RESID_PRE, Component.K, Component.V]))
    texts = (f"transplant:0-{blank}:{same}", f"patch:{component}.{layer}:{7 + blank}:{same}")
    for text in texts:
        torch.testing.assert_close(
            by_treatment(text, digits), by_treatment("", digits), rtol=0, atol=1e-5
        )


def test_a_patch_at_padding_is_refused() -> None:
    with pytest.raises(UserError, match="position 0 is padding for a list of 5 digits: it has"):
        Treatment.parse("patch:resid_post.1:0:92653").check(small_model().config, 5)


def test_a_patch_that_no_answer_can_read_changes_nothing() -> None:
    """The last layer's output at a digit: the pass of an answer does not even compute it."""
    found = by_treatment("patch:resid_post.1:3:92653")
    torch.testing.assert_close(found, by_treatment(""), rtol=0, atol=0)


def test_a_patch_is_of_one_list() -> None:
    with pytest.raises(ValueError, match="see on_list"):
        Treatment.parse("patch:v.1.0:8:31415").on(a_chunk())


def test_nothing_is_an_empty_list() -> None:
    assert list(Treatment().on(a_chunk())) == []
    assert list(Treatment().on_list(small_model(), LIST)) == []
