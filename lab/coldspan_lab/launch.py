"""Starts the extensions and the runtime of a domain, and tells what the exit of each of them means."""

from collections.abc import Callable
from pathlib import Path

from coldspan_lab import sandbox as sandboxes
from coldspan_lab.cgroups import Confinement
from coldspan_lab.domain import MAX_EXTENSIONS, Domain, Extension, Fault
from coldspan_lab.model import Moment
from coldspan_lab.processes import Process, describe_exit
from coldspan_lab.sandbox import Sandbox
from coldspan_lab.states import ExtensionAct, ExtensionState

CORE_DIRECTORY = Path("/")
"""Extensions start where Lambda's core runs."""


class Launcher:
    """`on_line` gets each line of output with its source, function or extension."""

    def __init__(
        self,
        sandbox: Sandbox,
        confinement: Confinement,
        on_line: Callable[[str, str], None],
        mark: Callable[[Moment], None],
    ) -> None:
        self._sandbox = sandbox
        self._confinement = confinement
        self._on_line = on_line
        self._mark = mark
        self._oom_kills = 0

    def start_extensions(self, domain: Domain) -> None:
        """All of the layer's, one after the other, without waiting for any. Raises Fault."""
        environment = sandboxes.extension_environment(self._sandbox)
        for program in sandboxes.extension_programs(self._sandbox.layer):
            extension = domain.extensions[program.name] = Extension(program.name, external=True)
            if len(domain.extensions) > MAX_EXTENSIONS:
                raise _launch_failed(extension, "TooManyExtensions", f"Extension limit ({MAX_EXTENSIONS}) reached")
            try:
                extension.process = self._start(
                    [str(program)], environment, CORE_DIRECTORY, "extension", _exit_of_extension(domain, extension)
                )
            except OSError as error:
                kind = "PermissionDenied" if isinstance(error, PermissionError) else "UnknownError"
                reason = (error.strerror or str(error)).lower()
                raise _launch_failed(extension, kind, f"fork/exec {program}: {reason}") from error
            self._mark(Moment.EXTENSION_SPAWNED)

    def start_runtime(self, domain: Domain) -> None:
        """Raises Fault."""
        command = sandboxes.runtime_command(self._sandbox)
        environment = sandboxes.runtime_environment(self._sandbox)
        directory = self._sandbox.function.path
        try:
            domain.runtime.process = self._start(
                command, environment, directory, "function", lambda process: self._runtime_exited(domain, process)
            )
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Fault("Runtime.InvalidEntrypoint", f"fork/exec {command[0]}: {reason}") from error
        self._mark(Moment.RUNTIME_SPAWNED)

    def _start(
        self,
        command: list[str],
        environment: dict[str, str],
        directory: Path,
        source: str,
        on_exit: Callable[[Process], None],
    ) -> Process:
        return Process(
            command,
            environment=environment,
            directory=directory,
            spawn=self._confinement.spawn,
            on_line=lambda line: self._on_line(source, line),
            on_exit=on_exit,
        )

    def _runtime_exited(self, domain: Domain, process: Process) -> None:
        status = process.exited.result()
        message = f"with error: {describe_exit(status)}" if status else "without providing a reason"
        before, self._oom_kills = self._oom_kills, self._confinement.oom_kills()
        out_of_memory = self._oom_kills > before
        domain.fail("Runtime.OutOfMemory" if out_of_memory else "Runtime.ExitError", f"Runtime exited {message}")


def _exit_of_extension(domain: Domain, extension: Extension) -> Callable[[Process], None]:
    def exited(process: Process) -> None:
        status = process.exited.result()
        if domain.stopping and extension.state is ExtensionState.RUNNING:
            extension.act(ExtensionAct.EXIT if status == 0 else ExtensionAct.FAIL_SHUTDOWN)
        message = describe_exit(status) if status else "exit code 0"
        domain.fail(domain.fatal_error or "Extension.Crash", message)

    return exited


def _launch_failed(extension: Extension, kind: str, message: str) -> Fault:
    """`kind` is what platform.extension says, and its log line."""
    extension.act(ExtensionAct.FAIL_LAUNCH)
    extension.error_type = kind
    return Fault("Extension.LaunchError", message)
