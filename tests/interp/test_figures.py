"""What every figure has in common."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures import GREY, copied, dividers, heatmap, retold, style


def test_all_texts_of_a_figure_are_changed_and_nothing_else() -> None:
    figure = go.Figure(go.Scatter(x=["two digits", "b"], y=[1, None], customdata=[("digit", True)]))
    figure.update_layout(title_text="a digit", meta={"digits": ["digit", 3]})
    told = retold(figure, lambda text: text.replace("digit", "bit"))
    assert list(told.data[0].x) == ["two bits", "b"] and list(told.data[0].y) == [1, None]
    assert list(map(tuple, told.data[0].customdata)) == [("bit", True)]
    assert told.layout.title.text == "a bit" and told.layout.meta == {"digits": ["bit", 3]}
    assert figure.layout.title.text == "a digit"
    assert retold(figure, str) is figure
    assert copied(figure) is not figure and copied(figure) == figure


def test_lines_across_a_panel_are_those_that_plotly_draws() -> None:
    ours, theirs = two_maps(), two_maps()
    dividers(ours, columns=(0.5, 1.5), rows=(0.5,), colour="white", width=2.0, row=1, col=2)
    for at in (0.5, 1.5):
        theirs.add_vline(at, line_width=2, line_color="white", row=1, col=2)
    theirs.add_hline(0.5, line_width=2, line_color="white", row=1, col=2)
    assert ours == theirs
    alone, other = go.Figure(ours.data[1]), go.Figure(ours.data[1])
    dividers(alone, columns=(0.5,))
    assert alone != other and alone == other.add_vline(0.5, line_width=1, line_color=GREY)


def two_maps() -> go.Figure:
    figure = make_subplots(rows=1, cols=2)
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1]), row=1, col=1)
    return figure.add_trace(go.Heatmap(z=[[1, 2], [3, 4]]), row=1, col=2)


def test_what_was_set_before_is_kept_by_the_style() -> None:
    figure = two_maps().update_layout(title_subtitle_text="small", legend_title_text="which")
    layout = style(figure, "large", 500).layout
    assert (layout.title.text, layout.title.subtitle.text) == ("large", "small")
    assert (layout.legend.title.text, layout.legend.orientation) == ("which", "h")
    assert (layout.height, layout.margin.t, style(two_maps()).layout.margin.t) == (500, 60, 20)


def test_a_cell_of_a_map_tells_its_row_and_its_column() -> None:
    cells = heatmap([[0.1, 0.2]], ["a", "b"], ["c"], name="share")
    assert [list(map(tuple, row)) for row in cells.customdata] == [[("c", "a"), ("c", "b")]]


def test_no_line_shows_through_the_empty_cells_of_a_map() -> None:
    figure = make_subplots(rows=1, cols=2)
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1]), row=1, col=1)
    figure.add_trace(go.Heatmap(z=[[0.5, None]]), row=1, col=2)
    layout = style(figure, "two panels").layout
    for axis in (layout.xaxis2, layout.yaxis2):
        assert (axis.showgrid, axis.zeroline) == (False, False)
    for axis in (layout.xaxis, layout.yaxis):
        assert (axis.showgrid, axis.zeroline) == (None, None)
