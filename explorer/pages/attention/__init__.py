"""The page Attention: ``page.draw(view, places)``."""
