"""Every broken map of the corpus is refused with its own line, field, what was found and what was expected.

The first line of a map says so: `# expect: <line> | <field> | <part of found> | <part of expected>`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from broken_file import assert_refused

from cmis_emu.errors import InputError
from cmis_emu.registers.loader import link, load_enums, load_page

CORPUS = sorted((Path(__file__).parent / "maps").glob("*.yaml"))


def test_corpus_is_there() -> None:
    assert len(CORPUS) >= 25


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_broken_map_is_refused(path: Path) -> None:
    assert_refused(path, lambda path: link([load_page(path)], {"data_path_state": {1: "DPDeactivated"}}, {}))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("enums: {a: {one: first}}", "the code 'one'"),
        ("enums: {a: {01: first}}", "the code '01'"),
        ("enums: {a: {1: 5}}", "5"),
        ("enums: [a]", "['a']"),
        ("enum: {}", "unknown key 'enum'"),
        ("tables: {}", "no such key"),
    ],
)
def test_broken_enums_are_refused(text: str, found: str) -> None:
    with pytest.raises(InputError) as caught:
        load_enums("enums.yaml", text)
    assert found in caught.value.found


def test_two_pages_may_not_share_a_name() -> None:
    fields = "fields: [{name: Same, at: 128, type: u8}]"
    one = load_page("a.yaml", f"page: 11h\ntitle: A\n{fields}")
    two = load_page("b.yaml", f"page: 12h\ntitle: B\n{fields}")
    with pytest.raises(InputError, match=r"b\.yaml:3: Same: found the name of a field of page 11h"):
        link([one, two], {}, {})
