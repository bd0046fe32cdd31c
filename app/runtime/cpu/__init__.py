"""Sessions on the CPU."""
