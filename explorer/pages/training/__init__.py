"""The page Training: ``page.draw(view, places)``."""
