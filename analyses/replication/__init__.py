"""See ``body``."""
