"""The field's methods, a module each; every one is first run on sorters whose algorithm is known."""
