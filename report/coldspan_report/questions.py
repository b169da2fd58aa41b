"""The questions that `coldspan report` asks of the relation (relation.py), each defined once, in DuckDB's dialect.

`spans` is the relation within the filters. sqlglot translates a question for ClickHouse, with one function of our own
choice (_translated). Each is ordered to its end, so that both engines give the same rows in the same order. Pure.
docs/report.md lists them, as `as_markdown` does.
"""

from dataclasses import dataclass

import sqlglot
from sqlglot import exp

TOP = 40
"""Rows of a question that could have any number."""
EDGES = 400
"""Of the import graph."""
BUCKETS = 30
"""Of time, in `timeline`."""

_REQUESTS = """requests AS (
  SELECT trace_id, span_id, instance, service, version, start_ns, duration_ns / 1e6 AS ms, error, error_type,
    coldstart, memory_bytes,
    CASE WHEN coldstart AND init_phase = 'invoke' THEN 'init repeated'
         WHEN coldstart THEN coalesce(init_type, 'unknown')
         WHEN sequence = 1 AND proactive THEN 'proactive'
         WHEN sequence = 1 THEN coalesce(init_type, 'unknown') || ', ahead'
         ELSE 'warm' END AS start
  FROM spans WHERE kind = 2 AND coldstart IS NOT NULL)"""

_COLD = "cold AS (SELECT trace_id, instance, min(span_id) AS start FROM requests WHERE coldstart GROUP BY 1, 2)"

_IMPORTS = """imported AS (
  SELECT s.service AS service, s.version AS version, cold.start AS start, s.trace_id AS trace_id,
    s.parent_span_id AS parent_span_id,
    coalesce(s.module, 'other imports') AS module, coalesce(s.source, '') AS source,
    coalesce(s.compile_s, 0) AS compile_s,
    CASE WHEN s.name = 'other imports' THEN s.duration_ns / 1e6 ELSE coalesce(s.self_s, 0) * 1e3 END AS self_ms,
    coalesce(s.code_file || ':' || CAST(s.code_line AS VARCHAR), '') AS via, s.import_error AS import_error
  FROM spans AS s JOIN cold ON s.trace_id = cold.trace_id AND s.instance = cold.instance
  WHERE s.name LIKE 'import %' OR s.name = 'other imports')"""


_PLACED = f"""placed AS (
  SELECT r.trace_id AS trace_id, r.span_id AS span_id, r.start_ns AS start_ns, r.ms AS ms, r.coldstart AS coldstart,
    CAST(floor((r.start_ns - e.first_ns) * {BUCKETS}.0 / (e.last_ns - e.first_ns + 1)) AS BIGINT) AS bucket
  FROM requests AS r
  CROSS JOIN (SELECT min(start_ns) AS first_ns, max(start_ns) AS last_ns FROM requests) AS e)"""


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    asks: str
    sql: str


def _question(name: str, asks: str, sql: str, *before: str) -> Question:
    return Question(name, asks, (f"WITH {', '.join(before)} {sql}" if before else sql).strip())


