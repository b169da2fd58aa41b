"""make bench: measures, prints the tables, and keeps everything in a file that documents are made from (render.py)."""

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

from coldspan_bench import configurations, render, results, runner, situations, toolchain
from coldspan_bench.confinement import Confinement, confinement
from coldspan_bench.errors import Unavailable

ROUNDS = 20
Named = TypeVar("Named", configurations.Configuration, situations.Situation)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that cgroups are removed and processes ended
    arguments = _arguments()
    known = configurations.everything()
    chosen = _chosen("--configuration", arguments.configuration, known)
    scenes = _chosen("--situation", arguments.situation, situations.everything())
    if arguments.list:
        print("\n".join(["situations:", *(f"  {each.name:18}{each.title}" for each in scenes)]))
        print("\n".join(["configurations:", *(f"  {each.name}" for each in chosen)]))
        return
    references = [each for each in known if each.is_reference and each not in chosen]
    try:
        tools = toolchain.make(arguments.python, arguments.layer)
    except Unavailable as reason:
        raise SystemExit(str(reason)) from reason
    failed = _measure(tools, references + chosen, scenes, arguments.pairs, arguments.json)
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}")


def _measure(
    tools: toolchain.Toolchain,
    chosen: list[configurations.Configuration],
    scenes: list[situations.Situation],
    rounds: int,
    output: Path | None,
) -> list[str]:
    """Gives what of ours could not be measured though it should have been."""
    missing = results.unavailable(tools, chosen)
    for name, why in missing.items():
        _say(f"{name}: {why}")
    able = [each for each in chosen if each.name not in missing]
    found = results.head(tools, able, missing, rounds)
    failed = []
    with ExitStack() as stack:
        confined = _confinement(stack)
        for scene in scenes:
            taking = [each for each in able if scene.takes(each)]
            records = runner.run(tools, scene, taking, rounds, confined, _say)
            found["situations"][scene.name] = results.of_situation(scene, records)
            failed += [f"{scene.name}: {each.name}" for each in taking if each.is_ours and records[each.name].failed]
            if output is not None:
                output.write_text(json.dumps(found, indent=1) + "\n")
    print(render.text(found))
    return failed


def _confinement(stack: ExitStack) -> Confinement | None:
    try:
        return stack.enter_context(confinement())
    except Unavailable as reason:
        _say(str(reason))
        return None


def _chosen(option: str, wanted: list[str] | None, known: list[Named]) -> list[Named]:
    """Those whose names fit one of the patterns, in the order in which they are known."""
    unknown = [pattern for pattern in wanted or () if not any(fnmatch(each.name, pattern) for each in known)]
    if unknown:
        names = ", ".join(each.name for each in known)
        raise SystemExit(f"{option} {unknown[0]}: fits none of: {names}")
    return [each for each in known if wanted is None or any(fnmatch(each.name, pattern) for pattern in wanted)]


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--situation", action="append", metavar="PATTERN", help="which, by name; repeatable")
    parser.add_argument("--configuration", action="append", metavar="PATTERN", help='such as "coldspan*"; repeatable')
    parser.add_argument("--pairs", type=int, default=ROUNDS, help=f"rounds of each situation; default {ROUNDS}")
    parser.add_argument("--python", help="the interpreter to run functions on; default: this one")
    parser.add_argument("--layer", type=Path, help="an unpacked layer to measure; default: the one of this checkout")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to keep what was measured")
    parser.add_argument("--list", action="store_true", help="name what there is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
