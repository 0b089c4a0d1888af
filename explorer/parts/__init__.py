"""What pages are put together from: shared controls, panels of figures, tokens."""
