"""The page Patch: ``page.draw(view, places)``."""
