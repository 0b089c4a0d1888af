"""How every page looks: one style sheet, for both themes and all widths."""

from __future__ import annotations

SHEET = """<style>
[data-testid="stMainBlockContainer"] {padding: 4rem 2rem 3rem 2rem; max-width: 1500px;}
[data-testid="stMain"] [data-testid="stVerticalBlock"] {gap: .6rem;}
[data-testid="stMain"] h1 {font-size: 1.7rem; padding: .2rem 0 .5rem 0;}
[data-testid="stMain"] h2 {font-size: 1.3rem; padding: .3rem 0 .2rem 0;}
[data-testid="stMain"] h3 {font-size: 1.1rem; padding: .2rem 0;}
[data-testid="stSidebarUserContent"] {padding-bottom: 2rem;}
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p,
[data-testid="stWidgetLabel"] + div small {
  color: color-mix(in srgb, var(--text-color, currentColor) 82%, transparent) !important;
  opacity: 1 !important;}
[data-testid="stSliderThumbValue"] {color: light-dark(#31333F, #FAFAFA) !important;}
[data-testid="stPageLink"] a, [data-testid="stPageLink"] p {white-space: normal !important;
  overflow: visible !important;}
.js-plotly-plot .gtitle {fill: currentColor !important;}
.js-plotly-plot :is(.xtick text, .ytick text, .xtitle, .ytitle, .gtitle-subtitle, .legendtext,
  .cbaxis text, .cbtitle text) {
  fill: color-mix(in srgb, currentColor 85%, transparent) !important;}
.js-plotly-plot .annotation-text[style*="rgb(128, 132, 149)"] {
  fill: color-mix(in srgb, currentColor 85%, transparent) !important;}
button:is([data-variant="pills"], [data-variant="segmented_control"])[data-selected="true"] p {
  color: light-dark(#005A8D, #9AD1F5) !important;}
[data-testid="stElementContainer"]:has(> * [data-testid="stPlotlyChart"]) {overflow-x: auto;}
[data-testid="stFullScreenFrame"]:has([data-testid="stPlotlyChart"]) {min-width: 340px;}
@media (max-width: 640px) {
  [data-testid="stFullScreenFrame"]:has([data-testid="stPlotlyChart"]) {min-width: 960px;}
  [data-testid="stMainBlockContainer"] {padding: 4rem 1rem 2rem 1rem;}
}
</style>"""
"""Half the room that Streamlit leaves at the edges; small print and figures' texts that can be read
(contrast of at least 4.5 to 1); and on a phone, figures as wide as they must be, to be moved under
the finger."""
