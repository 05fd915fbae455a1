"""What is known about shipped weights: measured once, kept as JSON, shown as a model card."""
