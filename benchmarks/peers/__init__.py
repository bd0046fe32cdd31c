"""Other servers of the same model, each in an environment of its own, started as their documentation shows."""
