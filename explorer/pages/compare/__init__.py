"""The page Compare: ``page.draw(view, places)``."""
