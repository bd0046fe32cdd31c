"""The two services that most live tests share: one with tiny random bundles, one with those that ship."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.server import SHAPES, SeveralService, ThreadService, serve, serve_as, serve_several

SMALL = {"runners": 1, "max_body_bytes": 8192, "max_inputs": 4, "max_queue_tokens": 512}
SHIPPED = ["fill-mask", "ner", "sentiment"]


@pytest.fixture(scope="session")
def tiny_here(tiny_models) -> Iterator[ThreadService]:
    """Serve tiny-classify, tiny-ner and tiny-fill-mask, int8, in this process."""
    with serve(tiny_models) as service:
        yield service


@pytest.fixture(scope="session")
def tiny_several(tiny_models, tmp_path_factory) -> Iterator[SeveralService]:
    """Serve them in several processes."""
    with serve_several(tiny_models, tmp_path_factory.mktemp("several")) as service:
        yield service


@pytest.fixture(scope="session", params=["tiny_here", "tiny_several"])
def tiny(request) -> ThreadService | SeveralService:
    """Serve them in each shape."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def shipped(shipped_models) -> Iterator[ThreadService]:
    """Serve the bundles of the repository; without all of them the tests fail."""
    assert any(shipped_models.iterdir()), "models/ is empty"
    with serve(shipped_models) as service:
        about = {model["name"]: model for model in service.client.get("/models").json()["models"]}
        for name in SHIPPED:
            assert name in about, f"models/ lacks {name}"
            assert about[name]["state"] == "ready", f"{name} is refused: {about[name]['refused']}"
        yield service


@pytest.fixture(scope="session", params=SHAPES)
def toys(request, tokenizer, tmp_path_factory) -> Iterator[ThreadService | SeveralService]:
    """Serve toy-reader, toy-vectors and toy-judge, for the tasks that the shipped bundles do not answer."""
    from tests.support.toys import write_toys

    models = write_toys(tmp_path_factory.mktemp("toys"), tokenizer.backend_tokenizer)
    with serve_as(request.param, models, tmp_path_factory.mktemp("toys-log")) as service:
        yield service


@pytest.fixture(scope="module")
def hub_clients() -> Iterator[None]:
    """Let the clients of huggingface_hub talk although the tests are offline; they know loopback addresses only."""
    import httpx2
    from huggingface_hub import close_session, set_async_client_factory, set_client_factory
    from huggingface_hub.utils._http import default_async_client_factory, default_client_factory

    set_client_factory(lambda: httpx2.Client(follow_redirects=True))
    set_async_client_factory(lambda: httpx2.AsyncClient(follow_redirects=True))
    yield
    close_session()
    set_client_factory(default_client_factory)
    set_async_client_factory(default_async_client_factory)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Send requests side by side."""
    with ThreadPoolExecutor(64, thread_name_prefix="client") as threads:
        yield threads


@pytest.fixture(scope="module", params=SHAPES)
def small(request, tiny_models, tmp_path_factory) -> Iterator[ThreadService | SeveralService]:
    """A service with one runner and little room."""
    with serve_as(request.param, tiny_models, tmp_path_factory.mktemp("small"), **SMALL) as service:
        yield service


@pytest.fixture(scope="module")
def small_here(tiny_models) -> Iterator[ThreadService]:
    """The same in this process, to be reached into."""
    with serve(tiny_models, **SMALL) as service:
        yield service
