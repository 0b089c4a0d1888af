"""What is true of the models compiled by hand for other tasks than sorting.

They are the control for what is said of blanks elsewhere: reversing a list by way of the blanks
and past them, and a parity that is counted in the blanks.
"""

from __future__ import annotations

from interp.sorters.claims import (
    BLANKS,
    DIGITS,
    SEP,
    Truth,
    all_heads_but,
    edges,
    emitting,
    present,
    wires,
)
from interp.task import Region, Task

OTHERS = {"relay": "reverse", "mirror": "reverse", "tally": "parity"}
"""Their names, and the rule that each follows."""


def relay(task: Task) -> Truth:
    """Reverses by way of the blanks."""
    spare = task.n_blanks > task.max_len  # the last blank then holds nothing
    filled = (Region.BLANKS,) if spare else BLANKS
    reads_last = Region.OUTPUTS if task.max_len > 1 else Region.LAST_BLANK
    rows = present(task, emitting(task))
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
        edges=(
            *edges(task, 0, 1, filled, DIGITS),
            *edges(task, 1, 2, emitting(task), (Region.BLANKS,)),
            *(() if spare else edges(task, 1, 2, (reads_last,), (Region.LAST_BLANK,))),
        ),
        circuit=(
            *wires("embed@digits > 0.1.v@{}", present(task, filled)),
            *wires("0.1@blanks > 1.2.v@{}", present(task, rows, read=Region.BLANKS)),
            *wires("0.1@last blank > 1.2.v@{}", () if spare else (reads_last,)),
            *wires("1.2@{0} > logits@{0}", rows),
        ),
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
    rows = present(task, emitting(task))
    return Truth(
        name="tally",
        heads=frozenset({(0, 2), (1, 0)}),
        decoy_heads=all_heads_but((0, 2), (1, 0)),
        mlps=frozenset({1}),
        blanks_needed=True,
        blanks_content=True,
        digits_content=False,
        prefix_used=False,
        blank_output="flat",
        mediated=(task.n_blanks - 1)
        / task.n_blanks,  # the rest is the last blank's own, which answers
        decodable=frozenset(),
        edges=(
            *edges(task, 0, 2, BLANKS, DIGITS),
            *edges(task, 1, 0, emitting(task), BLANKS),
        ),
        circuit=(
            *wires("embed@digits > 0.2.v@{}", present(task, BLANKS)),
            *(
                wire
                for blank in present(task, BLANKS)
                for wire in wires(f"0.2@{blank} > 1.0.v@{{}}", rows)
            ),
            *wires("1.0@{0} > mlp1@{0}", rows),
            *wires("mlp1@{0} > logits@{0}", rows),
        ),
        program="parity",
        list_in=frozenset({"head 1.0", "head 0.2 at the blanks"}),
        answer_in=frozenset({"MLP 1"}),
        words="In layer 0 every blank counts the bits, all of them alike. "
        "In layer 1 the output averages the counts over all blanks and tells odd from even.",
        sinks=edges(task, 0, 2, BLANKS, SEP),
    )
