"""Fixtures that every kind of test shares: tiny models, and the folder of bundles made from them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: more threads would only wait for each other
# The commands that tests start would inherit what a shell in the background and nohup have these do: be ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# The same examples in every run; a machine that is busy with something else is no failure.
hypothesis.settings.register_profile("suite", max_examples=60, derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def tokenizer():
    from tests.support.tiny import tiny_tokenizer

    return tiny_tokenizer()


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory) -> dict[str, Path]:
    """Return a random checkpoint folder for each task, by the route that will serve it."""
    from tests.support.tiny import TAGS, save_checkpoint, tiny_model

    root = tmp_path_factory.mktemp("checkpoints")
    models = {
        "classify": tiny_model("text-classification", ["negative", "neutral", "positive"]),
        "ner": tiny_model("token-classification", TAGS),
        "fill-mask": tiny_model("fill-mask"),
    }
    return {route: save_checkpoint(model, root / route) for route, model in models.items()}


@pytest.fixture(scope="session")
def tiny_models(tiny_checkpoints, tmp_path_factory) -> Path:
    """Return a models folder with the bundles tiny-classify, tiny-ner and tiny-fill-mask, int8 and fp32."""
    from tests.support.tiny import publish_tiny

    models = tmp_path_factory.mktemp("models")
    for route, checkpoint in tiny_checkpoints.items():
        publish_tiny(checkpoint, models, f"tiny-{route}")
    return models


@pytest.fixture(scope="session")
def tiny_reader(tmp_path_factory) -> Path:
    """Return a random checkpoint that answers questions."""
    from tests.support.tiny import save_checkpoint, tiny_model

    return save_checkpoint(tiny_model("question-answering"), tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="session")
def tiny_reader_models(tiny_reader, tmp_path_factory) -> Path:
    """Return a models folder with the bundle tiny-reader, int8 and fp32."""
    from tests.support.tiny import publish_tiny

    return publish_tiny(tiny_reader, tmp_path_factory.mktemp("models"), "tiny-reader").parents[1]


@pytest.fixture(scope="module")
def browser():
    """Return headless Chromium; skip where the machine has none."""
    from tests.support.browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def shipped_models() -> Path:
    """Return the bundles that the repository ships."""
    return Path(__file__).parents[1] / "models"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Return the folder of labeled data named by ROBERTA_TEST_DATA; skip where it is unset."""
    folder = os.environ.get("ROBERTA_TEST_DATA")
    if not folder:
        pytest.skip("ROBERTA_TEST_DATA is unset: it names the folder of labeled data that this test reads")
    return Path(folder)
