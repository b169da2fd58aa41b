"""`coldspan report`: its arguments, and what it does with them. Everything else is imported when it runs.

Exit status: 0 a report was made, 1 there was nothing to report or a server failed, 2 bad usage.
"""

import json
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from coldspan_report.filters import Filter, Invalid, Sides, instant_ns, iso, sides

if TYPE_CHECKING:
    from coldspan_report.answers import Counts, Engine, Reading
    from coldspan_report.embedded import Embedded
    from coldspan_report.progress import Bar
    from coldspan_report.servers import Connection

T = TypeVar("T", int, float)
DAY_NS = 86_400_000_000_000
SERVER = "://"
PRICE_PER_GB_S = 0.0000166667
"""US dollars: on-demand functions on x86_64 in us-east-1, first tier, by the price list of 2025."""

DESCRIPTION = """How bad cold starts are, which import is to blame, since which version, and what they cost.

SOURCE is a file of OTLP/JSON lines or a log that has such lines in it, plain or gzip, also as a pattern, - for standard
input, a Parquet file of --save, or clickhouse://user@host:8123/database?table=otel_traces (clickhouses:// for TLS; the
password also in CLICKHOUSE_PASSWORD), or jaeger+http://host:16686 (jaeger+https://), or tempo+http://host:3200
(tempo+https://)."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add = parser.add_argument
    count, amount = _positive(int), _positive(float)
    add("sources", metavar="SOURCE", nargs="+", help="files, patterns, -, or a server")
    add("--service", metavar="NAME", help="only this service")
    add("--version", metavar="V", help="only this version of the function (faas.version)")
    add("--since", metavar="TIME", help="ISO 8601, or how long ago: 90m, 24h, 7d (a server: default 24h)")
    add("--until", metavar="TIME", help="the same; excluded (default: now)")
    add("--compare", metavar="A..B", help="two versions such as 41..42, or two windows such as 48h/24h..24h/now")
    add(
        "--price",
        metavar="P",
        type=amount,
        default=PRICE_PER_GB_S,
        help="of a GB-second (default: %(default)s)",
    )
    add("--save", metavar="FILE.parquet", type=Path, help="keep the spans, for faster reports later")
    add("--html", metavar="FILE", type=Path, help="write the answers as a page into this file, too")
    add("--json", action="store_true", help="the answers as JSON (docs/report.md)")
    add(
        "--traces",
        metavar="N",
        type=count,
        default=1000,
        help="of Jaeger, of each service (default: %(default)s)",
    )
    add(
        "--sample",
        metavar="N",
        type=count,
        default=200,
        help="of Tempo, the traces read of each kind: cold, warm, init ahead (default: %(default)s)",
    )
    add(
        "--timeout",
        metavar="S",
        type=amount,
        default=60.0,
        help="for a server's answer (default: %(default)g)",
    )
    add("--header", metavar="NAME: VALUE", action="append", default=[], help="to a server, such as an Authorization")
    add("--ca-file", metavar="FILE", help="certificates that a server's is checked with (default: the system's)")
    add("--certificate", metavar="FILE", help="our own certificate and its key, PEM")
    parser.set_defaults(execute=execute, parser=parser)


def _positive(number: Callable[[str], T]) -> Callable[[str], T]:
    def parse(text: str) -> T:
        try:
            value = number(text)
        except ValueError:
            value = number("0")
        if not 0 < value < float("inf"):
            raise ArgumentTypeError(f"{text}: expected a number above 0")
        return value

    return parse


def execute(options: Namespace) -> None:
    """Raises ReportError."""
    from coldspan_report import answers, tables

    now_ns = time.time_ns()
    filters, compared = _filters(options, now_ns)
    scheme = _scheme(options)
    if scheme.startswith("clickhouse"):
        filters, engine = _clickhouse(options, filters, compared, now_ns)
        names = [_without_secrets(options.sources[0])]
        found = answers.ask(engine, names, filters, answers.Reading(), options.price, compared)
    else:
        if scheme:
            filters = _bounded(filters, now_ns)
            compared = _bounded_sides(filters, compared)
        with _embedded(options, filters, compared) as (engine, names, reading, counts):
            found = answers.ask(engine, names, filters, reading, options.price, compared, counts)
    if options.html:
        from coldspan_report.page.report_page import report_page
        from coldspan_report.page_content import content

        try:
            options.html.write_text(report_page(content(found)), encoding="utf-8")
        except OSError as error:
            options.parser.error(f"argument --html: {options.html}: cannot be written: {error.strerror}")
    if options.json:
        json.dump(found.as_json(), sys.stdout, indent=1, allow_nan=False)
        sys.stdout.write("\n")
    else:
        tables.show(found, sys.stdout)


def _filters(options: Namespace, now_ns: int) -> tuple[Filter, Sides | None]:
    parser: ArgumentParser = options.parser
    argument = "--since"
    try:
        since_ns = instant_ns(options.since, now_ns) if options.since else None
        argument = "--until"
        until_ns = instant_ns(options.until, now_ns) if options.until else None
        if since_ns is not None and since_ns >= (now_ns if until_ns is None else until_ns):
            argument = "--since"
            raise Invalid(f"the window ends before it begins: {iso(since_ns)} to {iso(until_ns or now_ns)}")
        filters = Filter(options.service, options.version, since_ns, until_ns)
        argument = "--compare"
        return filters, sides(options.compare, filters, now_ns) if options.compare else None
    except Invalid as invalid:
        parser.error(f"argument {argument}: {invalid}")


def _scheme(options: Namespace) -> str:
    """Of the server that is asked; empty where files are."""
    servers = [source for source in options.sources if SERVER in source]
    if not servers:
        return ""
    if len(options.sources) > 1:
        options.parser.error("a server is asked alone: one SOURCE")
    from coldspan_report import clickhouse, jaeger, tempo

    scheme = str(servers[0]).partition(SERVER)[0]
    known = [*clickhouse.SCHEMES, *jaeger.SCHEMES, *tempo.SCHEMES]
    if scheme not in known:
        names = ", ".join(f"{name}{SERVER}" for name in known)
        options.parser.error(f"{scheme}{SERVER}: expected a file or one of {names}")
    if scheme in clickhouse.SCHEMES and options.save:
        options.parser.error("argument --save: of ClickHouse nothing is fetched but results")
    return scheme


@contextmanager
def _embedded(
    options: Namespace, filters: Filter, compared: Sides | None
) -> "Iterator[tuple[Engine, list[str], Reading, Counts | None]]":
    """The spans in DuckDB, with a word about what else was in the files, and counts where they are a sample."""
    from coldspan_report.embedded import Embedded
    from coldspan_report.progress import bar
    from coldspan_report.sources import files

    with bar(sys.stderr) as progress, Embedded(progress) as engine:
        if SERVER in options.sources[0]:
            names = list(options.sources)
            fetch = _fetch_sample if options.sources[0].startswith("tempo") else _fetch
            path, counts = fetch(options, filters, compared, engine, progress)
            paths = [str(path)]
        else:
            paths, names, counts = options.sources, [], None
        found = files(paths, engine.folder)
        engine.load(found)
        progress.close()
        for warning in engine.reading.warnings():
            sys.stderr.write(f"coldspan: {warning}\n")
        engine.restrict(filters.condition)
        if options.save and counts:
            options.parser.error("argument --save: a sample is not kept, its rates would be wrong; --sample takes more")
        if options.save:
            engine.save(options.save)
        yield engine, names or [file.name for file in found], engine.reading, counts


def _fetch(
    options: Namespace, filters: Filter, compared: Sides | None, engine: "Embedded", progress: "Bar"
) -> tuple[Path, None]:
    """What Jaeger has in the window, in a file. Raises ServerFailed, SourceInvalid."""
    from coldspan_report.jaeger import Jaeger

    window = _window(filters, compared)
    server = Jaeger(options.sources[0], _connection(options))
    services = [options.service] if options.service else server.services()
    path = engine.folder / "jaeger.jsonl"
    cut = []
    with path.open("w", encoding="utf-8") as file:
        for number, service in enumerate(services):
            progress(f"Fetching {service}", number / len(services))
            exports, traces = server.exports(service, window.since_ns or 0, window.until_ns or 0, options.traces)
            file.writelines(f"{export}\n" for export in exports)
            cut += [service] if traces >= options.traces else []
    if cut:
        engine.reading.sample = f"the newest {options.traces} traces alone (--traces) of: {', '.join(cut)}"
    return path, None


def _fetch_sample(
    options: Namespace, filters: Filter, compared: Sides | None, engine: "Embedded", progress: "Bar"
) -> "tuple[Path, Counts | None]":
    """Tempo's newest traces in a file, and how to count what they are of. Raises ServerFailed, SourceInvalid."""
    from coldspan_report.tempo import Tempo, fetch
    from coldspan_report.tempo_counts import Counts

    server = Tempo(options.sources[0], _connection(options))
    path = engine.folder / "tempo.jsonl"
    wanted = [filters, *(side for _, side in compared or ())]
    fetched = fetch(server, wanted, options.sample, path, progress)
    if fetched.lacking:
        engine.reading.sample = f"{fetched.lacking} traces that Tempo found it gave not, or not whole"
    return path, Counts(server) if fetched.cut else None


