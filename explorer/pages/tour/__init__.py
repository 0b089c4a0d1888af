"""The page Tour: ``page.draw(view, places)``."""
