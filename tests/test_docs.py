"""The documents agree with the code: settings, errors, series, commands, links, modules and the picture."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app import errors
from app.metrics import Metrics
from app.settings import Settings
from app.tasks import TASKS
from docs import api, bundles
from tests.documents.reading import PAGES, ROOT
from training.tasks import TASKS as TRAINED

CODES = [c.code for _, c in inspect.getmembers(errors, inspect.isclass) if "code" in vars(c)]
SERIES = [
    family.name for family in Metrics(CollectorRegistry()).registry.collect() if family.name.startswith("roberta")
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
MODULE = re.compile(r"`((?:app|training|benchmarks|tests|examples)/[\w/]+(?:\.py|\.toml|\.csv|/))`")
TO_BE_WRITTEN = re.compile(r"^`([\w/]+\.py)`$", re.MULTILINE)  # a line of its own, above the code
COMMAND = re.compile(r"-m (benchmarks[\w.]*)|`(benchmarks\.[\w.]+)`")
MOST_WORDS = 20
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", [*Settings.model_fields, *CODES, *SERIES])
def test_reference_is_complete(name):
    assert re.search(rf"`{name}(_total)?`", PAGES["docs/reference.md"])


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_task_has_a_row_in_the_readme_and_tests_on_either_side(task):
    assert f"| `POST /{task.route}` |" in PAGES["README.md"]
    trained = [type(TRAINED[task.name])] if task.name in TRAINED else []
    for module in map(inspect.getfile, (task, *trained)):
        file = Path(module).relative_to(ROOT)
        assert (ROOT / "tests" / file.parent / f"test_{file.name}").is_file()


def anchor_of(heading: str) -> str:
    """Return the fragment by which GitHub addresses a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def is_reachable(page: str, link: str) -> bool:
    """Whether the file that a relative link names exists, and has the heading that it names."""
    path, _, fragment = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    if not target.exists() or not fragment:
        return target.exists()
    headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
    return fragment in map(anchor_of, headings)


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_resolve(page):
    links = [link for link in LINK.findall(PAGES[page]) if not re.match(r"[a-z]+:", link)]
    assert [link for link in links if not is_reachable(page, link)] == []


@pytest.mark.parametrize("page", PAGES)
def test_modules_that_a_page_names_exist(page):
    to_be_written = set(TO_BE_WRITTEN.findall(PAGES[page]))  # by who follows the page
    named = set(MODULE.findall(PAGES[page])) - to_be_written
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_benchmarks_that_a_page_names_are_commands(page):
    named = {first or second for first, second in COMMAND.findall(PAGES[page])}
    for name in named:
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        folder = spec.submodule_search_locations
        assert folder is None or (Path(folder[0]) / "__main__.py").exists(), name


def test_the_glossary_is_short():
    _, _, glossary = PAGES["docs/architecture.md"].partition("## Glossary")
    words = re.findall(r"^\| ([\w -]+) \| ", glossary, re.M)[1:]
    assert len(set(words)) == len(words) > 10
    assert len(words) <= MOST_WORDS


def test_the_picture_is_what_its_script_draws():
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8") == script.drawing()


def test_the_reference_of_the_api_is_what_its_script_writes():
    assert PAGES["docs/api.md"] == api.page()


def test_the_page_of_commands_has_their_flags():
    """Where this fails after a change of a flag: `python docs/commands.py`."""
    spec = importlib.util.spec_from_file_location("commands", ROOT / "docs" / "commands.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert PAGES["docs/commands.md"] == script.page()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pictures_of_the_report_are_small(scheme):
    assert (ROOT / "docs" / f"report-{scheme}.png").stat().st_size < 150_000


def test_the_changelog_is_short():
    assert len((ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()) <= 30


def test_the_index_names_every_page():
    named = set(re.findall(r"\(([\w-]+\.md)\)", PAGES["docs/README.md"]))
    assert named == {name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")} - {"README.md"}


def test_the_tables_of_the_bundle_are_those_of_the_manifest():
    assert bundles.written(PAGES["docs/bundles.md"]) == PAGES["docs/bundles.md"]


@pytest.mark.parametrize("page", PAGES)
def test_rows_of_a_table_have_as_many_cells_as_its_head(page):
    """A stroke within a cell has a backslash before it, within backticks too: GitHub shows less than is written."""
    text = FENCED.sub("", PAGES[page])
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = [len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()]
        assert len(set(cells)) == 1, table.splitlines()[0]


def test_the_tasks_to_be_added_describe_their_routes_to_who_asks_them():
    assert "State:" not in PAGES["docs/adding-a-task.md"]
