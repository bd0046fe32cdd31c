"""What schemathesis must know that no schema can say: it depends on the model that answers, and on this machine."""

import schemathesis

MOST_STRIDE = 8  # half a window of the tiny bundles' is more
MOST_OF_A_PAIR = 8  # characters of either text, that both fit into one window
LEAST_TIMEOUT_MS = 60_000  # what takes longer than a shorter one is a 504, rightly
OF_NER = {
    *("aggregation_strategy", "ignore_labels", "stride"),
    *("grouped_entities", "is_split_into_words", "delimiter", "offset_unit"),
}
OF_EMBED = {"normalize", "dimensions", "prompt_name", "pooling", "encoding_format"}
FEW_PASSES = 64  # more of several texts are more than one request may have
FEW_LABELS = ["a", "b"]  # any number of long ones is more than one request may have
WIDTH = 16  # of the vectors of the toy that answers

OF_TENSORS = {"name": "tiny-classify", "version": "1"}


def fit_tensors(body):
    """Have a valid body of tensors two texts in one, as its shape says, and ask for nothing that the task has not."""
    body["inputs"] = [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}]
    body["outputs"] = None
    binary = (body.get("parameters") or {}).get("binary_data_output")
    body["parameters"] = {"binary_data_output": binary is True}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Give a request time, and a valid one no words that a vocabulary lacks, no stride of over half a window, no pair
    that fills one or of which the first text alone is to be cut, no text that is said to be words, few labels of its
    own, and of vectors what the toy has.

    A valid body for `/models/{name}` is one of some task: ask a model of that task.
    """
    timeout = str((case.headers or {}).get("X-Request-Timeout-Ms", ""))
    if timeout.isdecimal() and 0 < int(timeout) < LEAST_TIMEOUT_MS:
        case.headers["X-Request-Timeout-Ms"] = str(LEAST_TIMEOUT_MS)
    if case.meta.generation.mode.is_negative or not isinstance(case.body, dict):
        return
    if case.operation.path.startswith("/v2/"):
        case.path_parameters.update({name: OF_TENSORS[name] for name in case.path_parameters})
        fit_tensors(case.body)
        return
    inputs = case.body.get("inputs")
    if isinstance(inputs, list) and any(isinstance(each, dict) for each in inputs):
        del inputs[2:]  # each may be two texts
    for item in inputs if isinstance(inputs, list) else [inputs]:
        if isinstance(item, dict):
            item.update({name: shortened(text) for name, text in item.items()})
            if isinstance(item.get("question"), list) and isinstance(item.get("context"), list):
                item["context"] = item["context"][0]
        elif isinstance(item, list):
            item[:] = map(shortened, item[:2])  # a pair, or words
    parameters = case.body.get("parameters") or {}
    asks_of_vectors = bool(OF_EMBED & {*case.body, *parameters})
    for fields in (case.body, parameters):
        fields.pop("pooling", None)
        fields.pop("prompt_name", None)
        if fields.get("dimensions") is not None:
            fields["dimensions"] = 1 + int(fields["dimensions"]) % WIDTH
    parameters.pop("targets", None)
    parameters.pop("max_length", None)  # which may leave no mask
    if not isinstance(inputs, str):
        parameters.pop("truncation", None)
    if not isinstance(inputs, list):
        parameters.pop("is_split_into_words", None)
    parameters.pop("max_seq_len", None)  # of a larger model
    for name in ("stride", "doc_stride"):
        if parameters.get(name) is not None:
            parameters[name] %= MOST_STRIDE
    if case.operation.path == "/explain":
        parameters.pop("labels", None)
        parameters["forward_passes"] = FEW_PASSES
    if "candidate_labels" in parameters:
        parameters["candidate_labels"] = FEW_LABELS
        parameters.pop("hypothesis_template", None)
    if parameters.get("sentences") is not None:
        parameters.pop("ratio", None)  # which says the same otherwise
    if case.operation.path == "/invocations":
        case.body.pop("model", None)  # which may be of another task
    if case.operation.path == "/models/{name}":
        listed = inputs if isinstance(inputs, list) else [inputs]
        asks = any(isinstance(each, dict) and "question" in each for each in listed)
        has_words = any(isinstance(each, list) and len(each) > len(("a", "pair")) for each in listed)
        name = "tiny-ner" if has_words or parameters.keys() & OF_NER else "tiny-classify"
        name = "tiny-reader" if asks else "toy-embed" if asks_of_vectors and name != "tiny-ner" else name
        case.path_parameters["name"] = name
        if case.body.get("model") is not None:
            case.body["model"] = name


def shortened(value):
    """Return a text so short that a pair fits into a window; of a list, the first alone."""
    if isinstance(value, list):
        return [shortened(each) for each in value[:1]]
    return value and value.strip()[:MOST_OF_A_PAIR]
