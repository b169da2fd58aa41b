"""Tables of a results file: as text, and as Markdown between the marks of a document.

    python -Im coldspan_bench.render results.json                         # everything, as text
    python -Im coldspan_bench.render results.json docs/performance.md     # renews what stands between its marks

A mark is `<!-- bench: NAME -->`, and what it begins ends at `<!-- /bench -->`. NAME is `targets`, `machine`, `layer`,
`peers`, or a situation's, with all its figures or, as in `trivial:cold,warm_response`, with some. `:briefly` behind
them leaves out coldspan's variants and parts.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from coldspan_bench import summary, targets

MARKED = re.compile(r"(<!-- bench: (?P<name>\S+) -->\n).*?(<!-- /bench -->)", re.DOTALL)
UNITS = {
    "throttled by response": "periods",
    "throttled until free": "periods",
    "exports at shutdown": "",
    "spans": "",
    "bytes exported": "bytes",
    "extension memory before": "MiB",
    "extension memory after": "MiB",
    "extension alone after": "MiB",
    "runtime memory after": "MiB",
}
"""Everything else is in ms."""
DETAILS = ("coldspan ", "part: ")
"""Names that `briefly` leaves out begin so."""
MET = {True: "yes", False: "**no**", None: ""}

Row = list[str]


def text(results: dict[str, Any]) -> str:
    blocks = [machine(results)]
    for name, situation in results["situations"].items():
        blocks.append(f"{name}: {situation['title']}\n{_aligned(situation_rows(situation))}{_skipped(situation)}")
    blocks += [f"Not measured: {name}: {reason}" for name, reason in results["skipped"].items()]
    blocks.append(_aligned(target_rows(results)))
    blocks.append(_aligned(layer_rows(results)))
    return "\n\n".join(blocks)


def renewed(document: str, results: dict[str, Any]) -> str:
    """The document with its marked parts made anew. A part that the results do not have stays as it is."""

    def part(found: re.Match[str]) -> str:
        made = _part(found["name"], results)
        return f"{found[1]}{made}{found[3]}" if made else found[0]

    return MARKED.sub(part, document)


def _part(name: str, results: dict[str, Any]) -> str:
    if name == "machine":
        return machine(results) + "\n"
    if name == "targets":
        return _markdown(target_rows(results))
    if name == "layer":
        return _markdown(layer_rows(results))
    if name == "peers":
        return _markdown(peer_rows(results))
    name, _, figures = name.partition(":")
    figures, _, briefly = figures.partition(":")
    situation = results["situations"].get(name)
    if not situation:
        return ""
    wanted = figures.replace("_", " ").split(",") if figures else situation["figures"]
    rows = compact_rows(situation, wanted)
    if briefly:
        return _markdown([row for row in rows if not row[0].startswith(DETAILS)])
    return _markdown(rows) + _skipped(situation)


def machine(results: dict[str, Any]) -> str:
    found = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    where = f"{found['cpus']} CPUs ({found['cpu']}), Linux {found['kernel']}, load {found['load']}"
    return f"{results['date'][:10]}, {where}; {versions}; {results['rounds']} rounds. `{results['command']}`"


def situation_rows(situation: dict[str, Any]) -> list[Row]:
    """A row for each configuration and figure: median, spread, differences to the references."""
    rows = [["configuration", "figure", "median", "10 to 90 %", "over bare", "over the C extension"]]
    for name in situation["configurations"]:
        label = name
        for figure in situation["figures"]:
            found = summary.figure(situation, name, figure)
            if found is None:
                continue
            unit = UNITS.get(figure, "ms")
            rows.append(
                [
                    label,
                    figure,
                    f"{_number(found.median)} {unit}".rstrip(),
                    f"{_number(found.low)} to {_number(found.high)}",
                    "" if found.over_bare is None else f"{_number(found.over_bare, '+')}",
                    "" if found.over_floor is None else f"{_number(found.over_floor, '+')}",
                ]
            )
            label = ""
    return rows


def compact_rows(situation: dict[str, Any], figures: list[str]) -> list[Row]:
    """A row for each configuration. A cell is the median, its spread and the difference to the bare runtime."""
    heads = [f"{figure}, {UNITS.get(figure, 'ms')}".removesuffix(", ") for figure in figures]
    rows = [["", *heads]]
    for name in situation["configurations"]:
        cells = [_cell(summary.figure(situation, name, figure)) for figure in figures]
        if any(cells):
            rows.append([name, *cells])
    return rows


def _cell(found: summary.Figure | None) -> str:
    if found is None:
        return ""
    text = f"{_number(found.median)} ({_number(found.low)} to {_number(found.high)})"
    return text if found.over_bare is None else f"{text} **{_number(found.over_bare, '+')}**"


def target_rows(results: dict[str, Any]) -> list[Row]:
    rows = [["target", "configuration", "limit", "measured", "met"]]
    for verdict in targets.verdicts(results):
        rows.append([verdict.title, verdict.configuration, verdict.limit, verdict.measured, MET[verdict.met]])
    return rows


def layer_rows(results: dict[str, Any]) -> list[Row]:
    kinds = ("unzipped", "zipped")
    rows = [["part of the layer", *kinds]]
    for name, part in results["layer"].items():
        rows.append([name, *(f"{part[kind] / targets.MB:.2f} MB" if kind in part else "" for kind in kinds)])
    return rows


def peer_rows(results: dict[str, Any]) -> list[Row]:
    rows = [["peer", "versions", "its traces go to"]]
    for name, peer in results["peers"].items():
        versions = ", ".join(f"{package} {version}" for package, version in peer["versions"].items())
        rows.append([name, versions, peer["traces"]])
    return [*rows, *([name, "", f"not measured: {reason}"] for name, reason in results["skipped"].items())]


def _number(value: float, sign: str = "") -> str:
    """Three digits that matter."""
    if abs(value) >= 100:
        return f"{value:{sign}.0f}"
    return f"{value:{sign}.1f}" if abs(value) >= 10 else f"{value:{sign}.2f}"


def _skipped(situation: dict[str, Any]) -> str:
    """A line for each configuration without figures."""
    found = [(name, each["skipped"]) for name, each in situation["configurations"].items() if "skipped" in each]
    return "".join(f"\nNot measured: {name}: {reason.splitlines()[0][:200]}\n" for name, reason in found)


def _aligned(rows: list[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def _markdown(rows: list[Row]) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body]) + "\n"


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(f"usage: python -Im coldspan_bench.render RESULTS [DOCUMENT]...\n\n{__doc__}")
    results = json.loads(Path(sys.argv[1]).read_text())
    if len(sys.argv) == 2:
        print(text(results))
    for document in map(Path, sys.argv[2:]):
        document.write_text(renewed(document.read_text(), results))


if __name__ == "__main__":
    main()
