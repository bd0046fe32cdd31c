"""Files that are answered elsewhere: what another machine is told of this one's settings."""

import pickle
from pathlib import Path

from app.commands.predict_files import told
from app.commands.predict_flags import Predict, make_parser

SECRETS = {
    "ROBERTA_API_KEYS": '["a-key-of-ours"]',
    "ROBERTA_SSL_CERTFILE": "/of-ours/certificate.pem",
    "ROBERTA_SSL_KEYFILE_PASSWORD": "a-password-of-ours",
    "ROBERTA_API_KEYS_FILE": "/of-ours/keys.toml",
    "ROBERTA_ACCESS": '{"models": "key"}',
}


def test_no_secret_is_sent_and_what_answering_takes_is(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ROBERTA_MAX_CHARACTERS", "2000")
    settings = Predict(models="bundles", runners=2)
    sent = pickle.dumps(told(settings))
    assert b"of-ours" not in sent
    back = pickle.loads(sent)
    assert (back.runners, back.max_characters, back.models) == (2, 2000, Path.cwd() / "bundles")
    assert back.model_fields_set == {"models", "runners", "max_characters"}
    assert back.model_dump().keys() == type(back).model_fields.keys()


def test_the_help_says_what_settings_mean_for_rows():
    said = " ".join(make_parser().format_help().split())
    assert "default: 512 on CPU, 16,384 on CUDA" in said
    assert "one request" not in said
