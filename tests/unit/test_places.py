"""Places in the memory: what they mean, how they are written, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmis_emu import InputError
from cmis_emu.registers.field import LOWER
from cmis_emu.scenarios.places import Place, parse_page, parse_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("11h:154-169", Place(0x11, 154, 169)),
        ("L:14", Place(LOWER, 14, 14)),
        ("l:14-15", Place(LOWER, 14, 15)),
        ("L", Place(LOWER, 0, 127)),
        ("9Fh", Place(0x9F, 128, 255)),
        ("2h:128", Place(2, 128, 128)),
        ("11h/1:154", Place(0x11, 154, 154, bank=1)),
        ("11h/0", Place(0x11, 128, 255, bank=0)),
        ("11h:154.3", Place(0x11, 154, 154, mask=0x08)),
        ("L:3.3-1", Place(LOWER, 3, 3, mask=0x0E)),
        (" 00h:129-144 ", Place(0, 129, 144)),
    ],
)
def test_notation(text: str, place: Place) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "", "11", "11h:", "11h:127", "11h:256", "11h:169-154", "L:128", "L:-1", "L/1:3", "11h/16:154", "11h:154-155.3",
        "11h:154.8", "L:3.1-3", "111h:154", "11h:154,155", "0x11:154", "11h:154..3", "xh:154", "11h:154.3.4",
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_place(text)
    assert repr(text) in str(caught.value)


def test_a_page_alone() -> None:
    assert parse_page("11h/1") == Place(0x11, 128, 255, bank=1)
    for text in ("L", "11h:154", "11h:128-254"):
        with pytest.raises(InputError):
            parse_page(text)


@given(
    st.one_of(
        st.builds(lambda a, b: (LOWER, None, min(a, b), max(a, b)), st.integers(0, 127), st.integers(0, 127)),
        st.builds(
            lambda p, k, a, b: (p, k, min(a, b), max(a, b)),
            st.integers(0, 255),
            st.one_of(st.none(), st.integers(0, 15)),
            st.integers(128, 255),
            st.integers(128, 255),
        ),
    ),
    st.tuples(st.integers(0, 7), st.integers(0, 7)),
)
def test_a_place_reads_as_it_is_written(where: tuple[int, int | None, int, int], bits: tuple[int, int]) -> None:
    page, bank, first, last = where
    mask = 0xFF if first != last else ((2 << max(bits)) - 1) & ~((1 << min(bits)) - 1)
    place = Place(page, first, last, bank, mask)
    assert parse_place(str(place)) == place


def test_what_a_place_covers() -> None:
    place = Place(0x11, 154, 169)
    assert place.covers(0x11, 3, 154)
    assert place.covers(0x11, 0, 169)
    assert not place.covers(0x11, 0, 170)
    assert not place.covers(0x10, 0, 160)
    assert len(place) == 16
    assert not Place(0x11, 154, 169, bank=1).covers(0x11, 0, 154)
