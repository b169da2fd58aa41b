"""The `coldspan` command. What a subcommand needs is imported when it runs: `coldspan layer build` needs no extras.

Exit status: 0 every invocation was answered or the report made, 1 a failure of the lab or nothing to report, 2 bad
usage, 128 + n ended by signal n.
"""

import io
import itertools
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from coldspan_lab import arguments
from coldspan_lab.errors import (
    FunctionInvalid,
    InterpreterInvalid,
    LabError,
    LayerInvalid,
    PortUnavailable,
    RuntimeClientMissing,
)
from coldspan_lab.faults import FAULTS
from coldspan_lab.model import InitType
from coldspan_lab.signals import Interrupted
from coldspan_layer import builder, target
from coldspan_layer.errors import BuildError
from coldspan_report import command as report
from coldspan_report.errors import ReportError, SourceInvalid
from coldspan_wrapper import __version__

FAILED = 1
BAD_USAGE = 2
BY_SIGNAL = 128

USAGE_ERRORS = (FunctionInvalid, InterpreterInvalid, LayerInvalid, PortUnavailable, RuntimeClientMissing, SourceInvalid)
EXTRAS = {"boto3": "lab", "h11": "lab"} | dict.fromkeys(("duckdb", "google", "rich", "scipy", "sqlglot"), "report")
"""What an extra brings, by what it is imported as; the lab's extra brings the report's, too."""
LAB_COMMANDS = ("run", "demo")


def main(argv: Sequence[str] | None = None) -> int:
    # A character that the terminal's encoding lacks is no reason to fail.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(argv)
    try:
        options.execute(options)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        extra = "lab" if options.command in LAB_COMMANDS else EXTRAS[package]
        return _failed(f"{package} is not installed; it comes with: pip install 'coldspan[{extra}]'", BAD_USAGE)
    except USAGE_ERRORS as error:
        return _failed(str(error), BAD_USAGE)
    except (LabError, BuildError, ReportError) as error:
        return _failed(str(error), FAILED)
    except KeyboardInterrupt:
        return BY_SIGNAL + signal.SIGINT
    except Interrupted as interrupted:
        return BY_SIGNAL + interrupted.number
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python flushes it once more at exit: into nothing, then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser("coldspan", description="Shows what a Python function on AWS Lambda does while it starts.")
    parser.add_argument("--version", action="version", version=f"coldspan {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    _add_run(commands.add_parser("run", help="run a function under a local Lambda service and print its traces"))
    demo = commands.add_parser("demo", help="run a sample function that way: one cold invocation, two warm ones")
    demo.set_defaults(execute=_demo)
    report.add_arguments(commands.add_parser("report", help="say from traces how bad cold starts are, and why"))
    layer = commands.add_parser("layer", help="make the Lambda layer").add_subparsers(metavar="COMMAND", required=True)
    _add_layer_build(layer.add_parser("build", help="build the layer, a folder or a .zip"))
    return parser


def _add_run(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("path", metavar="PATH", type=arguments.function_folder, help="the folder that holds the function's code")
    add("--handler", default="app.handler", help="MODULE.FUNCTION in that folder (default: %(default)s)")
    add(
        "--event",
        metavar="FILE|JSON",
        action="append",
        type=arguments.event,
        help="an event: a file with JSON, or JSON; several take turns (default: {})",
    )
    add("-n", metavar="N", type=arguments.count, help="how many invocations (default: one for each event)")
    add(
        "--otlp",
        metavar="URL",
        type=arguments.otlp_endpoint,
        help="forward the spans to this OTLP/HTTP endpoint as well, such as http://localhost:4318",
    )
    add(
        "--memory",
        metavar="MB",
        type=arguments.memory_mb,
        help="hold the function to this memory and the CPU share that goes with it, where cgroups permit",
    )
    add("--timeout", metavar="S", type=arguments.timeout_s, default=30.0, help="in seconds (default: %(default)g)")
    add(
        "--init-type",
        metavar="TYPE",
        type=arguments.init_type,
        default=InitType.ON_DEMAND,
        help=f"why the environment is initialised: {', '.join(each.value for each in InitType)} (default: on-demand)",
    )
    add(
        "--fault",
        metavar="NAME",
        action="append",
        type=arguments.fault,
        default=[],
        help=f"make something go wrong; several may (docs/faults.md). NAME is one of: {', '.join(FAULTS)}",
    )
    add(
        "--env",
        metavar="NAME=VALUE",
        action="append",
        type=arguments.variable,
        default=[],
        help="one of the function's environment variables; the shell's own are not passed on",
    )
    add(
        "--python",
        type=arguments.python,
        default=Path(sys.executable),
        help="the function's Python, with awslambdaric installed",
    )
    add("--layer", metavar="PATH", type=arguments.layer_folder, help="a layer's folder (default: this coldspan's own)")
    add("--json", action="store_true", help="print the spans as lines of OTLP/JSON, one for each export")
    parser.set_defaults(execute=_run, parser=parser)


def _add_layer_build(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--output", metavar="PATH", type=Path, required=True, help="a folder, or a name that ends in .zip")
    add("--python", metavar="3.N", default=builder.current_python(), help="Lambda's runtime (default: %(default)s)")
    add("--arch", choices=builder.ARCHITECTURES, default="x86_64", help="(default: %(default)s)")
    add("--with-grpc", action="store_true", help="also able to export over gRPC; much larger")
    parser.set_defaults(execute=_layer_build, parser=parser)


def _run(options: Namespace) -> None:
    if problem := arguments.handler_problem(options.handler, options.path):
        options.parser.error(f"argument --handler: {problem}")
    if "restore-timeout" in options.fault and options.init_type is not InitType.SNAP_START:
        options.parser.error("argument --fault: restore-timeout: nothing is restored but with --init-type snap-start")
    from coldspan_lab import run
    from coldspan_lab.screen import Progress, show
    from coldspan_lab.service import Function
    from coldspan_report import otlp

    events = options.event or [b"{}"]
    function = Function(
        options.path,
        options.handler,
        arguments.function_name(options.path),
        options.python,
        timeout_s=options.timeout,
        environment=dict(options.env),
        init_type=options.init_type,
        **({"memory_mb": options.memory, "limit_resources": True} if options.memory else {}),
    )
    payloads = tuple(itertools.islice(itertools.cycle(events), options.n or len(events)))
    plan = run.Plan(function, payloads, options.layer, options.otlp, tuple(options.fault))
    try:
        collected = run.run(plan, Progress(sys.stderr))
    except (InterpreterInvalid, RuntimeClientMissing) as error:
        options.parser.error(f"argument --python: {error}")
    if options.json:
        sys.stdout.writelines(f"{otlp.to_json(export)}\n" for export in collected.exports)
    else:
        show(collected.traces(), sys.stdout)


def _demo(options: Namespace) -> None:
    from coldspan_lab import demo_command

    demo_command.run()


def _layer_build(options: Namespace) -> None:
    try:
        target.parse(options.python, options.arch)
        builder.check_output(options.output)
    except BuildError as error:
        options.parser.error(str(error))
    builder.build(
        options.output, python=options.python, arch=options.arch, with_grpc=options.with_grpc, say=_say_on_stderr
    )


def _say_on_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _failed(message: str, status: int) -> int:
    _say_on_stderr(f"coldspan: {message}")
    return status
