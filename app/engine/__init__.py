"""The queue and the runners that empty it. Knows windows and seconds; no HTTP, no task, no onnxruntime."""
