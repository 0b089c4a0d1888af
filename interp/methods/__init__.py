"""The methods of the field, a module each, first run on sorters whose algorithm is known."""
