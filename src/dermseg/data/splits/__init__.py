"""Which images train, validate and test: identifier lists with a checksum, drawn here or kept frozen."""

from dermseg.data.splits.draw import hold_out, k_fold
from dermseg.data.splits.files import frozen_splits, load_split, save_split
from dermseg.data.splits.split import SIDES, Split

__all__ = ["SIDES", "Split", "frozen_splits", "hold_out", "k_fold", "load_split", "save_split"]
