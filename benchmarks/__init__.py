"""Side-by-side timings. Never part of the tests; each file is a command."""
