"""What is true of the models compiled by hand for other tasks than sorting.

They are the control for what is said of blanks elsewhere: reversing a list by way of the blanks
and past them, and a parity that is counted in the blanks.
"""

from __future__ import annotations

from interp.sorters.claims import (
    DIGITS,
    Truth,
    all_heads_but,
    by_own_blank,
    counted_in_blanks,
    edges,
    emitting,
    present,
    wires,
)
from interp.task import Task

OTHERS = {"relay": "reverse", "mirror": "reverse", "tally": "parity"}
"""Their names, and the rule that each follows."""


def relay(task: Task) -> Truth:
    """Reverses by way of the blanks."""
    looked_at, circuit, _ = by_own_blank(task, "0.1")
    return Truth(
        name="relay",
        heads=frozenset({(0, 1), (1, 2)}),
        decoy_heads=all_heads_but((0, 1), (1, 2)),
        mlps=frozenset(),
        blanks_needed=True,
        blanks_content=True,
        digits_content=False,
        prefix_used=False,
        blank_output="diagonal",
        mediated=1.0,
        decodable=frozenset({"sorted"}),
        edges=looked_at,
        circuit=circuit,
        program="reverse",
        list_in=frozenset({"head 0.1 at the blanks"}),
        answer_in=frozenset({"head 1.2"}),
        words="In layer 0 blank i copies the digit that is i-th from the end. "
        "In layer 1 output i copies it from blank i.",
    )


def mirror(task: Task) -> Truth:
    """Reverses past the blanks, which hold the answer as well."""
    rows = present(task, emitting(task))
    return Truth(
        name="mirror",
        heads=frozenset({(1, 0)}),
        decoy_heads=all_heads_but((1, 0)),
        mlps=frozenset(),
        blanks_needed=False,
        blanks_content=False,
        digits_content=True,
        prefix_used=False,
        blank_output="none",
        mediated=0.0,
        decodable=frozenset({"sorted"}),
        edges=edges(task, 1, 0, emitting(task), DIGITS),
        circuit=(
            *wires("embed@digits > 1.0.v@{}", rows),
            *wires("1.0@{0} > logits@{0}", rows),
        ),
        program="reverse",
        list_in=frozenset({"head 1.0"}),
        answer_in=frozenset({"head 1.0"}),
        words="In layer 1 output i copies the digit that is i-th from the end. "
        "Blank i holds it as well, and output i looks at it, but reads nothing.",
    )


def tally(task: Task) -> Truth:
    """Says a parity that is counted in the blanks."""
    return counted_in_blanks(
        task,
        "tally",
        mediated=1 - 1 / task.n_blanks,  # the last blank reads its own share, too: it answers
        decodable=frozenset(),
        program="parity",
        words="In layer 0 every blank counts the bits, all of them alike. "
        "In layer 1 the output averages the counts over all blanks and tells odd from even.",
    )
