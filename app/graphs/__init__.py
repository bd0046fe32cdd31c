"""ONNX graphs rewritten before a session opens them. Needs the package onnx; training uses it too."""
