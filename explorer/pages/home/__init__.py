"""The page Home: ``page.draw(places)``."""
