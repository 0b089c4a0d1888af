"""What every figure has in common."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures import retold, style


def test_all_texts_of_a_figure_are_changed_and_nothing_else() -> None:
    figure = go.Figure(go.Scatter(x=["two digits", "b"], y=[1, None], customdata=[("digit", True)]))
    figure.update_layout(title_text="a digit", meta={"digits": ["digit", 3]})
    told = retold(figure, lambda text: text.replace("digit", "bit"))
    assert list(told.data[0].x) == ["two bits", "b"] and list(told.data[0].y) == [1, None]
    assert list(map(tuple, told.data[0].customdata)) == [("bit", True)]
    assert told.layout.title.text == "a bit" and told.layout.meta == {"digits": ["bit", 3]}
    assert figure.layout.title.text == "a digit"
    assert retold(figure, str) is figure


def test_no_line_shows_through_the_empty_cells_of_a_map() -> None:
    figure = make_subplots(rows=1, cols=2)
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1]), row=1, col=1)
    figure.add_trace(go.Heatmap(z=[[0.5, None]]), row=1, col=2)
    layout = style(figure, "two panels").layout
    for axis in (layout.xaxis2, layout.yaxis2):
        assert (axis.showgrid, axis.zeroline) == (False, False)
    for axis in (layout.xaxis, layout.yaxis):
        assert (axis.showgrid, axis.zeroline) == (None, None)
