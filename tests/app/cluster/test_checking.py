"""Wrong settings of a replica are said in a sentence: those of the file before it is deployed, the others at start."""

import pytest

from app.cluster.checking import check_files, settings_of
from app.settings import Settings

WRONG = [
    ({"modells": "/models"}, r"modells: there is no such setting; did you mean models\?"),
    ({"runners": -1}, "runners: "),
    (
        {"log_levels": {"app.engin": "debug"}},
        r"log_levels: app.engin: there is no such module; did you mean app.engine\?",
    ),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=lambda each: str(each)[:20])
def test_a_wrong_setting_is_named(given, said):
    with pytest.raises(ValueError, match=said):
        settings_of({"device": "cpu"} | given)


@pytest.mark.parametrize("kind", ["replica", "listening"])
@pytest.mark.parametrize(("given", "said"), WRONG, ids=lambda each: str(each)[:20])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own code
def test_nothing_is_deployed_with_it(kind, given, said):
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    from app.cluster import listening, replica

    module = {"replica": replica, "listening": listening}[kind]
    with pytest.raises(ValueError, match=said):
        module.build({"port": 8080, "admin_port": 8001} | given)


def test_files_are_those_of_the_machine(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        check_files(Settings(models=tmp_path / "nothing"))
    with pytest.raises(ValueError, match="api_keys_file"):
        check_files(Settings(models=tmp_path, api_keys_file=tmp_path / "keys"))
