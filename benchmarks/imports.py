"""What observing imports costs: 1,000 generated one-line modules, imported by one, with and without the observer.

    make bench                        # or: .venv/bin/python -I benchmarks/imports.py --pairs 40 --python python3.13

Wall time of real packages drowns it, so the modules do nothing; measured is the CPU time of the process. A pair is the
same import twice in one process, without and with the observer, in alternating order, its lines encoded as records as
in a function. Printed are the median of the differences within the pairs and, for machines that others use, the
difference of the least, in µs per module. Where valgrind is installed, the instructions that the same takes are
counted, in processes that differ in the observer alone: they are the same at each run, however busy the machine is.
"""

import argparse
import gc
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODULES = 1_000
WRAPPER = Path(__file__).parents[1] / "wrapper"
COUNTED = str(Path(__file__).with_name("import_counted.py"))
VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def generate(folder: Path, modules: int) -> None:
    for number in range(modules):
        (folder / f"module_{number}.py").write_text(f"x = {number}\n")
    (folder / "all_of_them.py").write_text("".join(f"import module_{number}\n" for number in range(modules)))


def instructions(python: str, modules: int) -> tuple[int, int]:
    """Per module: those of an import, and how many more they are with the observer."""

    def count(rounds: int, observed: bool) -> int:
        command = [*program, folder, str(rounds), "on" if observed else "off"]
        done = subprocess.run([*VALGRIND, *command], check=True, capture_output=True, text=True, env=environment)
        (line,) = [line for line in done.stderr.splitlines() if "refs:" in line]
        return int(line.rpartition(":")[2].replace(",", "")) // modules

    program, environment = [python, "-S", COUNTED], {"PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), modules)
        subprocess.run([*program, folder, "0", "off"], check=True, env=environment)  # writes that version's bytecode
        none, bare, observed = count(0, False), count(1, False), count(1, True)
    return bare - none, observed - bare


def measure(folder: Path, pairs: int) -> dict[str, float]:
    """Runs in the interpreter that is measured."""
    sys.path[:0] = [str(folder), str(WRAPPER)]
    from coldspan_wrapper import records
    from coldspan_wrapper.imports import ImportObserver

    def encode(text: str) -> None:
        records.encode(records.IMPORTS, 0, 0, text)

    def once() -> float:
        for name in [name for name in sys.modules if name.startswith(("module_", "all_of_them"))]:
            del sys.modules[name]
        gc.collect()
        began = time.process_time_ns()
        __import__("all_of_them")
        return (time.process_time_ns() - began) / 1e3 / MODULES

    def observed(samples: bool) -> float:
        observer = ImportObserver(encode, print)
        observer.install()
        if samples:
            observer.start_sampling()
        took = once()
        observer.stop_sampling()
        observer.uninstall()
        return took

    once()
    measured: dict[str, list[float]] = {"bare": [], "imports": [], "imports and samples": []}
    differences: dict[str, list[float]] = {"imports": [], "imports and samples": []}
    for number in range(pairs):
        for name, samples in (("imports", False), ("imports and samples", True)):
            if number % 2:
                bare, with_observer = once(), observed(samples)
            else:
                with_observer, bare = observed(samples), once()
            measured["bare"].append(bare)
            measured[name].append(with_observer)
            differences[name].append(with_observer - bare)
    return {
        "bare": statistics.median(measured["bare"]),
        **{name: statistics.median(found) for name, found in differences.items()},
        "least": min(measured["imports"]) - min(measured["bare"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20, help="default 20")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to measure")
    parser.add_argument("--instructions", metavar="N", type=int, help="only count those, over N modules; prints JSON")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.instructions is not None:
        print(json.dumps(instructions(arguments.python, arguments.instructions)))
        return
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure, arguments.pairs)))
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), MODULES)
        command = [arguments.python, "-S", __file__, "--pairs", str(arguments.pairs), "--measure", folder]
        subprocess.run(command, check=True, capture_output=True)  # writes the bytecode of that version
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"imports: {MODULES} modules, {arguments.pairs} pairs, µs of CPU time per module")
    print(f"  bare {found['bare']:.1f}, with imports observed +{found['imports']:.2f}, ", end="")
    print(f"of the least +{found['least']:.2f}, and sampled +{found['imports and samples']:.2f}")
    if shutil.which("valgrind"):
        bare, more = instructions(arguments.python, MODULES)
        print(f"  in instructions: bare {bare:,}, with imports observed +{more:,} ({more / bare:.1%})")


if __name__ == "__main__":
    main()
