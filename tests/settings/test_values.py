"""Numbers in settings: what a person writes, and nothing that only Python takes for one."""

import pytest

from transcriber.settings import values


@pytest.mark.parametrize("text", ["80_80", "٨٠٨٠", "+80", "8e1", "0x50", "", "9" * 5000, "65536", "-1"])
def test_what_is_no_whole_number_within_its_bounds(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be (a whole number from 0 to 65535|between 0 and 65535)"):
        values.integer(0, 65535)(text)


def test_whole_numbers() -> None:
    assert [values.integer(-5, 65535)(text) for text in (" 8080 ", "0080", "-5")] == [8080, 80, -5]


@pytest.mark.parametrize("text", ["pause:²", "pause:٣", "pause:", "pause:" + "9" * 5000, "pause:-1"])
def test_a_pause_is_of_seconds(text: str) -> None:
    with pytest.raises(ValueError, match="pause:SECONDS"):
        values.continuation(text)
