"""Fill-mask: where masks stand, what they may become, and exactly the text that each candidate makes."""

import numpy as np
import pytest
from pydantic import ValidationError

from app.errors import InvalidRequestError
from app.tasks.fill_mask import FillMask, FillMaskRequest
from tests.app.builders import decoded, make_encoder, make_graph, make_manifest, serve_checkpoint, wordpiece_tokenizer


def make_request(inputs, truncate=False, **parameters):
    return FillMaskRequest.model_validate({"inputs": inputs, "parameters": parameters, "truncate": truncate})


def make_task(encoder, temperature=1.0):
    return FillMask(make_manifest(task="fill-mask", labels=()), encoder, make_graph(temperature=temperature))


def answer(task, request, run):
    encoded = task.encode(request)
    return decoded(task, request, encoded, [run(window) for window in encoded.windows])


def prefer(task, *pieces):
    """Return a model whose logits fall from the first of `pieces` to the last, and are far lower for the rest."""
    row = np.full(task.encoder.tokenizer.get_vocab_size(), -50.0, np.float32)
    for rank, piece in enumerate(pieces):
        row[task.encoder.tokenizer.token_to_id(piece)] = 10.0 - rank
    return lambda window: np.tile(row, (len(window.head_rows), 1))


def repeat_neighbor(task):
    """Return a model that answers each mask with the token before it, so that a wrong row shows."""
    width = task.encoder.tokenizer.get_vocab_size()
    return lambda window: np.eye(width, dtype=np.float32)[window.input_ids[window.head_rows - 1]] * 9


# --- Sequences ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "piece", "token_str", "sequence"),
    [
        ("a <mask> film", "Ġgood", " good", "a good film"),
        ("a [MASK] film", "Ġgood", " good", "a good film"),
        ("a <mask>.", "Ġgood", " good", "a good."),
        ("a   <mask>.", "Ġgood", " good", "a good."),  # the mask token takes all of the space before it
        ("a <mask>film", "Ġgood", " good", "a goodfilm"),
        ("<mask> film", "Ro", "Ro", "Ro film"),
        ("  <mask> film", "Ro", "Ro", "Ro film"),
        ("<mask> film", "Ġgood", " good", " good film"),
        ("a go<mask>d film", "o", "o", "a good film"),
        ("a go <mask>d film", "o", "o", "a good film"),
        ("café 😀 <mask> é  \n", "Ġgood", " good", "café 😀 good é  \n"),
        ("<mask>", "Ro", "Ro", "Ro"),
    ],
)
def test_sequences_of_a_byte_level_tokenizer(text, piece, token_str, sequence, encoder):
    task = make_task(encoder)
    (candidate,) = answer(task, make_request(text, top_k=1), prefer(task, piece))
    token = encoder.tokenizer.token_to_id(piece)
    assert candidate == {"score": pytest.approx(1), "token": token, "token_str": token_str, "sequence": sequence}


@pytest.mark.parametrize(
    ("text", "piece", "token_str", "sequence"),
    [
        ("Paris is [MASK].", "good", "good", "Paris is good."),  # the text keeps its case
        ("[MASK]  is  good", "paris", "paris", "paris  is  good"),
        ("Play[MASK] in", "##s", "##s", "Plays in"),
        ("Play [MASK] in", "##s", "##s", "Plays in"),
        ("é [MASK] é", "paris", "paris", "é paris é"),
    ],
)
def test_sequences_of_a_wordpiece_tokenizer(text, piece, token_str, sequence, bert_encoder):
    task = make_task(bert_encoder)
    (candidate,) = answer(task, make_request(text, top_k=1), prefer(task, piece))
    assert (candidate["token_str"], candidate["sequence"]) == (token_str, sequence)


@pytest.mark.parametrize(
    ("text", "piece", "sequence"),
    [
        ("is <mask> good", "▁Paris", "is Paris good"),
        ("<mask> is good", "▁Paris", "Paris is good"),
        ("Par<mask>s is", "i", "Paris is"),
        ("Par <mask>s is", "i", "Paris is"),
    ],
)
def test_sequences_of_a_sentencepiece_tokenizer(text, piece, sequence, xlmr_encoder):
    task = make_task(xlmr_encoder)
    (candidate,) = answer(task, make_request(text, top_k=1), prefer(task, piece))
    assert candidate["sequence"] == sequence


