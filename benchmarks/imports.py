"""What observing imports costs: 1,000 generated one-line modules, imported by one, with and without the observer.

    make bench                        # or: .venv/bin/python -I benchmarks/imports.py --pairs 40 --python python3.13

Wall time of real packages drowns it, so the modules do nothing. A pair is the same import twice in one process, without
and with the observer, in alternating order, its lines encoded as records as in a function; printed is the median of the
differences within the pairs, in µs per module.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODULES = 1_000
WRAPPER = Path(__file__).parents[1] / "wrapper"


def generate(folder: Path) -> None:
    for number in range(MODULES):
        (folder / f"module_{number}.py").write_text(f"x = {number}\n")
    (folder / "all_of_them.py").write_text("".join(f"import module_{number}\n" for number in range(MODULES)))
    import compileall

    compileall.compile_dir(folder, quiet=1)


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
        began = time.perf_counter_ns()
        __import__("all_of_them")
        return (time.perf_counter_ns() - began) / 1e3 / MODULES

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
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20, help="default 20")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to measure")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure, arguments.pairs)))
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        command = [arguments.python, "-S", __file__, "--pairs", str(arguments.pairs), "--measure", folder]
        subprocess.run(command, check=True, capture_output=True)  # writes the bytecode of that version
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"imports: {MODULES} modules, {arguments.pairs} pairs, µs per module")
    print(f"  bare {found['bare']:.1f}, with imports observed +{found['imports']:.2f}, ", end="")
    print(f"and sampled +{found['imports and samples']:.2f}")


if __name__ == "__main__":
    main()
