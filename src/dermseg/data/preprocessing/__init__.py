"""Optional steps that make images more alike before a network sees them, in training and prediction alike."""
