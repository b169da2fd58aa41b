"""What went wrong, in the three forms it is told: to the caller, to X-Ray, and in the log."""

import os
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

Frame = tuple[str, int, str, "str | None"]
"""File, line number, function, and the line's text."""


class FaultException(Exception):
    """A fault with a type of Lambda's own, under the name that it has in the managed runtime."""

    MARSHAL_ERROR = "Runtime.MarshalError"
    UNMARSHAL_ERROR = "Runtime.UnmarshalError"
    USER_CODE_SYNTAX_ERROR = "Runtime.UserCodeSyntaxError"
    HANDLER_NOT_FOUND = "Runtime.HandlerNotFound"
    IMPORT_MODULE_ERROR = "Runtime.ImportModuleError"
    BUILT_IN_MODULE_CONFLICT = "Runtime.BuiltInModuleConflict"
    MALFORMED_HANDLER_NAME = "Runtime.MalformedHandlerName"
    BEFORE_SNAPSHOT_ERROR = "Runtime.BeforeSnapshotError"
    AFTER_RESTORE_ERROR = "Runtime.AfterRestoreError"
    LAMBDA_CONTEXT_UNMARSHAL_ERROR = "Runtime.LambdaContextUnmarshalError"

    def __init__(self, exception_type: str, msg: str, trace: "list[str] | None" = None) -> None:
        super().__init__(msg)
        self.exception_type = exception_type
        self.msg = msg
        self.trace = trace


class Error:
    """An exception as it is reported. `frames` are the function's own, outermost first."""

    def __init__(self, error: BaseException) -> None:
        if isinstance(error, FaultException):
            self.type, self.message, self.stack = error.exception_type, error.msg, error.trace or []
            self.frames: list[Frame] = []
            self._xray_type = "LambdaValidationError"
        else:
            self.type = self._xray_type = type(error).__name__
            self.message = str(error)
            self.frames = _frames(error.__traceback__)
            self.stack = traceback.format_list(self.frames)

    def report(self, request_id: str = "") -> "dict[str, object]":
        """As the caller gets it."""
        return {
            "errorMessage": self.message,
            "errorType": self.type,
            "requestId": request_id,
            "stackTrace": self.stack,
        }

    def xray_cause(self) -> "dict[str, object]":
        stack = [{"label": function, "path": file, "line": line} for file, line, function, _ in self.frames]
        return {
            "working_directory": os.getcwd(),
            "exceptions": [{"message": self.message, "type": self._xray_type, "stack": stack}],
            "paths": list(dict.fromkeys(file for file, *_ in self.frames)),
        }


def _frames(trace: "TracebackType | None") -> "list[Frame]":
    """Without ours, which are below the function's."""
    frames = [(frame.filename, frame.lineno or 0, frame.name, frame.line) for frame in traceback.extract_tb(trace)]
    while len(frames) > 1 and frames[0][0].startswith(_PACKAGE):
        del frames[0]
    return frames


_PACKAGE = os.path.dirname(__file__) + "/"
