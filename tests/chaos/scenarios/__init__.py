"""The scenarios, one module for each family of faults."""
