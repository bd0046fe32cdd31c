"""Models that answer: found, loaded, proved, and listed."""
