"""Orders over HTTP, in both shapes: only for a key with the scope, at once, and without losing a request."""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.live.test_bundles import copy_bundle, edit, truncate_graph
from tests.support.answers import assert_error
from tests.support.server import SHAPES, SeveralService, serve_as, until

ADMIN = {"Authorization": "Bearer an-admin"}
USER = {"Authorization": "Bearer a-user"}
BODY = {"inputs": "a good film"}
PATHS = ["/admin/reload", "/admin/models/a/load", "/admin/models/a/unload", "/admin/models/a/default"]


@pytest.fixture(scope="module", params=SHAPES)
def service(request, tiny_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("orders")
    for name, versions in (("a", (1, 2)), ("b", (1,))):
        for version in versions:
            made = copy_bundle(tiny_models / "tiny-classify" / "1", folder / "models" / name / str(version))
            edit(made, labels=[f"{name}{version}-{n}" for n in range(3)])
    shutil.copytree(tiny_models / "tiny-ner", folder / "models" / "tiny-ner")
    keys = folder / "keys.toml"
    keys.write_text(
        "".join(
            f'[{name}]\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\nscopes = {scopes}\n'
            for name, key, scopes in (("ops", "an-admin", '["admin", "predict"]'), ("team", "a-user", '["predict"]'))
        )
    )
    quiet = {"app.serving.loading": "error"}
    with serve_as(request.param, folder / "models", folder, api_keys_file=str(keys), log_levels=quiet) as service:
        yield service, folder / "models"


def test_levels_of_the_log_change_in_every_process_while_it_runs(service):
    service, _ = service
    path, loader = "/admin/log-levels", "app.serving.loading"
    assert_error(service.client.put(path, json={}, headers=USER), 403, "forbidden")
    assert_error(service.client.get(path, headers=USER), 403, "forbidden")
    wrong = service.client.put(path, json={"app.servin": "info"}, headers=ADMIN)
    assert_error(wrong, 422, "invalid_request", "app.servin: there is no such module; did you mean app.serving?")
    assert_error(service.client.put(path, json={"app": "loud"}, headers=ADMIN), 422, "invalid_request")
    answer = service.client.put(path, json={loader: "info"}, headers=ADMIN)
    assert (answer.status_code, answer.json()[loader]) == (200, "info")
    if isinstance(service, SeveralService):
        assert '"model_ready"' not in service.log()

        def is_written_by_the_engine():
            order(service, "/admin/models/a/unload").raise_for_status()
            order(service, "/admin/models/a/load").raise_for_status()
            return '"model_ready"' in service.log()

        until(is_written_by_the_engine)
    service.client.put(path, json={}, headers=ADMIN).raise_for_status()
    until(lambda: service.client.get(path, headers=ADMIN).json().get(loader) != "info")


def order(service, path, body=None, headers=ADMIN):
    return service.client.post(path, json=body or {}, headers=headers, timeout=60)


def answering(service, path="/classify"):
    """Return who answers, once every worker says the same; None where it is refused."""

    def ask():
        return {
            httpx.post(f"{service.url}{path}", json=BODY, headers=USER, timeout=60).headers.get("x-model")
            for _ in range(6)
        }

    until(lambda: len(ask()) == 1)
    return ask().pop()


@pytest.mark.parametrize("path", PATHS)
def test_without_the_scope_nothing_is_done(service, path):
    service, _ = service
    assert_error(order(service, path, headers={}), 401, "unauthorized")
    assert_error(order(service, path, headers=USER), 403, "forbidden", "`admin`")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("shape", SHAPES[:1])
def test_where_no_key_is_configured_nobody_orders_anything(shape, path, tiny_here):
    assert_error(tiny_here.client.post(path, json={}), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "body", "code", "message"),
    [
        ("/admin/models/nobody/load", {}, "model_not_found", "no model 'nobody'"),
        ("/admin/models/../load", {}, "not_found", ""),
        ("/admin/models/%2e%2e%2fetc/unload", {}, "not_found", ""),
        ("/admin/models/a/load", {"version": 9}, "order_refused", "a has no version 9"),
        ("/admin/models/a/load", {"version": 0}, "invalid_request", "version"),
        ("/admin/models/a/load", {"version": "1"}, "invalid_request", "version"),
        ("/admin/models/a/load", {"surprise": 1}, "invalid_request", "surprise"),
        ("/admin/models/a/default", {}, "invalid_request", "route"),
        ("/admin/models/a/default", {"route": "clasify"}, "invalid_request", "route"),
        ("/admin/models/a/default", {"route": "ner"}, "order_refused", "answers /classify"),
        ("/admin/models/a/default", {"route": "classify", "version": 1}, "order_refused", "a:2 is served"),
        ("/admin/reload", {"version": 1}, "invalid_request", "version"),
    ],
    ids=str,
)
def test_an_order_that_cannot_be_done_is_a_sentence(service, path, body, code, message):
    service, _ = service
    response = order(service, path, body)
    assert response.json()["error_type"] == code
    assert message in response.json()["error"]
    assert answering(service) == "a:2"


