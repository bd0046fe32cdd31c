"""What an image that serves must do: answer, be watched, and end, with nothing to write to but /tmp."""

from __future__ import annotations

import json
import socket
import tempfile
from pathlib import Path

import httpx

from tests.images.engine import GRACE_S, TEMPORARY, Container, Engine
from tests.support.hub import Hub, files_of, hub_server

ROOT = Path(__file__).parents[2]

BODIES = {
    "/classify": {"inputs": "I love this place."},
    "/ner": {"inputs": "Ada Lovelace lived in London."},
    "/fill-mask": {"inputs": "The capital of France is <mask>."},
    "/explain": {"inputs": "I love this place."},
    "/embed": {"inputs": "I love this place."},
    "/similarity": {"inputs": {"source_sentence": "good", "sentences": ["lovely", "awful"]}},
    "/summarize": {"inputs": "The first is short. The second sentence says more. The third says it again."},
    "/v1/embeddings": {"input": "I love this place.", "model": "embedding"},
}
PROTECTED = ("/metrics", "/docs", "/info", "/models", "/openapi.json")
KEY = "a-key-of-the-image-check"


def answers_every_route(engine: Engine, image: str) -> None:
    """Answer each route that a model of the image has, as another user, of no group, too."""
    for user in ((), ("--user=12345:0",), ("--user=54321:54321",)):
        with engine.started(image, options=(*TEMPORARY, *user)) as container:
            container.wait_until_ready()
            ask_everything(container)


def ask_everything(container: Container) -> None:
    with httpx.Client(base_url=container.url(8000), timeout=60) as client:
        models = client.get("/models").json()["models"]
        for route in {route for model in models for route in model["routes"]}:
            response = client.post(route, json=BODIES[route])
            assert response.status_code == 200, f"{route}: {response.text}"
    admin = httpx.get(f"{container.url(8001)}/metrics", timeout=10)
    assert "roberta_requests_total{" in admin.text
    assert httpx.get(f"{container.url(8001)}/health/live", timeout=10).status_code == 200


def ends_with_0_at_once_after_sigterm(engine: Engine, image: str) -> None:
    for words in ((), ("--http-workers", "2")):
        with engine.started(image, *words) as container:
            container.wait_until_ready()
            code, seconds = container.stop()
            assert code == 0, container.log()[-2000:]
            assert seconds < GRACE_S, f"it took {seconds:.0f} s"


def serves_in_several_processes(engine: Engine, image: str) -> None:
    with engine.started(image, "--http-workers", "2", options=(*TEMPORARY, "--user=12345:0")) as container:
        container.wait_until_ready()
        ask_everything(container)


def says_what_it_lacks_without_a_folder_to_write_to(engine: Engine, image: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read_only = [f"--volume={folder}:{path}:ro" for path in ("/tmp", "/var/tmp")]  # podman gives both
        done = engine.run(image, "--http-workers", "2", options=read_only)
    assert done.returncode == 1
    assert "needs a writable temporary folder" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def is_healthy_wherever_it_listens(engine: Engine, image: str) -> None:
    check = engine.config(image)["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    ways = {("--port", "8099", "--admin-port", "8098"): 8099, ("--host", "127.0.0.1", "--port", "8097"): None}
    for words, port in ways.items():
        with engine.started(image, *words, ports=[port] if port else []) as container:
            if port:
                container.wait_until_ready(port)
            wait_until_healthy(container, check[1:])


def wait_until_healthy(container: Container, check: list[str]) -> None:
    for _ in range(60):
        done = container.run(*check)
        if done.returncode == 0:
            return
    raise AssertionError(f"the health check says: {done.stdout}{done.stderr}")


def tunes_without_a_folder_to_write_to(engine: Engine, image: str) -> None:
    done = engine.run(image, "tune", "sentiment", "--seconds", "0.05")
    assert done.returncode == 0, done.stderr
    assert "the settings are printed only" in done.stdout + done.stderr


def asks_for_a_key_where_it_has_some(engine: Engine, image: str) -> None:
    with engine.started(image, options=(*TEMPORARY, "--env", f"ROBERTA_API_KEYS={json.dumps([KEY])}")) as container:
        container.wait_until_ready()
        for port in (8000, 8001):
            with httpx.Client(base_url=container.url(port), timeout=30) as client:
                for path in PROTECTED:
                    assert client.get(path).status_code in (401, 404), f"{path} on {port}"
        client = httpx.Client(base_url=container.url(8000), timeout=30, headers={"Authorization": f"Bearer {KEY}"})
        with client:
            assert client.get("/metrics").status_code == 200
            assert client.post("/classify", json=BODIES["/classify"]).status_code == 200


def keeps_what_a_name_fetched(engine: Engine, image: str) -> None:
    """Serve a name of a Hub on this machine twice, with a volume; the second time, the Hub has no file to give."""
    with engine.volume() as volume, hub_server() as hub:
        hub.add("acme/reviews", files_of(ROOT / "models/sentiment/1"))
        for _ in range(2):
            serve_by_name(engine.on_host(), image, volume, hub)
        assert len(hub.downloads()) == len(set(hub.downloads())), "files were fetched twice"


def serve_by_name(engine: Engine, image: str, volume: str, hub: Hub) -> None:
    port = free_port()
    words = ("--model", "acme/reviews", "--host", "127.0.0.1", "--port", str(port), "--admin-port", str(free_port()))
    options = (*TEMPORARY, f"--volume={volume}:/cache", f"--env=HF_ENDPOINT={hub.url}")
    with engine.started(image, *words, options=options) as container:
        container.wait_until_ready(port)
        [model] = httpx.get(f"{container.url(port)}/models", timeout=10).json()["models"]
        assert model["source"]["repository"] == "acme/reviews"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
