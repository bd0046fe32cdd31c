"""The inference service. Importing this package imports nothing: `training` reads `app.bundle` from it."""

__version__ = "0.1.0"
