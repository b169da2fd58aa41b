"""The relation's columns are of what coldspan emits, and the docs have them and the questions as they are."""

from pathlib import Path

from coldspan_extension import attributes, semconv
from coldspan_report import questions, relation

DOCS = Path(__file__).parents[2] / "docs"


def test_every_column_is_of_an_attribute_that_is_emitted() -> None:
    conventions = {value for value in vars(semconv).values() if isinstance(value, str)}
    for column in relation.ATTRIBUTES:
        assert set(column.keys) <= {*attributes.REGISTRY, *conventions}, column.column


def test_the_docs_have_the_relation_and_the_questions() -> None:
    text = (DOCS / "report.md").read_text()
    assert relation.as_markdown() in text
    assert questions.as_markdown() in text


def test_a_percentile_is_the_exact_one_in_clickhouse() -> None:
    translated = questions.to_clickhouse("SELECT quantile_cont(ms, 0.95) AS p95_ms FROM requests")
    assert translated == "SELECT quantileExactInclusive(0.95)(ms) AS p95_ms FROM requests"
