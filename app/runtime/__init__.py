"""ONNX Runtime sessions and the arrays they eat. Knows no queue, no task and no HTTP."""