def test_orders_one_after_the_other(service):
    service, models = service
    assert order(service, "/admin/models/a/load", {"version": 1}).json()["version"] == 1
    assert answering(service) == "a:1"
    assert order(service, "/admin/reload").json()["defaults"]["classify"] == "a"
    assert answering(service) == "a:1"  # the version that was asked for stays

    truncate_graph(copy_bundle(models / "a" / "1", models / "a" / "3"))
    refused = order(service, "/admin/models/a/load", {"version": 3})
    assert_error(refused, 409, "order_refused", "version 3: model.int8.onnx was altered or half-copied")
    assert answering(service) == "a:1"
    shutil.rmtree(models / "a" / "3")

    assert order(service, "/admin/models/b/default", {"route": "classify"}).json()["name"] == "b"
    assert answering(service) == "b:1"
    for _ in range(2):  # the second time nothing is left to do
        assert order(service, "/admin/models/a/unload").json() == {"name": "a", "state": "unloaded"}
    until(lambda: answering(service, "/models/a") is None)
    order(service, "/admin/reload")
    assert answering(service, "/models/a") is None
    assert service.client.get("/models/a", headers=USER).json()["state"] == "unloaded"

    with ThreadPoolExecutor(4) as pool:  # several at once
        loads = [pool.submit(order, service, "/admin/models/a/load") for _ in range(4)]
        assert {load.result().json()["version"] for load in loads} == {2}
    assert answering(service, "/models/a") == "a:2"
    assert order(service, "/admin/models/a/default", {"route": "classify"}).status_code == 200
    assert answering(service) == "a:2"


def test_orders_are_described(service):
    service, _ = service
    document = service.client.get("/openapi.json", headers=ADMIN).json()
    for path in ("/admin/reload", "/admin/models/{name}/load", "/admin/models/{name}/default"):
        operation = document["paths"][path]["post"]
        assert operation["security"]
        assert {"200", "401", "403", "409"} <= operation["responses"].keys()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_folder_that_is_watched_is_loaded_when_it_has_been_quiet(shape, tiny_models, tmp_path):
    source, models = tiny_models / "tiny-classify" / "1", tmp_path / "models"
    copy_bundle(source, models / "a" / "1")
    if shape == SHAPES[0]:
        from tests.support.server import command

        server = command(models, tmp_path / "log", "--reload-interval-s", "0.1")
    else:
        server = serve_as(shape, models, tmp_path, reload_interval_s=0.1)
    with server as service:
        copy_bundle(source, tmp_path / "a" / "2").rename(models / "a" / "2")
        until(lambda: service.client.post("/classify", json=BODY).headers["x-model"] == "a:2")
        shutil.rmtree(models / "a" / "2")
        until(lambda: service.client.post("/classify", json=BODY).headers["x-model"] == "a:1")
