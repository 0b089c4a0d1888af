"""How long a visitor of the explorer waits, in a real browser on this machine.

    python -m benchmarks.explorer                   # starts, pages, controls, the sweep: minutes
    python -m benchmarks.explorer --soak 10         # and ten minutes of random clicking: memory
    python -m benchmarks.explorer --json

- **start**: from `streamlit run app.py` as a new process, its imports included, to the page Home
  with its findings and an answer that can be read in the browser (which is open already).
- **pages**: from a click in the menu to the page at rest, on a server that has shown Home alone;
  and the second time.
- **controls**: from a click or a key to the page at rest, for a control of each kind on every page.
  The first uses count: of the mask, of the training slider.
- **together**: new lists on Sort, while another visitor's page is being drawn.
- **list**: from Enter in the field for the list to the page at rest with all figures of that list
  redrawn, on Sort, Attention and Blanks. Random lists of all lengths; the first two do not count.
- **sweep**: on Patch, from Enter to the exact map of a new pair of lists of 48 digits; and whether
  a bar showed how far it was.
- **soak**: the server's memory after random pages, models, lists and interventions.

What is promised stands beside what was measured. Times mean something on an otherwise idle machine
only.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from benchmarks.browser import WAIT_MS, Server, chromium, serve, settle
from benchmarks.waiting import control_times, page_times, together
from explorer import shell
from interp.checkpoints import COMPILED, shipped_models
from interp.sorters.truth import SORTERS
from interp.support.cli import note, run_command
from interp.support.errors import at_least

PROG = "python -m benchmarks.explorer"
PAGES = ("sort", "attention", "blanks")
"""Where a change of list is timed."""
PATHS = tuple(page.path for page in shell.PAGES)
LONGEST = 48
_DONE = ("", "published", "zero:0-48", "mean:3-10", "resample:5", "mask-kept:0-20")
_WARM_UP = 2


@dataclass(frozen=True)
class BenchmarkArgs:
    """Time the explorer in a browser."""

    starts: int = 3  # fresh servers
    lists: int = 40  # changes of the list on each page
    sweeps: int = 5  # new pairs of lists
    repeats: int = 20  # uses of each control
    soak: float = 0.0  # minutes of random clicking
    seed: int = 0  # of the lists
    json: bool = False  # print the result as JSON on stdout, and nothing else there

    def __post_init__(self) -> None:
        at_least(self, starts=1, lists=5, sweeps=1, repeats=2, soak=0, seed=0)


def main(argv: Sequence[str] | None = None) -> None:
    run_command(BenchmarkArgs, benchmark_command, PROG, argv)


def benchmark_command(args: BenchmarkArgs) -> None:
    rng = random.Random(args.seed)
    with chromium() as browser:
        result: dict[str, Any] = {"start_s": [first_page(browser) for _ in range(args.starts)]}
        note(f"start: {result['start_s']}")
        with serve() as server:
            result["pages_s"] = page_times(browser, server)
            note(f"pages: {result['pages_s']}")
        with serve() as server:
            result["controls_s"] = control_times(browser, server, args.repeats)
            result["together_s"] = together(browser, server, args.repeats)
            result["list_s"] = {p: list_changes(browser, server, p, args.lists, rng) for p in PAGES}
            result["sweep_s"], result["progress_shown"] = sweeps(browser, server, args.sweeps, rng)
            if args.soak:
                result["memory_mb"] = soak(browser, server, args.soak, rng)
    print(json.dumps(result) if args.json else in_words(result))


def first_page(browser: Any) -> float:
    """Seconds from a new process to the page Home with its findings and its first answer."""
    page = browser.new_page()
    began = time.monotonic()
    with serve() as server:
        page.goto(server.address)
        page.locator('[data-testid="stMain"] .sequence .token').first.wait_for(timeout=WAIT_MS)
        seconds = time.monotonic() - began
        settle(page)
    page.close()
    return round(seconds, 2)


def address(server: Server, path: str) -> str:
    """Of a page; the first one, Home, has no path."""
    return server.address + ("/" if path == "home" else f"/{path}")


def list_changes(
    browser: Any, server: Server, path: str, n_lists: int, rng: random.Random
) -> list[float]:
    """Seconds of each change of the list, the first ones dropped."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address(server, path))
    page.get_by_role("textbox", name="List to sort").wait_for(timeout=WAIT_MS)
    settle(page)
    seconds = [change_list(page, random_list(rng)) for _ in range(_WARM_UP + n_lists)]
    page.close()
    note(f"{path}: {_spread(seconds[_WARM_UP:])}")
    return seconds[_WARM_UP:]


# A figure says below its title which list it is of; what is still there from before says another.
_REDRAWN = """(list) => {
    const app = document.querySelector('[data-testid="stApp"]')
    if (app?.getAttribute('data-test-script-state') !== 'notRunning') return null
    if (document.querySelector('[data-stale="true"]')) return null
    const url = new URL(window.location).searchParams.get('list')
    if (url !== list) return null
    for (const figure of document.querySelectorAll('.js-plotly-plot')) {
        const foot = figure.textContent.match(/ · list ([0-9,]+)/)
        if (foot && foot[1] !== list) return null
    }
    return performance.now() - window.began
}"""


