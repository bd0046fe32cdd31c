"""Measurements of the service on a CPU, one module each, and what they share."""
