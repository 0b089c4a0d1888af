"""The pages, a folder each; ``page.draw(view, places)`` draws one."""