QUESTIONS = (
    _question(
        "scope",
        "What was there to ask: spans, functions, environments, from when to when (ns).",
        """SELECT count(*) AS spans, count(DISTINCT service) AS services, count(DISTINCT instance) AS instances,
  count(*) FILTER (WHERE kind = 2 AND coldstart IS NOT NULL) AS requests,
  count(*) FILTER (WHERE phase IS NOT NULL OR coldstart IS NOT NULL) AS ours,
  min(start_ns) AS first_ns, max(start_ns) AS last_ns FROM spans""",
    ),
    _question(
        "starts",
        "How requests found their environment, and how many waited for it to start.",
        """SELECT start, count(*) AS requests, count(*) FILTER (WHERE coldstart) AS cold,
  count(*) / (SELECT count(*) FROM requests) AS share FROM requests GROUP BY start ORDER BY requests DESC, start""",
        _REQUESTS,
    ),
    _question(
        "versions",
        "Cold starts, their rate and latency by function and version, the versions in order of appearance.",
        f"""SELECT service, version, count(*) AS requests, count(*) FILTER (WHERE coldstart) AS cold,
  count(*) FILTER (WHERE coldstart) / count(*) AS cold_rate, min(start_ns) AS first_ns,
  quantile_cont(CASE WHEN coldstart THEN ms END, 0.5) AS cold_p50_ms,
  quantile_cont(CASE WHEN coldstart THEN ms END, 0.95) AS cold_p95_ms,
  quantile_cont(CASE WHEN NOT coldstart THEN ms END, 0.5) AS warm_p50_ms,
  quantile_cont(CASE WHEN NOT coldstart THEN ms END, 0.95) AS warm_p95_ms
FROM requests GROUP BY service, version
ORDER BY sum(count(*) FILTER (WHERE coldstart)) OVER (PARTITION BY service) DESC, service, first_ns LIMIT {TOP}""",
        _REQUESTS,
    ),
    _question(
        "latency",
        "Percentiles of what callers waited for, cold and warm (the SERVER span).",
        """SELECT CASE WHEN coldstart THEN 'cold' ELSE 'warm' END AS start, count(*) AS requests,
  quantile_cont(ms, 0.5) AS p50_ms, quantile_cont(ms, 0.95) AS p95_ms, quantile_cont(ms, 0.99) AS p99_ms,
  max(ms) AS max_ms
FROM requests GROUP BY coldstart ORDER BY start""",
        _REQUESTS,
    ),
    _question(
        "phases",
        "The same for each phase; `ahead` is an init that no request waited for.",
        """SELECT coalesce(nullif(u.start, ''), 'ahead') AS start, s.name AS phase, count(*) AS spans,
  quantile_cont(s.duration_ns / 1e6, 0.5) AS p50_ms, quantile_cont(s.duration_ns / 1e6, 0.95) AS p95_ms,
  quantile_cont(s.duration_ns / 1e6, 0.99) AS p99_ms, sum(s.duration_ns / 1e6) AS total_ms
FROM phased AS s LEFT JOIN parents AS u ON s.trace_id = u.trace_id AND s.parent_span_id = u.span_id
GROUP BY coalesce(nullif(u.start, ''), 'ahead'), s.name ORDER BY start, total_ms DESC, phase""",
        _REQUESTS,
        """under AS (
  SELECT trace_id, span_id, CASE WHEN coldstart THEN 'cold' ELSE 'warm' END AS start FROM requests)""",
        """phased AS (
  SELECT trace_id, span_id, parent_span_id, coalesce(phase, name) AS name, duration_ns FROM spans
  WHERE phase IS NOT NULL OR name IN ('extension init', 'runtime boot', 'load handler', 'event decode',
    'response encode', 'after response'))""",
        """parents AS (
  SELECT trace_id, span_id, start FROM under
  UNION ALL SELECT p.trace_id AS trace_id, p.span_id AS span_id, under.start AS start
  FROM phased AS p JOIN under ON p.trace_id = under.trace_id AND p.parent_span_id = under.span_id
  WHERE p.name IN ('init', 'restore', 'handler'))""",
    ),
    _question(
        "imports",
        "Which imports cost cold starts most themselves, in how many of them, and which line asked for them.",
        f"""SELECT module, max(source) AS source, count(DISTINCT start) AS starts, count(DISTINCT service) AS services,
  sum(self_ms) AS total_ms, sum(self_ms) / count(DISTINCT start) AS mean_ms, max(self_ms) AS max_ms,
  arg_max(via, self_ms) AS via, sum(compile_s) * 1e3 AS compile_ms, max(import_error) AS error,
  sum(self_ms) / (SELECT sum(ms) FROM requests WHERE coldstart) AS share
FROM imported GROUP BY module ORDER BY total_ms DESC, module LIMIT {TOP}""",
        _REQUESTS,
        _COLD,
        _IMPORTS,
    ),
    _question(
        "import_versions",
        "What an import took itself in a cold start, on average, by version: 0 where it did not come up.",
        """SELECT i.module AS module, i.service AS service, v.version AS version, v.first_ns AS first_ns,
  v.cold AS cold,
  sum(i.self_ms * CASE WHEN i.version = v.version THEN 1 ELSE 0 END) / v.cold AS mean_ms
FROM summed AS i JOIN released AS v ON i.service = v.service
GROUP BY i.module, i.service, v.version, v.first_ns, v.cold ORDER BY module, service, first_ns, version""",
        _REQUESTS,
        _COLD,
        _IMPORTS,
        """released AS (
  SELECT service, version, min(start_ns) AS first_ns, count(*) AS cold
  FROM requests WHERE coldstart GROUP BY service, version)""",
        f"""costly AS (
  SELECT module, service FROM imported WHERE module <> 'other imports' GROUP BY module, service
  ORDER BY sum(self_ms) DESC, module, service LIMIT {TOP})""",
        """summed AS (
  SELECT i.module AS module, i.service AS service, i.version AS version, sum(i.self_ms) AS self_ms
  FROM imported AS i JOIN costly ON i.module = costly.module AND i.service = costly.service
  GROUP BY i.module, i.service, i.version)""",
    ),
    _question(
        "import_edges",
        "Who imported whom in cold starts; the parent of a handler's module and of what a handler imports is empty.",
        f"""SELECT coalesce(p.module, '') AS parent, i.module AS module, max(i.source) AS source,
  count(DISTINCT i.start) AS starts, sum(i.self_ms) AS total_ms
FROM imported AS i LEFT JOIN parents AS p ON i.trace_id = p.trace_id AND i.parent_span_id = p.span_id
GROUP BY coalesce(p.module, ''), i.module ORDER BY total_ms DESC, parent, module LIMIT {EDGES}""",
        _REQUESTS,
        _COLD,
        _IMPORTS,
        "parents AS (SELECT trace_id, span_id, module FROM spans WHERE name LIKE 'import %' AND module IS NOT NULL)",
    ),
    _question(
        "bodies",
        "Lines of modules that ran long beside importing (sampled), over all starts.",
        f"""SELECT body_file || ':' || CAST(body_line AS VARCHAR) AS line, count(*) AS starts,
  sum(body_s) * 1e3 AS total_ms, max(body_s) * 1e3 AS max_ms FROM spans WHERE body_s >= 0.025 AND body_line IS NOT NULL
GROUP BY body_file, body_line ORDER BY total_ms DESC, line LIMIT {TOP}""",
    ),
    _question(
        "failures",
        "Failures by kind, of requests and of inits that no request waited for.",
        f"""SELECT CASE WHEN kind = 2 THEN 'request' ELSE 'init' END AS failed,
  coalesce(error_type, 'unknown') AS type, count(*) AS failures, count(*) FILTER (WHERE coldstart) AS cold,
  count(DISTINCT service) AS services, max(start_ns) AS last_ns, arg_max(trace_id, start_ns) AS example
FROM spans WHERE error AND ((kind = 2 AND coldstart IS NOT NULL) OR (name = 'init' AND parent_span_id = ''))
GROUP BY 1, 2 ORDER BY failures DESC, type, failed LIMIT {TOP}""",
    ),
    _question(
        "billing",
        "What is billed: inits on demand, and all invocations, in seconds and GB-seconds.",
        """SELECT count(*) FILTER (WHERE kind = 2 AND coldstart IS NOT NULL) AS requests,
  count(seconds) AS inits, coalesce(sum(seconds), 0) AS inits_s, coalesce(sum(seconds * gb), 0) AS inits_gb_s,
  coalesce(sum(billed_s), 0) AS requests_s, coalesce(sum(billed_s * gb), 0) AS requests_gb_s
FROM (SELECT kind, coldstart, billed_s, memory_bytes / 1073741824 AS gb,
  CASE WHEN name = 'init' AND kind = 1 AND init_type = 'on-demand'
       THEN coalesce(init_s, duration_ns / 1e9) END AS seconds
  FROM spans) AS billed""",
    ),
    _question(
        "overhead",
        "What coldspan itself took, as far as it measured it.",
        """SELECT 'extension' AS part, count(overhead_extension_s) AS reports,
  quantile_cont(overhead_extension_s * 1e3, 0.5) AS p50_ms, quantile_cont(overhead_extension_s * 1e3, 0.95) AS p95_ms
FROM spans UNION ALL
SELECT 'wrapper' AS part, count(overhead_wrapper_s) AS reports, quantile_cont(overhead_wrapper_s * 1e3, 0.5) AS p50_ms,
  quantile_cont(overhead_wrapper_s * 1e3, 0.95) AS p95_ms FROM spans UNION ALL
SELECT 'export' AS part, count(overhead_export_s) AS reports, quantile_cont(overhead_export_s * 1e3, 0.5) AS p50_ms,
  quantile_cont(overhead_export_s * 1e3, 0.95) AS p95_ms FROM spans ORDER BY part""",
    ),
    _question(
        "dropped",
        "What was lost on the way, by coldspan's own account.",
        """SELECT coalesce(sum(dropped_records), 0) AS records, coalesce(sum(dropped_spans), 0) AS spans,
  count(DISTINCT instance) AS instances FROM spans WHERE dropped_records > 0 OR dropped_spans > 0""",
    ),
    _question(
        "timeline",
        f"Requests, cold starts and their latency in {BUCKETS} equal parts of the time from the first to the last.",
        """SELECT bucket, count(*) AS requests, count(*) FILTER (WHERE coldstart) AS cold, min(start_ns) AS first_ns,
  quantile_cont(CASE WHEN coldstart THEN ms END, 0.5) AS cold_p50_ms,
  quantile_cont(CASE WHEN NOT coldstart THEN ms END, 0.5) AS warm_p50_ms
FROM placed GROUP BY bucket ORDER BY bucket""",
        _REQUESTS,
        _PLACED,
    ),
    _question(
        "phase_timeline",
        "What each phase of cold starts took on average, in the same parts of the time.",
        """SELECT placed.bucket AS bucket, s.phase AS phase, count(*) AS cold, min(placed.start_ns) AS first_ns,
  avg(s.duration_ns / 1e6) AS mean_ms
FROM placed JOIN spans AS s ON s.trace_id = placed.trace_id AND s.parent_span_id = placed.span_id
WHERE placed.coldstart AND s.phase IS NOT NULL GROUP BY placed.bucket, s.phase ORDER BY bucket, phase""",
        _REQUESTS,
        _PLACED,
    ),
    _question(
        "distribution",
        "How many requests took how long, cold and warm: a bin begins at `10 ** (bin / 10)` ms.",
        """SELECT CASE WHEN coldstart THEN 'cold' ELSE 'warm' END AS start,
  CAST(floor(log10(greatest(ms, 0.001)) * 10) AS BIGINT) AS bin, count(*) AS requests
FROM requests GROUP BY 1, 2 ORDER BY start, bin""",
        _REQUESTS,
    ),
)

