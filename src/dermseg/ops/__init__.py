"""Sequence operators: the mathematics of the networks, free of modules and parameters."""
