"""Sessions of ONNX Runtime and the arrays that they read. Knows no queue, no task and no HTTP."""
