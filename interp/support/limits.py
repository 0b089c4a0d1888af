"""The largest sizes that are taken at their word. What asks for more is refused at once, in one
line, before anything is built: a number that was damaged or mistyped is no wish.

Each is far above what these models need, and far below what a machine cannot hold.
"""

from __future__ import annotations

MOST_CONFIG_BYTES = 1 << 20
"""Of a file that says what something is: a config, an evaluation, a summary. Ours have 10 KB."""
MOST_POSITIONS = 4096
"""Of a sequence: attention scores of one list and head take 64 MB. The experiment has 146."""
MOST_LAYERS = 64
MOST_HEADS = 256
MOST_WIDTH = 1 << 14
"""Of the residual stream, and of a head."""
MOST_NEURONS = 1 << 17
"""Of a layer's MLP."""
MOST_PARAMETERS = 1 << 28
"""Of a model: 1 GB. The experiment's has a million."""
MOST_STEPS = 500_000
"""Updates of a run. The experiment's has 6,000."""
MOST_BATCH = 1 << 16
"""Lists of an update."""
MOST_LISTS = 200_000
"""Lists, or pairs of them, that a command takes at once: more make no interval that matters."""
MOST_REPEATS = 1_000_000
"""Of things that are done one after the other, such as steps of an integral."""
MOST_SEED = (1 << 63) - 1
"""What 64 bits hold, a sign included."""
MOST_THREADS = 1024
MOST_RUNS = 10_000
"""Of an arm of a study."""
