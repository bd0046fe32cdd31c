"""What a device does with RoBERTa: the command `python -m benchmarks.gpu`."""
