"""Forward passes: the fast one for training, the editable one, and parameters alone."""
