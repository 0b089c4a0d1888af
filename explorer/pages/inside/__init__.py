"""The page Inside: ``page.draw(view, places)``."""
