"""Scores of predicted masks: metrics, their intervals, and the report of an evaluation."""
