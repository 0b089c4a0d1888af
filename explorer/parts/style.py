"""How every page looks: one style sheet, for both themes and all widths."""

from __future__ import annotations

SHEET = """<style>
[data-testid="stMainBlockContainer"] {padding: 4rem 2rem 3rem 2rem; max-width: 1500px;}
[data-testid="stSidebarUserContent"] {padding-bottom: 2rem;}
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p,
[data-testid="stWidgetLabel"] + div small {
  color: color-mix(in srgb, var(--text-color, currentColor) 82%, transparent) !important;
  opacity: 1 !important;}
[data-testid="stPageLink"] a, [data-testid="stPageLink"] p {white-space: normal !important;
  overflow: visible !important;}
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] {padding: 4rem 1rem 2rem 1rem;}
}
</style>"""
"""Half the room that Streamlit leaves at the edges, and small print that can be read (contrast of
at least 4.5 to 1)."""