def test_a_byte_level_token_of_two_hashes_is_no_continuation(byte_level, tmp_path):
    byte_level = type(byte_level).from_str(byte_level.to_str())
    byte_level.add_tokens(["##"])
    task = make_task(make_encoder(byte_level, tmp_path))
    (candidate,) = answer(task, make_request("a<mask> b", top_k=1), prefer(task, "##"))
    assert candidate["sequence"] == "a## b"


# --- Masks ----------------------------------------------------------------------------------------------


def shape(body):
    return () if isinstance(body, dict) else (len(body), *shape(body[0]))


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ("a <mask>", (2,)),
        ("a <mask> <mask> <mask>", (3, 2)),
        (["a <mask>", "<mask> b", "<mask>"], (3, 2)),
        (["a <mask>"], (1, 2)),
        (["<mask> a <mask> <mask>", "<mask> <mask>"], (2, 3, 2)),
    ],
)
def test_the_shape_of_an_answer_follows_the_request(inputs, expected, encoder):
    task = make_task(encoder)
    assert shape(answer(task, make_request(inputs, top_k=2), prefer(task, "Ġgood", "Ro"))) == expected


def test_each_of_several_masks_is_filled_and_the_others_stay(encoder):
    task = make_task(encoder)
    first, second = answer(task, make_request("a <mask> and [MASK].", top_k=1), prefer(task, "Ġgood"))
    assert first[0]["sequence"] == "a good and <mask>."
    assert second[0]["sequence"] == "a <mask> and good."


@pytest.mark.parametrize("text", ["a film", "a < mask > film", "[mask]"])
def test_a_text_without_a_mask_is_refused_by_its_place(text, encoder):
    task = make_task(encoder)
    with pytest.raises(InvalidRequestError, match="inputs: text 0 has no <mask> to fill"):
        task.encode(make_request(text))
    with pytest.raises(InvalidRequestError, match="inputs: text 1 has no <mask> to fill"):
        task.encode(make_request(["a <mask>", text]))


@pytest.mark.parametrize("inputs", ["", " ", [], ["<mask>", ""], {"text": "<mask>"}, None, 5])
def test_what_is_no_input_is_refused(inputs):
    with pytest.raises(ValidationError):
        make_request(inputs)


def test_a_tokenizer_without_a_mask_is_refused(tmp_path):
    tokenizer = wordpiece_tokenizer()
    vocabulary = {token: i for token, i in tokenizer.get_vocab().items() if token != "[MASK]"}
    tokenizer.model = type(tokenizer.model)(vocabulary, unk_token="[UNK]")
    with pytest.raises(ValueError, match="no mask token"):
        make_task(make_encoder(type(tokenizer).from_str(tokenizer.to_str().replace("[MASK]", "[X]")), tmp_path))


# --- Candidates -----------------------------------------------------------------------------------------


def test_scores_are_shares_of_the_whole_vocabulary(encoder):
    task = make_task(encoder)
    candidates = answer(task, make_request("a <mask>", top_k=3), prefer(task, "Ġgood", "Ro", "o"))
    weights = np.exp([0, -1, -2])
    assert [c["score"] for c in candidates] == pytest.approx(weights / weights.sum(), abs=1e-6)


def test_temperature_divides_logits(encoder):
    task = make_task(encoder, temperature=2.0)
    candidates = answer(task, make_request("a <mask>", top_k=2), prefer(task, "Ġgood", "Ro"))
    assert candidates[0]["score"] / candidates[1]["score"] == pytest.approx(np.exp(0.5))


@pytest.mark.parametrize("top_k", [1, 2, 5, 1000])
def test_top_k_is_the_best_in_order(top_k, encoder):
    task = make_task(encoder)
    logits = np.random.default_rng(0).permutation(encoder.tokenizer.get_vocab_size()).astype(np.float32)
    candidates = answer(task, make_request("a <mask>", top_k=top_k), lambda window: logits[None])
    assert [c["token"] for c in candidates] == np.argsort(-logits)[:top_k].tolist()


@pytest.mark.parametrize("parameters", [{"top_k": 0}, {"top_k": 1001}, {"targets": []}, {"targets": [" "]}], ids=str)
def test_parameters_out_of_range_are_refused(parameters):
    with pytest.raises(ValidationError):
        make_request("<mask>", **parameters)


# --- Targets --------------------------------------------------------------------------------------------


def test_only_targets_are_ranked_by_their_share_of_everything(encoder):
    task = make_task(encoder)
    run = prefer(task, "Ġ)", "Ġgood", "Ġ(")
    candidates = answer(task, make_request("a <mask>", targets=["(", "good", "("], top_k=5), run)
    assert [c["sequence"] for c in candidates] == ["a good", "a ("]
    weights = np.exp([0, -1, -2])
    assert [c["score"] for c in candidates] == pytest.approx(weights[1:] / weights.sum(), abs=1e-6)
    assert len(answer(task, make_request("a <mask>", targets=["(", "good"], top_k=1), run)) == 1


