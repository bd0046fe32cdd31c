"""A Hub on a loopback port that huggingface_hub takes for the real one, with an empty cache of its own."""

import huggingface_hub.constants as constants
import pytest

from tests.support.hub import hub_server


@pytest.fixture(scope="session")
def server():
    with hub_server() as hub:
        yield hub


@pytest.fixture
def hub(server, monkeypatch, tmp_path):
    server.repos.clear()
    server.requests.clear()
    server.broken.clear()
    server.status = None
    cache = tmp_path / "hf"
    for name, value in {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        "HF_HUB_CACHE": str(cache / "hub"),
        "HF_ASSETS_CACHE": str(cache / "assets"),
        "HF_TOKEN_PATH": str(cache / "token"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_PROGRESS_BARS": True,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return server


@pytest.fixture
def said():
    """What was told, as lists of an event and its fields."""
    return []


@pytest.fixture
def tell(said):
    return lambda event, **fields: said.append((event, fields))
