"""How models are named: ORG/NAME, revisions, names of one's own, folders, and addresses of pages."""

import pytest

from app.bundle import MANIFEST
from app.hub.errors import HubError
from app.hub.naming import parse_spec, parse_specs


@pytest.mark.parametrize(
    ("text", "name", "repository", "revision"),
    [
        ("acme/reviews", "reviews", "acme/reviews", "main"),
        ("acme/Twitter-RoBERTa.v2", "twitter-roberta.v2", "acme/Twitter-RoBERTa.v2", "main"),
        ("acme/reviews@v2", "reviews", "acme/reviews", "v2"),
        ("acme/reviews@refs/pr/3", "reviews", "acme/reviews", "refs/pr/3"),
        ("tweets=acme/reviews@0123abc", "tweets", "acme/reviews", "0123abc"),
        ("My Tweets=acme/reviews", "my-tweets", "acme/reviews", "main"),
        ("roberta-base", "roberta-base", "roberta-base", "main"),
        ("https://huggingface.co/acme/reviews", "reviews", "acme/reviews", "main"),
        ("https://huggingface.co/acme/reviews/tree/v2", "reviews", "acme/reviews", "v2"),
        ("https://mirror.example/acme/reviews/", "reviews", "acme/reviews", "main"),
        ("hf://acme/reviews@v2", "reviews", "acme/reviews", "v2"),
        (" acme/reviews\n", "reviews", "acme/reviews", "main"),
    ],
)
def test_a_model_of_the_hub(text, name, repository, revision):
    spec = parse_spec(text)
    assert (spec.name, spec.repository, spec.revision, spec.folder) == (name, repository, revision, None)


@pytest.mark.parametrize(
    ("folder", "given", "name"),
    [
        ("My Model", "{}", "my-model"),
        ("My Model", "other={}", "other"),
        ("sentiment/3", "{}", "sentiment"),
        ("models--acme--Reviews", "{}", "reviews"),
        ("models--acme--Reviews/snapshots/0123", "{}", "reviews"),
    ],
)
def test_a_folder(folder, given, name, tmp_path):
    path = tmp_path / folder
    path.mkdir(parents=True)
    (path / MANIFEST).write_text("{}")
    spec = parse_spec(given.format(path))
    assert (spec.name, spec.folder) == (name, path)


def test_a_folder_goes_before_a_repository_of_the_same_name(tmp_path, monkeypatch):
    (tmp_path / "acme" / "reviews").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert parse_spec("acme/reviews").folder is not None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("./nowhere", "there is no folder ./nowhere; give one, or ORG/NAME of a model on the Hub"),
        ("a/b/c", "'a/b/c' is neither a folder nor ORG/NAME of a model on the Hub, such as acme/reviews@v2"),
        ("acme/rev iews", "is neither a folder nor ORG/NAME"),
        ("acme/../etc", "is neither a folder nor ORG/NAME"),
        ("", "is neither a folder nor ORG/NAME"),
        ("模型=acme/reviews", "no name can be made of '模型'; give one as NAME=acme/reviews: a name has up to 64"),
    ],
)
def test_what_names_no_model_is_a_sentence(text, sentence):
    with pytest.raises(HubError) as raised:
        parse_spec(text)
    assert sentence in str(raised.value)


def test_two_models_of_one_name_are_refused():
    with pytest.raises(HubError, match="a/x and b/X would both be called x; name one, as OTHER=b/X"):
        parse_specs(["a/x", "b/X"])
    assert [spec.name for spec in parse_specs(["a/x", "y=b/X"])] == ["x", "y"]
