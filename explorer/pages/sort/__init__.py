"""The page Sort: ``page.draw(view, places)``."""
