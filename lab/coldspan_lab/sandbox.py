"""What the processes of an environment are started with: commands, variables, folders. Pure, but for looking at files.

The variables are those that Lambda documents, given and withheld as by the core of the AWS emulator (rapidcore/env).
"""

import os
from dataclasses import dataclass
from pathlib import Path

from coldspan_lab.interpreter import BOOTSTRAP, Interpreter
from coldspan_lab.model import Function, InitType, RuntimeClient

WRAPPER = "coldspan-exec"
XRAY_DAEMON = ("169.254.100.1", "2000")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One environment's surroundings; they stay the same across its resets."""

    function: Function
    interpreter: Interpreter
    layer: Path | None
    """The layer tree, as it would lie in /opt."""
    address: str
    """host:port of the environment's APIs."""
    metadata_token: str
    log_stream: str
    channel: Path
    """The named pipe between the wrapper and the extension."""
    listen: str
    """127.0.0.1:port, where the extension is to listen for telemetry."""


def extension_programs(layer: Path | None) -> list[Path]:
    """What is started as an extension: every entry of the layer's extensions folder that is no folder, by name."""
    if layer is None or not (layer / "extensions").is_dir():
        return []
    return sorted(entry for entry in (layer / "extensions").iterdir() if not entry.is_dir())


def runtime_command(sandbox: Sandbox) -> list[str]:
    """The runtime client on the function's handler.

    awslambdaric comes behind AWS_LAMBDA_EXEC_WRAPPER, if that is set; custom runtimes do not look at it.
    """
    handler, python = sandbox.function.handler, str(sandbox.interpreter.executable)
    if _is_custom(sandbox):
        if sandbox.layer is not None:
            return [str(sandbox.layer / BOOTSTRAP), handler]
        return [python, "-m", "coldspan_wrapper.runtime", handler]
    command = [python, "-m", "awslambdaric", handler]
    wrapper = _customer(sandbox).get("AWS_LAMBDA_EXEC_WRAPPER")
    return [wrapper, *command] if wrapper else command


def extension_environment(sandbox: Sandbox) -> dict[str, str]:
    """Names that begin with "_" are withheld from extensions."""
    customer = {name: value for name, value in _customer(sandbox).items() if not name.startswith("_")}
    return {**_defaults(sandbox), **customer, **_reserved(sandbox)}


def runtime_environment(sandbox: Sandbox) -> dict[str, str]:
    function = sandbox.function
    daemon_host, daemon_port = XRAY_DAEMON
    defaults = {
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": f"{daemon_host}:{daemon_port}",
    }
    reserved = {
        "_AWS_XRAY_DAEMON_ADDRESS": daemon_host,
        "_AWS_XRAY_DAEMON_PORT": daemon_port,
        "_HANDLER": function.handler,
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": str(function.path.absolute()),
    }
    if not _is_custom(sandbox):  # the managed runtimes' own bootstrap exports it
        reserved["AWS_EXECUTION_ENV"] = f"AWS_Lambda_python{sandbox.interpreter.version}"
    if function.init_type is not InitType.SNAP_START:  # when a snapshot is made, its log streams are not known
        reserved["AWS_LAMBDA_LOG_GROUP_NAME"] = f"/aws/lambda/{function.name}"
        reserved["AWS_LAMBDA_LOG_STREAM_NAME"] = sandbox.log_stream
    return {**_defaults(sandbox), **defaults, **_customer(sandbox), **_reserved(sandbox), **reserved}


def _is_custom(sandbox: Sandbox) -> bool:
    return sandbox.function.runtime is RuntimeClient.COLDSPAN


def _customer(sandbox: Sandbox) -> dict[str, str]:
    """The function's own variables; the layer's wrapper is set for awslambdaric, as its owner would."""
    variables = dict(sandbox.function.environment)
    if not _is_custom(sandbox) and sandbox.layer is not None and (sandbox.layer / WRAPPER).is_file():
        variables.setdefault("AWS_LAMBDA_EXEC_WRAPPER", str(sandbox.layer / WRAPPER))
    return variables


def _defaults(sandbox: Sandbox) -> dict[str, str]:
    """What the function's variables may replace. Only in the lab are region, credentials and coldspan's own
    addresses among them, of which each environment here has its own."""
    task = sandbox.function.path.absolute()
    paths = [sandbox.interpreter.executable.parent, "/usr/local/bin", "/usr/bin", "/bin"]
    # Lambda's list begins with the system's own folders; named here, they would come before the libraries that an
    # interpreter brings along, which on Lambda it does not.
    libraries = [task, task / "lib"]
    if sandbox.layer is not None:
        paths.append(sandbox.layer / "bin")
        libraries.append(sandbox.layer / "lib")
    return {
        "AWS_REGION": sandbox.function.region,
        "AWS_DEFAULT_REGION": sandbox.function.region,
        "AWS_ACCESS_KEY_ID": "coldspan-lab",
        "AWS_SECRET_ACCESS_KEY": "coldspan-lab",
        "AWS_SESSION_TOKEN": "coldspan-lab",
        "COLDSPAN_CHANNEL": str(sandbox.channel),
        "COLDSPAN_LISTEN": sandbox.listen,
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        "PATH": os.pathsep.join(map(str, paths)),
        "TZ": ":UTC",
    }


def _reserved(sandbox: Sandbox) -> dict[str, str]:
    """What the platform sets for all processes, whatever the function's variables say."""
    function = sandbox.function
    return {
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": function.init_type.reported,
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "AWS_LAMBDA_METADATA_API": sandbox.address,
        "AWS_LAMBDA_METADATA_TOKEN": sandbox.metadata_token,
        "AWS_LAMBDA_RUNTIME_API": sandbox.address,
    }
