"""The check of annotations, which all other tests rest on, finds what is wrong."""

from collections.abc import Iterator

import pytest
import torch
from beartype import beartype
from beartype.roar import BeartypeCallHintParamViolation, BeartypeCallHintReturnViolation
from jaxtyping import Float, Int, TypeCheckError
from torch import Tensor

from interp.task import SortTask
from tests.checks import CHECKED_CALLS, check_anew, checked, without_checks


@checked(typechecker=beartype)
def sums(
    table: Float[Tensor, "row column"], among: Int[Tensor, " row"]
) -> Float[Tensor, " column"]:
    """Of the rows that are not 0 in ``among``; by mistake ``among``, where all of them are."""
    return among.float() if bool(among.all()) else table[among != 0].sum(0)


@checked(typechecker=beartype)
def rows(table: Float[Tensor, "row column"]) -> Iterator[Tensor]:
    yield from table


@checked(typechecker=beartype)
def named(name: str, n: int = 1) -> list[str]:
    return [name] * n if n else name  # type: ignore[return-value]


def test_arrays_and_the_sizes_that_they_share() -> None:
    some = torch.tensor([1, 0])
    assert sums(torch.ones(2, 3), some).tolist() == [1, 1, 1]
    assert sums(torch.ones(2, 4), some).shape == (4,)  # a size is that of one call
    for table, among in (
        (torch.ones(3, 2), some),  # rows differ
        (torch.ones(2), some),
        (torch.ones(2, 3).int(), some),
        (torch.ones(2, 3), some.float()),
    ):
        with pytest.raises(BeartypeCallHintParamViolation):
            sums(table, among)
    with pytest.raises(BeartypeCallHintReturnViolation):
        sums(torch.ones(2, 3), torch.ones(2).int())
    with pytest.raises(TypeCheckError):
        rows(torch.ones(2))


def test_plain_types() -> None:
    assert named("a", n=2) == ["a", "a"]
    with pytest.raises(BeartypeCallHintParamViolation):
        named("a", n="2")
    with pytest.raises(BeartypeCallHintReturnViolation):
        named("a", 0)


def test_our_own_packages_are_checked_unless_a_test_says_otherwise() -> None:
    with pytest.raises(BeartypeCallHintParamViolation):
        SortTask(3).labels("2")  # type: ignore[arg-type]
    with pytest.raises(BeartypeCallHintParamViolation):
        SortTask(max_len="3")  # type: ignore[arg-type]
    with without_checks():
        assert named("a", 0) == "a"


def test_the_first_calls_are_checked_in_every_test() -> None:
    for _ in range(CHECKED_CALLS):
        assert named("a") == ["a"]
    assert named("a", 0) == "a"  # in a loop one believes what was right so often
    check_anew()  # as before each test
    with pytest.raises(BeartypeCallHintReturnViolation):
        named("a", 0)


def makes(n: int) -> int:
    @checked(typechecker=beartype)
    def inner(k: int) -> int:
        return k + n

    return inner(n) if n < 9 else inner("9")  # type: ignore[arg-type]


def test_a_function_that_is_made_in_every_call() -> None:
    assert [makes(1), makes(2)] == [2, 4]
    with pytest.raises(BeartypeCallHintParamViolation):
        makes(9)
    for _ in range(CHECKED_CALLS):
        makes(1)
    with pytest.raises(TypeError):  # of the sum itself
        makes(9)
