"""The quality of a data set: what every pair measures, what is suspicious about it, and the report."""
