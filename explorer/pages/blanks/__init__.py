"""The page Blanks: ``page.draw(view, places)``."""
