"""Turns labelled text into bundles that the service loads."""
