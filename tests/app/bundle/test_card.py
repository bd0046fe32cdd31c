"""The model card of a folder: read as a file of the folder, and never as a way out of it."""

import pytest

from app.bundle.files import CARD, MOST_CARD_BYTES, read_card


@pytest.mark.parametrize("target", ["/proc/self/environ", "../keys.toml", CARD])
def test_a_link_that_leaves_the_folder_is_no_card(target, tmp_path):
    (tmp_path / "keys.toml").write_text("secret")
    (folder := tmp_path / "1").mkdir()
    (folder / CARD).symlink_to(target)
    assert read_card(folder) == ""


def test_a_link_within_the_folder_and_one_to_a_blob_of_the_hubs_cache_are_cards(tmp_path):
    (folder := tmp_path / "models--org--name" / "snapshots" / "main").mkdir(parents=True)
    (blobs := tmp_path / "models--org--name" / "blobs").mkdir()
    (blobs / "abc").write_text("# A blob")
    (folder / CARD).symlink_to("../../blobs/abc")
    assert read_card(folder) == "# A blob"
    (folder / CARD).unlink()
    (folder / "card.md").write_text("# A file")
    (folder / CARD).symlink_to("card.md")
    assert read_card(folder) == "# A file"


def test_a_card_that_is_too_long_or_no_file_is_left_out(tmp_path):
    assert read_card(tmp_path) == ""
    (tmp_path / CARD).write_text("a" * (MOST_CARD_BYTES + 1))
    assert read_card(tmp_path) == ""