BY_NAME = {question.name: question for question in QUESTIONS}
START_WORDS = ("cold", "warm")
SAMPLE = 2_000
"""Requests of each kind that a comparison looks at."""


def sample(start: str) -> Question:
    """Latencies of cold or warm requests, SAMPLE at most. Span ids are hashes: those first in order are a fair draw,
    and the same one at each run."""
    condition = "coldstart" if start == "cold" else "NOT coldstart"
    return _question(
        f"sample_{start}",
        f"Latencies of {start} requests, as many as a comparison needs.",
        f"SELECT ms FROM requests WHERE {condition} ORDER BY span_id LIMIT {SAMPLE}",
        _REQUESTS,
    )


def to_clickhouse(sql: str) -> str:
    """A statement of DuckDB's dialect, in ClickHouse's. Raises sqlglot.errors.ParseError."""
    return sqlglot.parse_one(sql, read="duckdb").transform(_translated).sql(dialect="clickhouse")


def _translated(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.PercentileCont):
        # ClickHouse's quantile() samples; this one interpolates as quantile_cont does.
        return exp.ParameterizedAgg(this="quantileExactInclusive", expressions=[node.expression], params=[node.this])
    return node


def as_markdown() -> str:
    """The questions of docs/report.md."""
    return "\n".join(f"**{each.name}**: {each.asks}\n\n```sql\n{each.sql}\n```\n" for each in QUESTIONS)
