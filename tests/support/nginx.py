"""Debian's nginx before several instances, unprivileged, with everything that it writes in a folder of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.server import until

# `proxy_next_upstream` is left at its default: what a POST has been sent to is not asked again elsewhere.
CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream instances {{
        {servers}
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://instances;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


def is_installed() -> bool:
    return shutil.which("nginx") is not None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextmanager
def nginx(folder: Path, ports: Sequence[int]) -> Iterator[int]:
    """Run nginx before instances on `ports`; yield its own port."""
    folder.mkdir()
    port = free_port()
    servers = "\n        ".join(f"server 127.0.0.1:{each} fail_timeout=1s;" for each in ports)
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, servers=servers, port=port))
    line = ["nginx", "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(file)]
    with subprocess.Popen(line) as process:
        try:
            until(lambda: accepts(port))
            yield port
        finally:
            process.terminate()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
