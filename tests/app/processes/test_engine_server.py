"""An engine's side: what the keys of models say."""

import hashlib
from types import SimpleNamespace

import msgspec
from prometheus_client import CollectorRegistry

from app.bundle.files import CARD, MOST_CARD_BYTES, read_card
from app.metrics import Metrics
from app.processes.admin import DescribedModels
from app.processes.engine_server import row_of
from app.serving.registry import Entry
from tests.app.builders import make_manifest


def entry_of(tmp_path, tokenizer="0" * 64, **config):
    bundle = SimpleNamespace(
        path=tmp_path,
        manifest=make_manifest(),
        config=config,
        verified=True,
        tokenizer_file=tmp_path / tokenizer,
        fingerprint="0",
    )
    lane = SimpleNamespace(max_batch_tokens=64)
    return Entry("toy", SimpleNamespace(id="toy:1", bundle=bundle, precision="fp32", provider="CPU", lane=lane))


def test_one_name_and_version_of_another_content_is_another_key(tmp_path):
    entries = [entry_of(tmp_path), entry_of(tmp_path), entry_of(tmp_path, "1" * 64), entry_of(tmp_path, pad=1)]
    lanes = {}
    keys = [row_of(entry, lanes).model.key for entry in entries]
    assert {key.partition("#")[0] for key in keys} == {"toy:1"}
    assert keys[0] == keys[1]
    assert len(set(keys)) == len(lanes) == 3


def test_the_longest_card_takes_no_room_in_the_table_of_models(tmp_path):
    (tmp_path / CARD).write_text("a" * MOST_CARD_BYTES)
    assert len(msgspec.msgpack.encode(row_of(entry_of(tmp_path), {}))) < MOST_CARD_BYTES / 10
    assert len(read_card(tmp_path)) == MOST_CARD_BYTES


def test_a_card_is_read_where_the_model_is_opened_and_anew_with_its_folder(tmp_path):
    tokenizer = hashlib.sha256(b"a tokenizer").hexdigest()
    (tmp_path / tokenizer).write_bytes(b"a tokenizer")
    entry = entry_of(tmp_path, tokenizer)
    models = DescribedModels(
        Metrics(CollectorRegistry()), 64, SimpleNamespace(held=SimpleNamespace(hold=lambda *_: None))
    )

    def card():
        (built,) = models.build([row_of(entry, {})])
        return built.model.bundle.card

    (tmp_path / CARD).write_text("# one")
    assert card() == "# one"
    (tmp_path / CARD).write_text("# another")
    assert card() == "# one"
    entry.model.bundle.fingerprint = "1"
    assert card() == "# another"
