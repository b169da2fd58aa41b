"""The `coldspan` command. What a subcommand needs is imported when it runs: `coldspan layer build` needs no extras.

Exit status: 0 every invocation was answered or the report made, 1 a failure or nothing to report, 2 bad usage, 128 + n
ended by signal n, which is how serving ends anyway: 0.
"""

import io
import itertools
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
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
from coldspan_lab.model import Function, InitType, InvokeMode, RuntimeClient
from coldspan_lab.signals import Interrupted
from coldspan_layer import builder, target
from coldspan_layer.errors import BuildError
from coldspan_report import command as report
from coldspan_report.errors import ReportError, SourceInvalid
from coldspan_wrapper import __version__

DEFAULT_PORT = 8080
FAILED = 1
BAD_USAGE = 2
BY_SIGNAL = 128

USAGE_ERRORS = (FunctionInvalid, InterpreterInvalid, LayerInvalid, PortUnavailable, RuntimeClientMissing, SourceInvalid)
EXTRAS = {"boto3": "lab", "h11": "lab"} | dict.fromkeys(
    ("duckdb", "google", "jinja2", "plotly", "rich", "scipy", "sqlglot"), "report"
)
"""What an extra brings, by what it is imported as; the lab's extra brings the report's, too."""
HTML_HELP = "write the traces as a page into this file, too"


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
        extra = EXTRAS[package] if options.command == "report" else "lab"
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
    _add_serve(commands.add_parser("serve", help="serve a function over HTTP on this machine and print its traces"))
    demo = commands.add_parser("demo", help="run a sample function that way: one cold invocation, two warm ones")
    demo.add_argument("--html", metavar="FILE", type=arguments.output_file, help=f"{HTML_HELP} (default: in the cache)")
    demo.set_defaults(execute=_demo)
    report.add_arguments(commands.add_parser("report", help="say from traces how bad cold starts are, and why"))
    layer = commands.add_parser("layer", help="make the Lambda layer").add_subparsers(metavar="COMMAND", required=True)
    _add_layer_build(layer.add_parser("build", help="build the layer, a folder or a .zip"))
    return parser


def _add_run(parser: ArgumentParser) -> None:
    add = parser.add_argument
    _add_function(parser)
    add(
        "--event",
        metavar="FILE|JSON",
        action="append",
        type=arguments.event,
        help="an event: a file with JSON, or JSON; several take turns (default: {})",
    )
    add("-n", metavar="N", type=arguments.count, help="how many invocations (default: one for each event)")
    add("--html", metavar="FILE", type=arguments.output_file, help=HTML_HELP)
    add(
        "--export",
        metavar="FORMAT=FILE",
        action="append",
        type=arguments.export,
        default=[],
        help="write the import tree of the first cold start for another viewer; "
        f"FORMAT is one of: {', '.join(arguments.EXPORT_FORMATS)}",
    )
    parser.set_defaults(execute=_run, parser=parser)


def _add_serve(parser: ArgumentParser) -> None:
    add = parser.add_argument
    _add_function(parser)
    add("--port", type=arguments.port, default=DEFAULT_PORT, help="on 127.0.0.1, 0 for any (default: %(default)s)")
    add(
        "--invoke-mode",
        metavar="MODE",
        type=arguments.one_of(InvokeMode),
        default=InvokeMode.BUFFERED,
        help=f"how the function's URL answers: {arguments.values(InvokeMode)} (default: BUFFERED)",
    )
    parser.set_defaults(execute=_serve, parser=parser)


def _add_function(parser: ArgumentParser) -> None:
    """The function, how it is run, and where its spans go."""
    add = parser.add_argument
    add("path", metavar="PATH", type=arguments.function_folder, help="the folder that holds the function's code")
    add("--handler", default="app.handler", help="MODULE.FUNCTION in that folder (default: %(default)s)")
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
        type=arguments.one_of(InitType),
        default=InitType.ON_DEMAND,
        help=f"why the environment is initialised: {arguments.values(InitType)} (default: on-demand)",
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
        help="the function's Python (default: this one)",
    )
    add(
        "--runtime",
        metavar="NAME",
        type=arguments.one_of(RuntimeClient),
        help=f"what runs the handler: {arguments.values(RuntimeClient)} (default: the first, where that Python has it)",
    )
    add("--layer", metavar="PATH", type=arguments.layer_folder, help="a layer's folder (default: this coldspan's own)")
    add("--json", action="store_true", help="print the spans as lines of OTLP/JSON, one for each export")


