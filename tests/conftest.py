"""Settings that every test shares."""

import os
import signal

# Two processes share the tests, so each computes with one thread. Before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# A shell ignores Ctrl-C in what it starts in the background, and tests that send it inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The first example of a property may compile a kernel, which takes longer than any deadline worth setting.
settings.register_profile("dermseg", deadline=None)
settings.load_profile("dermseg")
