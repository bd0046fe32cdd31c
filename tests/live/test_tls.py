"""TLS and certificates of clients, in both shapes."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from app.api.tls import TlsError, tls_context
from app.settings import Settings
from tests.support.answers import ask
from tests.support.raw import BODY, HEAD, read_answer
from tests.support.server import SHAPES, command, until

PASSWORD = "a password"
FLAGS = pytest.mark.parametrize("flags", [(), ("--http-workers", "2")], ids=SHAPES)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory) -> dict[str, Path]:
    """Write the server's certificate and key, and the authority's certificate."""
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.0.0.1")
    files = {name: folder / f"{name}.pem" for name in ("cert", "key", "both", "ca")}
    issued.cert_chain_pems[0].write_to_path(str(files["cert"]))
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    encryption = BestAvailableEncryption(PASSWORD.encode())
    files["key"].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    issued.private_key_and_cert_chain_pem.write_to_path(str(files["both"]))
    authority.cert_pem.write_to_path(str(files["ca"]))
    return files


def client_context(authority: trustme.CA, certified_by: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if certified_by is not None:
        certified_by.issue_cert("client@example.org").configure_cert(context)
    return context


@FLAGS
def test_the_port_speaks_tls_and_nothing_else(flags, authority, files, tiny_models, tmp_path):
    tls = ("--ssl-certfile", str(files["cert"]), "--ssl-keyfile", str(files["key"]), "--ssl-keyfile-password", PASSWORD)
    trusting = client_context(authority)
    with command(tiny_models, tmp_path / "log", *tls, *flags, verify=trusting) as service:
        assert service.url.startswith("https://")
        answer = ask(service)
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        ready = f"{service.url}/health/ready"
        until(lambda: all(httpx.get(ready, verify=trusting).status_code == 200 for _ in range(12)))  # every process
        address = ("127.0.0.1", service.client.base_url.port)

        with socket.create_connection(address, timeout=30) as plain:
            plain.sendall(HEAD + b"\r\n" + BODY)
            assert not plain.recv(100).startswith(b"HTTP")

        with trusting.wrap_socket(socket.create_connection(address, 30), server_hostname="127.0.0.1") as modern:
            assert modern.version() == "TLSv1.3"
            modern.sendall(HEAD + b"\r\n" + BODY)
            assert read_answer(modern)[0] == 200
            modern.sendall(b"what is not HTTP\r\n\r\n")
            assert read_answer(modern)[0] == 400
    assert "Traceback" not in service.log()


@FLAGS
def test_clients_must_show_a_certificate_of_the_authority(flags, authority, files, tiny_models, tmp_path):
    tls = ("--ssl-certfile", str(files["both"]), "--ssl-ca-certs", str(files["ca"]))
    known = client_context(authority, authority)
    with command(tiny_models, tmp_path / "log", *tls, *flags, verify=known) as service:
        assert ask(service).status_code == 200
        for context in (client_context(authority), client_context(authority, trustme.CA())):
            with httpx.Client(verify=context) as stranger, pytest.raises(httpx.TransportError):
                stranger.get(f"{service.url}/health/live")
        assert ask(service).status_code == 200
    assert "Traceback" not in service.log()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ssl_certfile": "missing"}, "ssl_certfile .*missing.pem: No such file or directory"),
        ({"ssl_certfile": "cert", "ssl_keyfile": "missing"}, "ssl_keyfile .*missing.pem: No such file"),
        ({"ssl_certfile": "both", "ssl_ca_certs": "missing"}, "ssl_ca_certs .*missing.pem: No such file"),
        ({"ssl_certfile": "ca"}, "ssl_certfile, ssl_keyfile or its password cannot be used"),
        ({"ssl_certfile": "cert", "ssl_keyfile": "other"}, "cannot be used: key values mismatch"),
        ({"ssl_certfile": "both", "ssl_ca_certs": "key"}, "ssl_ca_certs cannot be used"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_used_is_a_sentence(settings, sentence, files):
    folder = files["cert"].parent
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(str(folder / "other.pem"))
    with pytest.raises(TlsError, match=sentence):
        tls_context(Settings(**{name: folder / f"{file}.pem" for name, file in settings.items()}))


def test_a_key_needs_its_password_and_no_old_tls_is_spoken(files):
    settings = {"ssl_certfile": files["cert"], "ssl_keyfile": files["key"]}
    context = tls_context(Settings(**settings, ssl_keyfile_password=PASSWORD))
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    for wrong in ({}, {"ssl_keyfile_password": "another"}):
        with pytest.raises(TlsError, match="password cannot be used") as raised:
            tls_context(Settings(**settings, **wrong))
        assert "another" not in str(raised.value)


@pytest.mark.parametrize("setting", ["ssl_keyfile", "ssl_ca_certs", "ssl_keyfile_password"])
def test_tls_that_is_asked_for_by_halves_is_refused(setting):
    with pytest.raises(ValueError, match="need ssl_certfile"):
        Settings(**{setting: "a"})


@FLAGS
def test_the_command_ends_with_that_sentence(flags, tiny_models, tmp_path):
    with pytest.raises(AssertionError, match="the command ended with"):  # noqa: SIM117
        with command(tiny_models, tmp_path / "log", "--ssl-certfile", "nowhere.pem", *flags):
            pass
    sentence = (
        "roberta-serve: ssl_certfile nowhere.pem: No such file or directory; give a PEM file that can be read with"
    )
    assert (tmp_path / "log").read_text() == f"{sentence} --ssl-certfile\n"
