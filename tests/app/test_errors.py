"""What is said of errors that other libraries raise."""

import pytest

from app.errors import said_by


@pytest.mark.parametrize(
    ("message", "expected"),
    [("It failed.\nAt length: ...", "It failed"), ("\n two\n", "two"), ("", "ValueError"), ("\n", "ValueError")],
)
def test_the_first_line_of_an_error_is_said_or_its_kind(message, expected):
    assert said_by(ValueError(message)) == expected
