"""Settings of HTTP: where the service listens, who may reach it, and what a connection may take."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

ENV_FILE = "roberta-serve.env"  # in the folder where the service starts; `roberta-serve tune` writes it

DEFAULT_PORT = 8000
SERVICE_LINK = "tcp://"  # what Kubernetes' variables for Services begin with

CLI = SettingsConfigDict(  # how both commands read their flags
    cli_kebab_case=True,
    cli_implicit_flags=True,
    cli_hide_none_type=True,
    cli_avoid_json=True,
)

PREFIX = re.compile(r"(/[\w.~-]+)*", re.ASCII)
ROUTE = re.compile(r"(/[\w.~:@-]+)+", re.ASCII)  # Vertex AI's default has a colon
ORIGIN = re.compile(r"https?://[^/?#\s]+")


def read_prefix(prefix: str) -> str:
    """Return a path without a slash at its end. Raises `ValueError` where it is none."""
    prefix = prefix.rstrip("/")
    if not PREFIX.fullmatch(prefix):
        raise ValueError("must be a path that begins with a slash, such as /api")
    return prefix


def read_proxy(address: str) -> str:
    if address != "*":
        ipaddress.ip_network(address)  # whose message says what is wrong
    return address


def read_origin(origin: str) -> str:
    origin = origin.rstrip("/")
    if origin != "*" and not ORIGIN.fullmatch(origin):
        raise ValueError("must be an origin without a path, such as https://app.example, or *")
    return origin


def read_mode(mode: str) -> str:
    if not re.fullmatch("0?[0-7]{3}", mode):
        raise ValueError("must be three octal digits, such as 660")
    return mode


def read_route(path: str) -> str:
    """Return a path without slashes at its end. Raises `ValueError` where it is none."""
    path = path.rstrip("/")
    if not ROUTE.fullmatch(path):
        raise ValueError("must be a path that begins with a slash, such as /predict")
    return path


def read_port(port: Any) -> Any:
    """Take for unset what Kubernetes puts into ROBERTA_PORT where a Service is called roberta: tcp://10.0.0.1:80."""
    return DEFAULT_PORT if isinstance(port, str) and port.startswith(SERVICE_LINK) else port


def reject_service_link(port: Any) -> Any:
    """Refuse what Kubernetes puts into ROBERTA_ADMIN_PORT where a Service is called roberta-admin."""
    if isinstance(port, str) and port.startswith(SERVICE_LINK):
        raise ValueError(f"{port} comes from a Service called roberta-admin; give the pod enableServiceLinks: false")
    return port


class PlatformVariables(PydanticBaseSettingsSource):
    """Settings that a platform sets for the containers that it runs, by variables of its own.

    Sources: SageMaker's "Custom inference code with hosting services", Vertex AI's "Custom container requirements".
    """

    variables: ClassVar[dict[str, tuple[str, ...]]] = {
        "port": ("AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT"),
        "predict_route": ("AIP_PREDICT_ROUTE",),
        "health_route": ("AIP_HEALTH_ROUTE",),
    }

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        given = (os.environ.get(variable) for variable in self.variables.get(field_name, ()))
        return next((value for value in given if value), None), field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        found = {name: self.get_field_value(field, name)[0] for name, field in fields.items() if name in self.variables}
        return {name: value for name, value in found.items() if value is not None}


class HttpSettings(BaseSettings):
    """The settings that only the server of HTTP reads."""

    model_config = SettingsConfigDict(env_prefix="ROBERTA_", env_file=ENV_FILE, frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Have a flag go before what a platform says, and that before the image's own variables."""
        return init_settings, PlatformVariables(settings_cls), env_settings, dotenv_settings, file_secret_settings

    host: str = Field("0.0.0.0", description="Address to listen on. ::, every address of either kind.")
    port: Annotated[int, BeforeValidator(read_port)] = Field(
        DEFAULT_PORT, ge=0, le=65535, description="Port to listen on. 0: any free one."
    )
    uds: Path | None = Field(None, description="Unix socket to listen on instead of host and port. Default: none.")
    uds_mode: Annotated[str, AfterValidator(read_mode)] = Field(
        "666", description="Permissions of the Unix socket, in octal digits; those of its folder hold as well."
    )
    admin_port: Annotated[int | None, BeforeValidator(reject_service_link)] = Field(
        None,
        ge=0,
        le=65535,
        description="Port of health, metrics and the other pages alone, which answer there however busy the service "
        "is; port is then opened once the models are loaded. Always without TLS. Default: none.",
    )
    admin_host: str | None = Field(None, description="Address of admin_port. Default: that of host.")
    ssl_certfile: Path | None = Field(
        None, description="PEM file of the certificate, with its chain, for TLS 1.2 and later on port. Default: no TLS."
    )
    ssl_keyfile: Path | None = Field(
        None, description="PEM file of the certificate's key. Default: it is in ssl_certfile."
    )
    ssl_keyfile_password: SecretStr | None = Field(None, description="Password of an encrypted key.")
    ssl_ca_certs: Path | None = Field(
        None, description="PEM file of the authorities one of which must have signed a client's certificate."
    )
    root_path: Annotated[str, AfterValidator(read_prefix)] = Field(
        "",
        description="Path under which a proxy shows the service, such as /nlp; it may take it off or leave it on.",
    )
    predict_route: Annotated[str, AfterValidator(read_route)] | None = Field(
        None, description="Path that takes the bodies of Vertex AI. Default: AIP_PREDICT_ROUTE, or none."
    )
    health_route: Annotated[str, AfterValidator(read_route)] | None = Field(
        None, description="Path that answers as /health/ready does. Default: AIP_HEALTH_ROUTE, or none."
    )
    forwarded_allow_ips: list[Annotated[str, AfterValidator(read_proxy)]] = Field(
        default_factory=list,
        description="Addresses or networks of proxies whose X-Forwarded-Proto, -Host and -Prefix are believed; "
        '["*"]: of all, as on a Unix socket.',
    )
    cors_origins: list[Annotated[str, AfterValidator(read_origin)]] = Field(
        default_factory=list,
        description='Origins of web pages whose scripts may ask, e.g. ["https://app.example"]; ["*"]: all.',
    )

    max_head_bytes: int = Field(
        64 * 2**10, ge=4096, description="Most bytes of a request's line, headers and trailers."
    )
    max_connections: int = Field(
        4096,
        ge=1,
        description="Most open connections of one process; fewer where the limit of open files is lower. Beyond it, "
        "the longest idle one is closed, or the new one gets 503.",
    )
    head_timeout_s: float = Field(
        10.0, gt=0, description="How long a connection may take to send a request's head, from its opening on, in s."
    )
    keep_alive_s: float = Field(
        75.0, gt=0, description="How long a connection may stay open between two requests, in s."
    )
    send_timeout_s: float = Field(
        30.0, gt=0, description="How long a client may take to read an answer, in s. Then its connection is closed."
    )

    @property
    def scheme(self) -> str:
        """The scheme of the service's own URL."""
        return "http" if self.ssl_certfile is None else "https"

    @model_validator(mode="after")
    def check_tls(self) -> Self:
        """Refuse what would leave the port without TLS where it was asked for."""
        if self.ssl_certfile is None and (self.ssl_keyfile or self.ssl_keyfile_password or self.ssl_ca_certs):
            raise ValueError("ssl_keyfile, ssl_keyfile_password and ssl_ca_certs need ssl_certfile")
        return self
