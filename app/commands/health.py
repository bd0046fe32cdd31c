"""`roberta-serve health`: ask whether the service is ready, wherever its flags and settings have it listen.

It imports little: the image runs it every few seconds, as `python -m app.commands.health`.
"""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict, SettingsError

from app.commands.settings_flags import SettingsParser
from app.http_settings import CLI, HttpSettings

DESCRIPTION = """Ask the service of this machine or container whether it is ready: exit code 0 where it is, 1 where it
is not. Flags are those of the service, as far as they say where it listens; without any they are taken from the command
line of the service that runs. The environment and the file of settings are read as the service reads them."""
TIMEOUT_S = 4.0
PATH = "/health/ready"
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}
PROCESSES = Path("/proc")


class Health(HttpSettings):
    """The settings that say where the service listens."""

    model_config = SettingsConfigDict(
        **CLI, cli_prog_name="roberta-serve health", cli_ignore_unknown_args=True, extra="ignore"
    )


class HealthParser(SettingsParser[Health]):
    """Reads the flags of the service that runs where none are given, and passes over those that are not its own."""

    def read_flags(self, args: Sequence[str] | None, namespace: Any) -> Any:
        return self.parse_known_args(args, namespace)[0]

    def read(self, arguments: Sequence[str]) -> Health:
        try:
            return self.load(arguments or flags_of_service(PROCESSES))
        except (ValidationError, SettingsError) as error:
            raise SystemExit(f"roberta-serve: the settings of the service cannot be read: {error}") from None


def make_parser() -> HealthParser:
    return HealthParser(Health, "roberta-serve health", DESCRIPTION)


def run(settings: Health) -> NoReturn:
    """End with 0 where the service is ready, with a sentence and 1 where it is not."""
    try:
        answer = ask(settings)
    except (OSError, HTTPException) as error:
        raise SystemExit(f"roberta-serve: the service does not answer: {error}") from None
    if answer is not None:
        raise SystemExit(f"roberta-serve: the service is not ready: {answer}")
    raise SystemExit(0)


def flags_of_service(processes: Path) -> list[str]:
    """Return the flags of the service that runs, the oldest where there are several; none where it is not found.

    Under an init process the flags are in the command line of that one, too.
    """
    for file in sorted(processes.glob("[0-9]*/cmdline"), key=lambda file: int(file.parent.name)):
        try:
            line = file.read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        except OSError:  # it has ended, or belongs to somebody else
            continue
        if (flags := flags_in(line)) is not None:
            return flags
    return []


def flags_in(line: Sequence[str]) -> list[str] | None:
    """Return the flags of a command line that serves; None of another one."""
    for at, word in enumerate(line):
        is_command = Path(word).name == "roberta-serve" or (word == "app" and line[at - 1 : at] == ["-m"])
        if is_command:
            flags = [*line[at + 1 :]]
            verb = flags.pop(0) if flags and not flags[0].startswith("-") else "serve"
            return flags if verb == "serve" else None
    return None


def ask(settings: HttpSettings) -> str | None:
    """Return why the service is not ready; None where it is. Raises `OSError` where it does not answer."""
    with connect(settings) as connection:
        if settings.ssl_ca_certs is not None and settings.admin_port is None:
            return None  # it answers nobody without a certificate; that it listens is all that can be known
        asked = HTTPConnection("localhost", timeout=TIMEOUT_S)
        asked.sock = connection
        asked.request("GET", PATH)
        response = asked.getresponse()
        content = response.read()
    return None if response.status == 200 else content.decode(errors="replace")


def connect(settings: HttpSettings) -> socket.socket:
    """Connect to the admin port, or else to where predictions are answered."""
    if settings.admin_port is not None:
        return connect_to(settings.admin_host or settings.host, settings.admin_port)
    if settings.uds is not None:
        opened = socket.socket(socket.AF_UNIX)
        opened.settimeout(TIMEOUT_S)
        opened.connect(str(settings.uds))
    else:
        opened = connect_to(settings.host, settings.port)
    if settings.ssl_certfile is None:
        return opened
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is the service of this machine
    return context.wrap_socket(opened)


def connect_to(host: str, port: int) -> socket.socket:
    if port == 0:
        raise OSError("it listens on a port that the system chose; give it one, or an admin_port")
    return socket.create_connection((LOOPBACK.get(host, host), port), timeout=TIMEOUT_S)


if __name__ == "__main__":
    run(make_parser().read(sys.argv[1:]))
