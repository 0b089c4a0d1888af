"""The page Truth: ``page.draw(view, places)``."""
