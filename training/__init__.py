"""Turns labeled text into bundles that the service loads."""
