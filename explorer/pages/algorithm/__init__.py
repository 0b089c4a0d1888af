"""The page Algorithm: ``page.draw(view, places)``."""
