"""What ends a command with --ray is said as without it: in one sentence, with the same exit code."""

import pytest

from app.bulk.errors import BulkError
from app.bulk.job import Plan
from app.bulk.many import Asked
from app.bundle import BundleError
from app.cluster import files
from app.cluster.files import OUTPUT, SOURCE, Worker, failure, outcome_of
from app.errors import InvalidRequestError
from app.settings import Settings


def answered(models, tmp_path, model="tiny-classify", **options):
    """Return what the command makes of the answer of a worker about one file."""
    source = tmp_path / "a.csv"
    source.write_text("text\nA warm film.\n")
    plan = Plan(inputs=[source], output=tmp_path / "out")
    asked = Asked(model, Settings(models=models, device="cpu"), options, plan)
    row = Worker(asked)({SOURCE: [str(source)], OUTPUT: [str(tmp_path / "out" / "a.csv")]})
    return outcome_of({name: value for name, (value,) in row.items()})


def test_a_file_is_answered(tiny_models, tmp_path):
    outcome = answered(tiny_models, tmp_path)
    assert (outcome.rows, outcome.bad, outcome.problem) == (1, 0, None)


@pytest.mark.parametrize(
    ("model", "options", "error", "said"),
    [
        ("nothing", {}, BundleError, "there is no model 'nothing'"),
        ("no/such/folder/", {}, BundleError, "no/such/folder"),
        ("tiny-classify", {"nothing": 1}, InvalidRequestError, "nothing is not for"),
        ("tiny-classify", {"top_k": -1}, InvalidRequestError, "top_k"),
    ],
)
def test_what_is_wrong_is_said_before_a_cluster_is_asked(
    tiny_models, tmp_path, monkeypatch, model, options, error, said
):
    monkeypatch.setattr(files, "connected", lambda address: pytest.fail(f"{address} was asked"))
    plan = Plan(inputs=[tmp_path / "a.csv"], output=tmp_path / "out")
    asked = Asked(model, Settings(models=tiny_models, device="cpu"), options, plan)
    with pytest.raises(error, match=said):
        list(files.predict_on_cluster(asked, [], "auto"))


def test_a_model_of_the_hub_is_left_to_the_cluster(tiny_models, tmp_path):
    Asked("ORG/NAME", Settings(models=tiny_models), {}, Plan(inputs=[], output=tmp_path)).check()


def test_a_model_that_is_not_there_ends_the_command(tmp_path):
    with pytest.raises(BulkError, match="there is no model 'nothing'"):
        answered(tmp_path, tmp_path, "nothing")


def test_an_option_of_another_task_is_a_wrong_flag(tiny_models, tmp_path):
    with pytest.raises(InvalidRequestError, match="is not for"):
        answered(tiny_models, tmp_path, nothing=1)


def test_an_error_of_ray_is_one_sentence():
    said = failure(RuntimeError("Traceback:\n  File x\nOSError: no space left.\n"))
    assert said == "the Ray cluster failed: OSError: no space left; `ray logs` has more, the same command goes on"
    assert "RuntimeError" in failure(RuntimeError())
