"""What is left of Plotly's script, and that it is enough."""

from __future__ import annotations

import base64
import gzip

from plotly.offline import get_plotlyjs

from interp.support.plotly_script import TRACES, cut, packed

KINDS = ["bar", "box", "heatmap", "table", "pie", "map", "geo", "cone", "violin"]


def small_script() -> str:
    """Built as Plotly's is: helpers, modules, an ESM module with its functions, the list."""
    modules = [
        f'var M{kind}=W((e,t)=>{{var r=U{kind}();t.exports={{moduleType:"trace",name:"{kind}"}}}});'
        f"var U{kind}=W(e=>{{e.{kind}=1}});"
        for kind in KINDS
    ]
    listed = ",".join(f"M{kind}()" for kind in KINDS)
    return (
        "var Plotly=(()=>{var E=(e,t,r)=>()=>{return t};var W=(e,t)=>()=>{return t};"
        + "".join(modules)
        + "var Q=W(()=>{});function free(){}var Z=E(()=>{free()});"
        + "var I=W((e,t)=>{t.exports=Mbox()});"
        + f"var L=W((e,t)=>{{var c=C();c.register([{listed}]);t.exports=c}});var C=W(e=>{{}});"
        + "return L();})();"
    )


def test_what_no_wanted_kind_calls_is_left_out() -> None:
    script = cut(small_script(), ["bar", "scatter"])
    assert "c.register([Mbar()])" in script and "e.bar=1" in script
    assert not any(f'"{kind}"' in script or f"e.{kind}" in script for kind in KINDS[1:])
    assert "function free(){}" in script  # whoever calls it, calls it by no module's name
    assert script.startswith("var Plotly=") and script.endswith("return L();})();")
    assert "var C=W(" in script and "var I=" not in script


def test_a_script_that_is_built_otherwise_is_whole() -> None:
    for script in ("var Plotly = {}", small_script().replace(".register(", ".add(")):
        assert cut(script, TRACES) == script
    assert cut(small_script(), ["contour"]) == small_script()


def test_plotly_s_own_is_cut_and_comes_back_from_a_page() -> None:
    script = gzip.decompress(base64.b64decode(packed())).decode()
    assert script == cut(get_plotlyjs(), TRACES)
    assert "All rights reserved" in script  # its licence stays
    assert len(packed()) < 1_350_000  # a page with its figure is to stay below 1.5 MB
