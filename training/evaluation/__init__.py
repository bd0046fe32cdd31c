"""Scores of predictions, whatever made them: a checkpoint and each exported graph of it share this code."""