@pytest.mark.parametrize(
    ("text", "piece"), [("the <mask>", "Ġa"), ("the\n<mask>", "Ġa"), ("the(<mask>", "a"), ("<mask>", "a")]
)
def test_a_target_takes_the_form_that_its_place_asks_for(text, piece, encoder):
    task = make_task(encoder)
    (candidate,) = answer(task, make_request(text, targets=["a"]), prefer(task, "Ġa", "a"))
    assert candidate["token"] == encoder.tokenizer.token_to_id(piece)


@pytest.mark.parametrize("target", ["Zebedee", "<mask>", "</s>"])
@pytest.mark.parametrize("kind", ["encoder", "xlmr_encoder"])
def test_a_target_that_is_not_one_token_is_refused_by_name(kind, target, request):
    task = make_task(request.getfixturevalue(kind))
    with pytest.raises(InvalidRequestError, match=r"parameters\.targets\.0: is not one token"):
        task.encode(make_request("a <mask>", targets=[target]))


def test_a_target_that_is_unknown_is_refused_by_name(bert_encoder):
    with pytest.raises(InvalidRequestError, match=r"parameters\.targets\.1: is not one token"):
        make_task(bert_encoder).encode(make_request("a [MASK]", targets=["good", "東"]))


# --- Long texts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("repeats", [1, 4, 15])
def test_a_mask_is_answered_from_the_window_where_it_stands(repeats, byte_level, tmp_path):
    """Windows of 20 tokens answer as one of 10,000 does, and only those with a mask are run."""
    whole, cut = (make_task(make_encoder(byte_level, tmp_path, length)) for length in (10_000, 20))
    text = "a good film and a bad film , " * repeats + "Ada <mask> Bob" + " in Paris and Rome" * repeats
    request = make_request(text, top_k=1)
    (window,) = cut.encode(request).windows
    assert window.input_ids[window.head_rows].tolist() == [cut.mask_id]
    assert answer(cut, request, repeat_neighbor(cut)) == answer(whole, request, repeat_neighbor(whole))


def test_masks_of_many_windows_keep_their_order(byte_level, tmp_path):
    whole, cut = (make_task(make_encoder(byte_level, tmp_path, length)) for length in (10_000, 20))
    request = make_request([" ".join(f"a <mask> good film {n} <mask> ," for n in range(8)), "the <mask>"], top_k=1)
    answers = answer(cut, request, repeat_neighbor(cut))
    assert [len(masks) for masks in answers[:1]] == [16]
    assert answers == answer(whole, request, repeat_neighbor(whole))


def test_truncate_looks_for_masks_in_the_first_window_only(byte_level, tmp_path):
    task = make_task(make_encoder(byte_level, tmp_path, 20))
    text = "a <mask> film " + "and a bad film " * 20 + "<mask>"
    assert sum(len(w.head_rows) for w in task.encode(make_request(text)).windows) == 2
    assert sum(len(w.head_rows) for w in task.encode(make_request(text, truncate=True)).windows) == 1
    with pytest.raises(InvalidRequestError, match="has no <mask>"):
        task.encode(make_request("and a bad film " * 20 + "<mask>", truncate=True))


def test_a_truncated_text_is_filled_up_to_the_end_of_its_window(byte_level, tmp_path):
    task = make_task(make_encoder(byte_level, tmp_path, 20))
    (window,) = task.encode(make_request("<mask>" * 40, truncate=True)).windows
    assert window.head_rows.tolist() == list(range(1, 19))


# --- The same as Hugging Face ---------------------------------------------------------------------------


def test_answers_are_those_of_the_transformers_pipeline(tiny_checkpoints):
    from transformers import pipeline

    serve = serve_checkpoint(tiny_checkpoints["fill-mask"])
    ask = pipeline("fill-mask", model=str(tiny_checkpoints["fill-mask"]), device="cpu")
    for text in ["a <mask> film", "<mask> is good", "a go<mask>d film.", "the café in <mask>"]:
        ours, theirs = serve({"inputs": text}), ask(text)
        assert [c["score"] for c in ours] == pytest.approx([c["score"] for c in theirs], abs=1e-4)
        for field in ("token", "token_str", "sequence"):
            assert [c[field] for c in ours] == [c[field] for c in theirs]
