"""Training: arguments, Lightning module, run folder."""