def _add_layer_build(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--output", metavar="PATH", type=Path, required=True, help="a folder, or a name that ends in .zip")
    add("--python", metavar="3.N", default=builder.current_python(), help="Lambda's runtime (default: %(default)s)")
    add("--arch", choices=builder.ARCHITECTURES, default="x86_64", help="(default: %(default)s)")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--with-grpc", action="store_true", help="also able to export over gRPC; much larger")
    either.add_argument(
        "--lean-only", action="store_true", help="without OpenTelemetry's SDK and all other dependencies; much smaller"
    )
    parser.set_defaults(execute=_layer_build, parser=parser)


def _run(options: Namespace) -> None:
    from coldspan_lab import outputs, run
    from coldspan_lab.screen import Progress, show
    from coldspan_report import otlp

    events = options.event or [b"{}"]
    payloads = tuple(itertools.islice(itertools.cycle(events), options.n or len(events)))
    plan = run.Plan(_function(options), payloads, options.layer, options.otlp, tuple(options.fault))
    progress = Progress(sys.stderr)
    with _naming_the_option(options):
        collected = run.run(plan, progress)
    if options.json:
        sys.stdout.writelines(f"{otlp.to_json(export)}\n" for export in collected.exports)
    else:
        show(collected.traces(), sys.stdout)
    if options.html is not None:
        outputs.write_page(options.html, collected.traces(), plan.function.name)
        progress.say(f"The traces as a page: {options.html}")
    for of_format, file in options.export:
        outputs.write_export(file, of_format, collected.traces())
        progress.say(f"The import tree for {of_format}: {file}")


def _serve(options: Namespace) -> None:
    from coldspan_lab import run
    from coldspan_lab.screen import Progress, show_export
    from coldspan_report import otlp

    def print_json(export: otlp.ExportTraceServiceRequest) -> None:
        sys.stdout.write(f"{otlp.to_json(export)}\n")
        sys.stdout.flush()

    def print_traces(export: otlp.ExportTraceServiceRequest) -> None:
        show_export(export, sys.stdout)

    function = replace(_function(options), invoke_mode=options.invoke_mode)
    plan = run.Plan(function, layer=options.layer, otlp=options.otlp, faults=tuple(options.fault))
    with _naming_the_option(options):
        run.serve(plan, options.port, Progress(sys.stderr), print_json if options.json else print_traces)


def _function(options: Namespace) -> Function:
    if problem := arguments.handler_problem(options.handler, options.path):
        options.parser.error(f"argument --handler: {problem}")
    if "restore-timeout" in options.fault and options.init_type is not InitType.SNAP_START:
        options.parser.error("argument --fault: restore-timeout: nothing is restored but with --init-type snap-start")
    return Function(
        options.path,
        options.handler,
        arguments.function_name(options.path),
        options.python,
        options.runtime,
        timeout_s=options.timeout,
        environment=dict(options.env),
        init_type=options.init_type,
        **({"memory_mb": options.memory, "limit_resources": True} if options.memory else {}),
    )


@contextmanager
def _naming_the_option(options: Namespace) -> Iterator[None]:
    try:
        yield
    except (InterpreterInvalid, RuntimeClientMissing) as error:
        options.parser.error(f"argument --python: {error}")
    except LayerInvalid as error:
        options.parser.error(f"argument --layer: {error}")


def _demo(options: Namespace) -> None:
    from coldspan_lab import demo_command

    demo_command.run(options.html)


def _layer_build(options: Namespace) -> None:
    try:
        target.parse(options.python, options.arch)
        builder.check_output(options.output)
    except BuildError as error:
        options.parser.error(str(error))
    builder.build(
        options.output,
        python=options.python,
        arch=options.arch,
        with_grpc=options.with_grpc,
        lean_only=options.lean_only,
        say=_say_on_stderr,
    )


def _say_on_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _failed(message: str, status: int) -> int:
    _say_on_stderr(f"coldspan: {message}")
    return status
