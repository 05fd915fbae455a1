"""The benchmark: every system under one protocol, over folds and seeds, stopped and continued at will."""
