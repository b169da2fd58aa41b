"""What the handler gets beside its event, with the attributes and methods of the managed runtime's."""

import os
import sys
import time

from coldspan_wrapper.runtime.errors import FaultException

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

W3C_FIELDS = ("traceparent", "tracestate", "baggage")


class _Fields:
    """Attributes; None for a member that an object has not."""

    __slots__: "tuple[str, ...]" = ()

    def __repr__(self) -> str:
        shown = ",".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"{type(self).__name__}([{shown}])"


class CognitoIdentity(_Fields):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, members: "dict[str, Any]") -> None:
        self.cognito_identity_id = members.get("cognitoIdentityId")
        self.cognito_identity_pool_id = members.get("cognitoIdentityPoolId")


class Client(_Fields):
    # In the order in which they are shown.
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")  # noqa: RUF023

    def __init__(self, members: "dict[str, Any]") -> None:
        for name in self.__slots__:
            setattr(self, name, members.get(name))


class ClientContext(_Fields):
    __slots__ = ("custom", "env", "client")  # noqa: RUF023

    def __init__(self, members: "dict[str, Any]") -> None:
        self.custom = members.get("custom")
        self.env = members.get("env")
        client = members.get("client")
        self.client = None if client is None else Client(client)


class LambdaContext:
    def __init__(self, headers: "dict[str, str]") -> None:
        """`headers` are those of next's reply. Raises FaultException for a header whose JSON cannot be read."""
        environ = os.environ.get
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.log_group_name = environ("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environ("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environ("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn", "")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id") or None
        client = _parse(headers.get("lambda-runtime-client-context"), "Client Context")
        self._w3c_fields = _take_w3c(client)
        self.client_context = None if client is None else ClientContext(client)
        identity = _parse(headers.get("lambda-runtime-cognito-identity"), "Cognito Identity")
        self.identity = CognitoIdentity({} if identity is None else identity)
        self._epoch_deadline_time_in_ms = int(headers.get("lambda-runtime-deadline-ms") or 0)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def w3c(self) -> "dict[str, str]":
        """The caller's W3C trace context: traceparent, tracestate, baggage, as far as it sent them in its client
        context."""
        return dict(self._w3c_fields)

    def log(self, msg: object) -> None:
        import logging

        for handler in logging.getLogger().handlers:
            if hasattr(handler, "log_sink"):
                handler.log_sink.log(str(msg))
                return
        sys.stdout.write(str(msg))

    def __repr__(self) -> str:
        shown = ",".join(
            f"{name}={getattr(self, name)}"
            for name in (
                "aws_request_id",
                "log_group_name",
                "log_stream_name",
                "function_name",
                "memory_limit_in_mb",
                "function_version",
                "invoked_function_arn",
                "client_context",
                "identity",
                "tenant_id",
            )
        )
        return f"{type(self).__name__}([{shown}])"


def _parse(header: "str | None", name: str) -> "Any":
    if not header:
        return None
    import json

    try:
        return json.loads(header)
    except Exception as error:
        message = f"Unable to parse {name} JSON: {error}"
        raise FaultException(FaultException.LAMBDA_CONTEXT_UNMARSHAL_ERROR, message) from None


def _take_w3c(client_context: "Any") -> "dict[str, str]":
    """Takes them out of the client context, where they are nobody else's business."""
    fields = client_context.pop("w3c", None) if isinstance(client_context, dict) else None
    if not isinstance(fields, dict):
        return {}
    return {name: fields[name] for name in W3C_FIELDS if isinstance(fields.get(name), str)}
