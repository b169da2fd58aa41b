"""The docs say what the code does, where both can be compared."""

import re
from pathlib import Path

from coldspan_extension import attributes
from coldspan_wrapper import records

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_of_attributes_is_the_registrys() -> None:
    assert attributes.as_markdown() in (DOCS / "attributes.md").read_text()


def test_the_record_format_names_every_kind_and_field() -> None:
    text = (DOCS / "record-format.md").read_text()
    for kind, fields in records.FIELDS.items():
        assert re.search(rf"\b{kind}\b", text)
        for name, _ in fields:
            assert re.search(rf"\b{name}\b", text), name


def test_the_example_of_the_record_format_is_what_encode_makes() -> None:
    text = (DOCS / "record-format.md").read_text()
    data, _ = records.frame(0x01020304, iter(records.encode(records.NEXT_BEGIN, 0, 1)))
    assert data.hex() in text.replace(" ", "")


def test_every_variable_that_the_extension_reads_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text()
    source = "".join(path.read_text() for path in (DOCS.parent / "extension").rglob("*.py"))
    for variable in set(re.findall(r'"((?:OTEL|COLDSPAN)_[A-Z_]+)"', source)):
        assert variable in text, variable
