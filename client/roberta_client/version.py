"""The version, which the client tells the service as well."""

__version__ = "0.1.0"