def _clickhouse(options: Namespace, filters: Filter, compared: Sides | None, now_ns: int) -> "tuple[Filter, Engine]":
    """The engine, and the filters with the window that bounds its queries."""
    from coldspan_report import clickhouse

    address = clickhouse.address(options.sources[0])
    bounded = _bounded(filters, now_ns)
    window = _window(bounded, compared)
    engine = clickhouse.ClickHouse(
        clickhouse.over_http(address, _connection(options)),
        clickhouse.table_name(address),
        window.since_ns or 0,
        window.until_ns or now_ns,
    )
    return bounded, engine


def _bounded(filters: Filter, now_ns: int) -> Filter:
    """A server is asked for a window in any case."""
    until_ns = filters.until_ns or now_ns
    return replace(filters, since_ns=filters.since_ns or until_ns - DAY_NS, until_ns=until_ns)


def _window(bounded: Filter, compared: Sides | None) -> Filter:
    """What the report and both sides of its comparison are within."""
    every = [bounded, *(side for _, side in compared or ())]
    return replace(
        bounded,
        since_ns=min(side.since_ns for side in every if side.since_ns is not None),
        until_ns=max(side.until_ns for side in every if side.until_ns is not None),
    )


def _bounded_sides(bounded: Filter, compared: Sides | None) -> Sides | None:
    """A side that is a version is within the report's window."""
    if compared is None:
        return None
    (a, first), (b, second) = compared
    window = _window(bounded, compared)
    return (a, _within(first, window)), (b, _within(second, window))


def _within(side: Filter, window: Filter) -> Filter:
    return replace(side, since_ns=side.since_ns or window.since_ns, until_ns=side.until_ns or window.until_ns)


def _connection(options: Namespace) -> "Connection":
    from coldspan_report.servers import Connection

    try:
        headers = dict(_header(text) for text in options.header)
    except Invalid as invalid:
        options.parser.error(f"argument --header: {invalid}")
    return Connection(options.timeout, headers, options.ca_file, options.certificate)


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition(":")
    if not separator or not name.strip():
        raise Invalid(f"{name!r}: expected NAME: VALUE")
    return name.strip(), value.strip()


def _without_secrets(source: str) -> str:
    """A server's address as it may be shown."""
    scheme, _, rest = source.partition(SERVER)
    return f"{scheme}{SERVER}{rest.rpartition('@')[2]}"
