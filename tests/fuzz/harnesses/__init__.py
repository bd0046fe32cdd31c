"""The harnesses, one module for each part of the project that reads."""
