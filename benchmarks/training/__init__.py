"""Examples per second of training: the command `python -m benchmarks.training`."""