def change_list(page: Any, text: str, also: str = "() => true") -> float:
    """Type a list; seconds until everything of it is drawn, and ``also`` holds."""
    box = page.get_by_role("textbox", name="List to sort")
    box.fill(text)
    page.evaluate(
        "document.addEventListener('keydown', () => {window.began = performance.now()},"
        " {once: true, capture: true})"
    )
    box.press("Enter")
    drawn = page.wait_for_function(
        f"list => {{ const done = ({_REDRAWN})(list); return ({also})() ? done : null }}",
        arg=text,
        timeout=WAIT_MS,
    )
    return round(drawn.json_value() / 1000, 3)


def random_list(rng: random.Random, length: int | None = None) -> str:
    """``3,1,4``"""
    return ",".join(str(rng.randrange(10)) for _ in range(length or rng.randint(1, LONGEST)))


def sweeps(
    browser: Any, server: Server, n_sweeps: int, rng: random.Random
) -> tuple[list[float], bool]:
    """Seconds to the exact map of each new pair, and whether a bar was seen on the way."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{server.address}/patch?list={random_list(rng, LONGEST)}")
    page.locator(_MAP).first.wait_for(timeout=WAIT_MS)
    settle(page)
    page.evaluate(
        """() => new MutationObserver(() => {
            if (document.querySelector('[data-testid="stProgress"]')) window.bar = true
        }).observe(document.body, {subtree: true, childList: true})"""
    )
    drawn = f"() => document.querySelector('{_MAP}') !== null"
    seconds = [change_list(page, random_list(rng, LONGEST), drawn) for _ in range(n_sweeps)]
    shown = bool(page.evaluate("() => window.bar === true"))
    page.close()
    note(f"sweep: {_spread(seconds)}")
    return seconds, shown


_MAP = ".st-key-patch_exact .vega-embed"


def soak(
    browser: Any, server: Server, minutes: float, rng: random.Random
) -> dict[str, float | int]:
    """The server's memory before, on the way (the most) and after two visitors' random clicking,
    by turns."""
    windows = [browser.new_page(viewport={"width": 1280, "height": 900}) for _ in range(2)]
    names = [*shipped_models(), *(f"{COMPILED}{name}" for name in SORTERS)]  # lists of digits
    before = most = server.resident_mb
    stop, visits = time.monotonic() + 60 * minutes, 0
    while time.monotonic() < stop:
        page, path, name = windows[visits % 2], rng.choice(PATHS), rng.choice(names)
        link = f"?model={quote(name)}&list={random_list(rng)}&do={quote(rng.choice(_DONE))}"
        page.goto(address(server, path) + link)
        page.get_by_role("textbox", name="List to sort").wait_for(timeout=WAIT_MS)
        settle(page)
        for _ in range(3):
            change_list(page, random_list(rng, rng.choice([5, 10])))
        visits, most = visits + 1, max(most, server.resident_mb)
    after = server.resident_mb
    for window in windows:
        window.close()
    return {"before": before, "most": most, "after": after, "visits": visits, "minutes": minutes}


# -- words --------------------------------------------------------------------------------------


def in_words(result: dict[str, Any]) -> str:
    """The result, a line for each measure."""
    lines = [f"first page: {_spread(result['start_s'])}", "", *_table(result), ""]
    lines += [f"a list on Sort, two visitors at once: {_spread(result['together_s'])}"]
    lines += [f"new list on {page}: {_spread(times)}" for page, times in result["list_s"].items()]
    bar = "progress shown" if result["progress_shown"] else "NO progress shown"
    lines.append(f"exact sweep of a pair of {LONGEST} digits: {_spread(result['sweep_s'])}, {bar}")
    if memory := result.get("memory_mb"):
        lines.append(
            f"memory: {memory['before']:.0f} MB before, {memory['after']:.0f} MB after "
            f"{memory['minutes']:g} minutes and {memory['visits']} visits, "
            f"at most {memory['most']:.0f} MB on the way"
        )
    return "\n".join(lines)


FIRST_S, AGAIN_S, CONTROL_S = 1.5, 0.5, 0.5
"""What is promised of two idle cores: a page first seen, seen again, and a control (95 %)."""


def _table(result: dict[str, Any]) -> Iterator[str]:
    """Markdown: pages, then controls; what is over its promise is marked."""
    yield f"| page | first seen, s (at most {FIRST_S:g}) | seen again (at most {AGAIN_S:g}) |"
    yield "| --- | --- | --- |"
    for name, (first, again) in result["pages_s"].items():
        yield f"| {name} | {_held(first, FIRST_S)} | {_held(again, AGAIN_S)} |"
    yield ""
    yield f"| control | n | median, s | 95th percentile (at most {CONTROL_S:g}) | first use |"
    yield "| --- | --- | --- | --- | --- |"
    for name, seconds in result["controls_s"].items():
        middle, high = statistics.median(seconds), _percentile(seconds)
        row = f"{len(seconds)} | {middle:.2f} | {_held(high, CONTROL_S)} | {seconds[0]:.2f}"
        yield f"| {name} | {row} |"


def _held(seconds: float, most: float) -> str:
    return f"{seconds:.2f}" + ("" if seconds <= most else " ✗")


def _percentile(seconds: Sequence[float]) -> float:
    """The 95th; of fewer than 20 the largest."""
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) >= 20 else max(seconds)


def _spread(seconds: Sequence[float]) -> str:
    text = f"median {statistics.median(seconds):.2f} s"
    if len(seconds) >= 20:
        text += f", 95th percentile {statistics.quantiles(seconds, n=20)[-1]:.2f} s"
    return f"{text}, at most {max(seconds):.2f} s (n = {len(seconds)})"


if __name__ == "__main__":
    main()
