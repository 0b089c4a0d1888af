"""Plotly's own script for pages that open offline, cut to what our figures need, and packed.

    packed()            # gzip, as base64: 1.2 of the 4.8 MB that Plotly brings

Plotly comes as one script of a thousand modules, each a function that others call by a name of its
own, and a list of the kinds of traces in it. What no kind of ours calls is left out. A script that
is not built so is taken whole: a page is then larger, and as right.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise

TRACES = frozenset({"scatter", "bar", "heatmap", "table"})
"""The kinds of traces that figures here are made of."""

_WRAPPER = re.compile(r"var ([\w$]+)=\([\w$,]+\)=>\(\)=>\{")
_CALLS = re.compile(r"([\w$]+)\(\)")
_LIST = re.compile(r"\.register\(\[((?:[\w$]+\(\),?){9,})\]\)")
_KIND = re.compile(r'moduleType:"trace",name:"(\w+)"')
_GIVES_ON = re.compile(r"exports=([\w$]+)\(\)")
_HEAD = 20_000  # characters, among which the wrappers of modules are
_MAPS = "maplibre"  # in the one large part that only maps use


@cache
def packed(traces: frozenset[str] = TRACES) -> str:
    """The script for these kinds of traces; the browser unpacks it."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(
        gzip.compress(cut(get_plotlyjs(), traces).encode(), 6, mtime=0)
    ).decode()


def cut(script: str, traces: Iterable[str]) -> str:
    """The script with those kinds of traces alone; whole, if it is not built as expected."""
    wrappers = "|".join(map(re.escape, _WRAPPER.findall(script[:_HEAD])))
    called = rf"=(?:{wrappers})\((?:\([\w$,]*\)|[\w$]+)=>\{{"
    starts = [found.start() for found in re.finditer(rf"(?<=;)var [\w$]+{called}", script)]
    if not wrappers or not starts or not _LIST.search(script):
        return script
    bounds = [0, *starts, script.rindex(";return ") + 1, len(script)]
    parts = [script[a:b] for a, b in pairwise(bounds)]
    names = {
        name: i for i, part in enumerate(parts) for name in re.findall(rf"([\w$]+){called}", part)
    }
    listed = next(i for i, part in enumerate(parts) if _LIST.search(part))
    kinds = {_kind(parts, names, name): name for name in _CALLS.findall(_listed(parts[listed]))}
    wanted = sorted(set(traces) - {"scatter"})  # it is always there
    if not kinds.keys() >= set(wanted):
        return script
    calls = ",".join(f"{kinds[kind]}()" for kind in wanted)
    parts[listed] = _LIST.sub(f".register([{calls}])", parts[listed])
    several = [i for i, part in enumerate(parts) if len(re.findall(called, part)) > 1]
    kept = {0, len(parts) - 1, *(i for i in several if _MAPS not in parts[i])}
    return "".join(parts[i] for i in sorted(_reached(parts, names, kept)))


def _listed(part: str) -> str:
    found = _LIST.search(part)
    return found[1] if found else ""


def _kind(parts: Sequence[str], names: Mapping[str, int], name: str) -> str:
    """The kind of trace that a module is, which may be another's that it gives on."""
    for _ in range(4):
        part = parts[names[name]] if name in names else ""
        if found := _KIND.search(part):
            return found[1]
        if not (found := _GIVES_ON.search(part)):
            break
        name = found[1]
    return ""


def _reached(parts: Sequence[str], names: Mapping[str, int], first: Iterable[int]) -> set[int]:
    """The parts that these call, by themselves or through others."""
    reached, left = set(first), list(first)
    while left:
        called = {names[name] for name in _CALLS.findall(parts[left.pop()]) if name in names}
        left += called - reached
        reached |= called
    return reached
