"""Programs that a model may have learned, as plain Python with named variables."""
