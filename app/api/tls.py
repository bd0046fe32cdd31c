"""TLS of the port, and certificates that clients must show."""

from __future__ import annotations

import ssl
from pathlib import Path

from app.settings import Settings


class TlsError(Exception):
    """The files cannot be used. The message is a sentence that names the setting."""


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the context of the settings' files, TLS 1.2 or later; None without a certificate. Raises `TlsError`."""
    if settings.ssl_certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    password = settings.ssl_keyfile_password
    secret = "" if password is None else password.get_secret_value()  # never asked for at a terminal
    check_readable("ssl_certfile", settings.ssl_certfile)
    check_readable("ssl_keyfile", settings.ssl_keyfile)
    check_readable("ssl_ca_certs", settings.ssl_ca_certs)
    try:
        context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, lambda: secret)
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(f"ssl_certfile, ssl_keyfile or its password cannot be used: {reason_of(error)}") from None
    if settings.ssl_ca_certs is not None:
        try:
            context.load_verify_locations(settings.ssl_ca_certs)
        except ssl.SSLError as error:
            raise TlsError(f"ssl_ca_certs cannot be used: {reason_of(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def check_readable(name: str, path: Path | None) -> None:
    try:
        if path is not None:
            path.open("rb").close()
    except OSError as error:
        flag = f"--{name.replace('_', '-')}"
        raise TlsError(f"{name} {path}: {error.strerror}; give a PEM file that can be read with {flag}") from None


def reason_of(error: Exception) -> str:
    """Return OpenSSL's word for it: KEY_VALUES_MISMATCH, NO_START_LINE."""
    return (getattr(error, "reason", None) or "not PEM").lower().replace("_", " ")
