"""The embedded engine: files in, one DuckDB table out, in a folder that is removed at the end.

The table lies on disk, and what does not fit into MEMORY_MB goes to the same folder: ten million spans need no more
memory than one. Lines that DuckDB cannot read as an export are looked at one by one (lines.py).
"""

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from coldspan_report import lines, otlp
from coldspan_report.answers import Reading, Row
from coldspan_report.errors import EngineFailed, SourceInvalid
from coldspan_report.relation import COLUMNS, OTLP_JSON, duckdb_select
from coldspan_report.sources import PARQUET, File

MEMORY_MB = 600
"""Of DuckDB's own; with Python, the libraries and what reading takes the process stays below 1 GB."""
POLL_S = 0.1
Progress = Callable[[str, float], None]
"""Told what is done, and how much of it, from 0 to 1."""


class Embedded:
    """`with` makes it and removes it. Not for several threads."""

    def __init__(self, progress: Progress, memory_mb: int = MEMORY_MB) -> None:
        self._progress = progress
        self._memory_mb = memory_mb
        self.reading = Reading()

    def __enter__(self) -> "Embedded":
        self._temporary = tempfile.TemporaryDirectory(prefix="coldspan-report-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self._database = duckdb.connect(
            self.folder / "spans.duckdb",
            config={
                "memory_limit": f"{self._memory_mb}MB",
                "temp_directory": str(self.folder),
                "preserve_insertion_order": "false",
                "autoinstall_known_extensions": "false",
            },
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self._database.close()
        self._temporary.cleanup()

    def load(self, files: Sequence[File]) -> None:
        """Raises SourceInvalid, EngineFailed."""
        kinds = {form: [file for file in files if file.format == form] for form in {file.format for file in files}}
        self._run("Reading", f"CREATE TABLE loaded AS {duckdb_select(_json([]))}")
        for form, group in sorted(kinds.items()):
            if form == PARQUET:
                self._load_parquet(group)
                continue
            for compression in sorted({file.compression for file in group}):
                paths = [file.path for file in group if file.compression == compression]
                self._run("Reading", f"INSERT INTO loaded {duckdb_select(_json(paths, compression))}")
            if rejected := self._drop_rejected():
                self._look_closer(group, rejected)
        self._drop_duplicates()
        self.restrict("")

    def _load_parquet(self, files: Sequence[File]) -> None:
        for file in files:
            held = {row[0] for row in self._database.execute(f"DESCRIBE FROM {_parquet(file.path)}").fetchall()}
            if missing := [column for column in COLUMNS if column not in held]:
                raise SourceInvalid(
                    f"{file.name} is no Parquet file of `coldspan report --save`: it has no column {missing[0]}"
                )
            picked = ", ".join(COLUMNS)
            self._run("Reading", f"INSERT INTO loaded SELECT {picked} FROM {_parquet(file.path)}")

    def _drop_rejected(self) -> int:
        rejected = "trace_id IS NULL OR span_id IS NULL OR name IS NULL OR start_ns IS NULL OR duration_ns IS NULL"
        (count,) = self._database.execute(f"SELECT count(*) FROM loaded WHERE {rejected}").fetchall()[0]
        if count:
            self._run("Reading", f"DELETE FROM loaded WHERE {rejected}")
        return int(count)

    def _drop_duplicates(self) -> None:
        """Exports come twice as wholes, so two of their spans tell whether any did: all are compared only then."""
        repeated = "SELECT count(*) - count(DISTINCT (trace_id, span_id)) FROM loaded"
        (twice,) = self._database.execute(f"{repeated} WHERE kind = 2 OR billed_s IS NOT NULL").fetchall()[0]
        if twice:
            first = "SELECT min(rowid) FROM loaded GROUP BY trace_id, span_id"
            before = self._count()
            self._run("Comparing", f"DELETE FROM loaded WHERE rowid NOT IN ({first})")
            self.reading.duplicates = before - self._count()

    def _count(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM loaded").fetchall()[0][0])

    def _look_closer(self, files: Sequence[File], rejected: int) -> None:
        """Reads exports that stand among other text, and says what else was in the lines that DuckDB rejected."""
        found = self.folder / "embedded.jsonl"
        embedded = 0
        with found.open("wb") as copy:
            for line in _lines(files, self._progress):
                match line.kind:
                    case lines.EMBEDDED:
                        embedded += 1
                        copy.write(line.export + b"\n")
                    case lines.FOREIGN:
                        self.reading.foreign[line.format] += 1
                    case lines.OTHER:
                        self.reading.other += 1
        broken = rejected - embedded - self.reading.foreign.total() - self.reading.other
        if embedded:
            self._run("Reading", f"INSERT INTO loaded {duckdb_select(_json([found]))}")
            broken += self._drop_rejected()
        found.unlink()
        if broken > 0:
            self.reading.broken = broken
            self.reading.first_broken = _first_broken(files)

    def restrict(self, condition: str) -> None:
        """From now on the questions see those spans only."""
        where = f" WHERE {condition}" if condition else ""
        self._database.execute(f"CREATE OR REPLACE VIEW spans AS SELECT {', '.join(COLUMNS)} FROM loaded{where}")

    def rows(self, sql: str) -> list[Row]:
        self._run("Asking", sql)
        names = [column[0] for column in self._database.description or ()]
        return [dict(zip(names, row, strict=True)) for row in self._database.fetchall()]

    def save(self, path: Path) -> None:
        """The spans as Parquet. Raises EngineFailed where the file cannot be written."""
        target = str(path).replace("'", "''")
        self._run("Saving", f"COPY spans TO '{target}' (FORMAT parquet, COMPRESSION zstd)")

    def _run(self, what: str, sql: str) -> None:
        """Executes a statement, and tells how far it is. Raises EngineFailed."""
        try:
            with _told(self._database, what, self._progress):
                self._database.execute(sql)
        except duckdb.Error as error:
            raise EngineFailed(f"{what} failed: {str(error).splitlines()[0]}") from error
        except RuntimeError as interrupted:  # "Query interrupted", which is how DuckDB passes Ctrl-C on
            raise KeyboardInterrupt from interrupted


@contextmanager
def _told(database: duckdb.DuckDBPyConnection, what: str, progress: Progress) -> Iterator[None]:
    done = threading.Event()

    def poll() -> None:
        while not done.wait(POLL_S):
            progress(what, max(database.query_progress(), 0.0) / 100)

    polling = threading.Thread(target=poll, daemon=True)
    polling.start()
    try:
        yield
    finally:
        done.set()
        polling.join()


def _json(paths: Sequence[Path], compression: str = "") -> str:
    """The table function that reads exports; a line that is none gives a row with NULL. Of no file: no rows."""
    if not paths:
        return f"(SELECT NULL::{OTLP_JSON} AS resourceSpans LIMIT 0)"
    names = ", ".join("'{}'".format(str(path).replace("'", "''")) for path in paths)
    return (
        f"read_json([{names}], format = 'newline_delimited', records = true, ignore_errors = true, "
        f"compression = '{compression or 'uncompressed'}', columns = {{resourceSpans: '{OTLP_JSON}'}})"
    )


def _parquet(path: Path) -> str:
    return "read_parquet('{}')".format(str(path).replace("'", "''"))


def _lines(files: Iterable[File], progress: Progress) -> Iterator[lines.Line]:
    for file in files:
        size, read = max(file.path.stat().st_size, 1), 0
        for number, line in enumerate(file.lines()):
            read += len(line)
            if number % 10_000 == 0:
                progress(f"Looking through {file.name}", min(read / size, 1.0))
            yield lines.classify(line)


def _first_broken(files: Iterable[File]) -> str:
    for file in files:
        for number, text in enumerate(file.lines(), 1):
            line = lines.classify(text)
            if line.kind in (lines.EXPORT, lines.EMBEDDED):
                try:
                    otlp.from_json(line.export or text)
                except otlp.Undecodable as error:
                    return f"{file.name}, line {number}: {error}"
    return "a span without an id, a name or a time"
