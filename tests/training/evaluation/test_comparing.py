"""Two reports on the same examples: differences, chance, and the texts that flipped."""

import json

import pytest

from training.__main__ import main
from training.config import RecipeError
from training.evaluation.comparing import compare, read_report


def write_report(folder, answers, *, task="text-classification", **more):
    """Write what a report holds of one variant; `answers`: (truth, prediction) of each text."""
    folder.mkdir(parents=True)
    single = task == "text-classification"
    about = {
        "title": f"{folder.parent.name}:1",
        "task": task,
        "problem_type": "single_label_classification" if single else None,
        "main_metric": "accuracy" if single else "f1",
        "variants": {"int8": {}},
    }
    (folder / "metrics.json").write_text(json.dumps(about))
    with (folder / "predictions.jsonl").open("w") as file:
        for number, (truth, prediction) in enumerate(answers):
            row = {"variant": "int8", "text": f"text {number}", "truth": truth, "prediction": prediction}
            file.write(json.dumps(row | {"correct": truth == prediction, "loss": 0.5} | more) + "\n")


@pytest.fixture
def runs(tmp_path):
    """A run with 60 of 100 right, and one that gets 20 more of them and loses two."""
    truth = ["p" if number % 2 else "n" for number in range(100)]
    other = {"p": "n", "n": "p"}
    before = [(label, label if number < 60 else other[label]) for number, label in enumerate(truth)]
    after = [(label, label if 2 <= number < 80 else other[label]) for number, label in enumerate(truth)]
    write_report(tmp_path / "before" / "report", before)
    write_report(tmp_path / "after" / "report", after)
    return tmp_path / "before", tmp_path / "after"


def test_a_run_that_is_really_better_is_told_from_chance(runs):
    found = compare(*map(read_report, runs))
    main_metric, right, _ = found.differences
    assert (main_metric.metric, main_metric.before, main_metric.after) == ("accuracy", 0.6, 0.78)
    assert main_metric.interval[0] < main_metric.after - main_metric.before < main_metric.interval[1]
    assert main_metric.is_real
    assert main_metric.is_better
    assert right.after == pytest.approx(0.78)
    assert (len(found.fixed), len(found.broken), len(found.changed)) == (20, 2, 0)
    assert found.p_value == pytest.approx(0.000121, rel=0.01)  # twice the tail of a fair coin's 22 throws


def test_a_run_and_itself_differ_by_chance_alone(runs):
    found = compare(read_report(runs[0]), read_report(runs[0] / "report", "int8"))
    assert not any(each.is_real for each in found.differences)
    assert found.p_value == 1.0


def test_the_command_shows_the_texts_that_flipped(runs, capsys):
    main(["compare", *map(str, runs), "--most", "1"])
    shown = capsys.readouterr().out
    for said in ("Accuracy", "The second is better", "20 right only in the second", "text 60", "and 19 more"):
        assert said in shown
    main(["compare", *map(str, runs), "--json"])
    assert len(json.loads(capsys.readouterr().out)["fixed"]) == 20


def test_entities_are_compared_by_what_is_right_as_a_whole(tmp_path):
    spans = [{"start": 0, "end": 2, "entity": "PER"}]
    write_report(tmp_path / "a", [(spans, spans), (spans, [])], task="token-classification")
    write_report(tmp_path / "b", [(spans, spans), (spans, spans)], task="token-classification")
    found = compare(read_report(tmp_path / "a"), read_report(tmp_path / "b"))
    assert [each.metric for each in found.differences] == ["share_right", "mean_loss"]
    assert len(found.fixed) == 1


def test_what_cannot_be_compared_is_one_sentence(runs, tmp_path):
    write_report(tmp_path / "other", [("p", "p")])
    with pytest.raises(RecipeError, match="not scored on the same examples; score both with"):
        compare(read_report(runs[0]), read_report(tmp_path / "other"))
    with pytest.raises(RecipeError, match="has no report; give the folder of a finished run"):
        read_report(tmp_path)
    with pytest.raises(RecipeError, match="has no variant 'fp16'; it has int8"):
        read_report(runs[0], "fp16")


@pytest.mark.parametrize("broken", ["metrics.json", "predictions.jsonl"])
@pytest.mark.parametrize("content", [None, "{}", "cut sh"])
def test_a_report_that_is_not_understood_is_said_in_a_sentence(runs, broken, content):
    file = runs[0] / "report" / broken
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(RecipeError, match=r"has no report|is no report that is understood"):
        read_report(runs[0])


def test_losses_that_one_of_both_has_not_are_not_compared(runs):
    file = runs[1] / "report" / "predictions.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({key: row[key] for key in row if key != "loss"}) + "\n" for row in rows))
    assert [each.metric for each in compare(*map(read_report, runs)).differences] == ["accuracy", "share_right"]
