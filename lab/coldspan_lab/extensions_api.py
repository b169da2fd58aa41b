"""The Extensions API, 2020-01-01, and the Telemetry API's subscription: the calls of one domain's extensions."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from coldspan_lab import subscription
from coldspan_lab.api import Refused, Routes, accepted, error, json_reply
from coldspan_lab.domain import INVOKE, MAX_EXTENSIONS, SHUTDOWN, Domain, Extension
from coldspan_lab.http import BodyTooLarge, BodyTruncated, Request, Response
from coldspan_lab.model import ACCOUNT_ID, Function, Moment
from coldspan_lab.states import EXTENSION_ASKS_FOR, ExtensionAct, ExtensionState, NotAllowed
from coldspan_lab.telemetry import Telemetry

EXTENSION = "/2020-01-01/extension"
TELEMETRY = "/2022-07-01/telemetry"
IDENTIFIER = "Lambda-Extension-Identifier"
ERROR_TYPE = "Lambda-Extension-Function-Error-Type"
MAX_BODY = 1_048_576
FATAL = {ExtensionAct.INIT_ERROR: "Extension.InitError", ExtensionAct.EXIT_ERROR: "Extension.ExitError"}


class ExtensionsApi:
    """`mark` is told of the extensions' first calls."""

    def __init__(
        self, domain: Domain, function: Function, telemetry: Telemetry, mark: Callable[[Moment], None]
    ) -> None:
        self._domain = domain
        self._function = function
        self._telemetry = telemetry
        self._mark = mark
        self.routes: Routes = {
            ("POST", f"{EXTENSION}/register"): self._register,
            ("GET", f"{EXTENSION}/event/next"): self._next,
            ("POST", f"{EXTENSION}/init/error"): lambda request: self._error(request, ExtensionAct.INIT_ERROR),
            ("POST", f"{EXTENSION}/exit/error"): lambda request: self._error(request, ExtensionAct.EXIT_ERROR),
            ("PUT", TELEMETRY): self._subscribe,
        }

    async def _register(self, request: Request) -> Response:
        name = request.headers.get("lambda-extension-name", "")
        if not name:
            raise Refused(403, "Extension.InvalidExtensionName", "Empty extension name")
        events = _events(await _body(request))
        extension = self._domain.extensions.get(name)
        _check_events(events, external=extension is not None and extension.external)
        if extension is None or not extension.external:
            extension = self._new_internal(name)
        self._act(extension, ExtensionAct.REGISTER, extension.name)
        extension.events = events
        self._mark(Moment.EXTENSION_REGISTERED)
        self._domain.changed()
        function = self._function
        reply = {"functionName": function.name, "functionVersion": function.version, "handler": function.handler}
        features = request.headers.get("lambda-extension-accept-feature", "").split(",")
        if "accountId" in (feature.strip() for feature in features):
            reply = {"accountId": ACCOUNT_ID, **reply}
        return json_reply(200, reply, ((IDENTIFIER, extension.identifier),))

    def _new_internal(self, name: str) -> Extension:
        """An extension inside the runtime's process. Raises Refused."""
        if not self._domain.registration_open:
            raise Refused(403, "Extension.RegistrationClosed", "Extension registration closed already")
        if name in self._domain.extensions:
            raise Refused(403, "Extension.InvalidExtensionState", "Extension with this name already registered")
        if len(self._domain.extensions) >= MAX_EXTENSIONS:
            raise Refused(403, "Extension.TooManyExtensions", f"Extension limit ({MAX_EXTENSIONS}) reached")
        extension = self._domain.extensions[name] = Extension(name, external=False)
        return extension

    async def _next(self, request: Request) -> Response:
        extension = self._caller(request)
        first = extension.state is ExtensionState.REGISTERED
        self._act(extension, ExtensionAct.NEXT, extension.identifier)
        if first:
            self._mark(Moment.EXTENSION_FIRST_NEXT)
        self._domain.changed()
        return await extension.next_event()

    async def _error(self, request: Request, act: ExtensionAct) -> Response:
        extension = self._caller(request)
        error_type = request.headers.get(ERROR_TYPE.lower(), "")
        if not error_type:
            raise Refused(403, "Extension.MissingHeader", f"{ERROR_TYPE} not found")
        self._act(extension, act, extension.identifier)
        extension.error_type = error_type
        if self._domain.fatal_error is None:
            self._domain.fatal_error = FATAL[act]
        return accepted()

    async def _subscribe(self, request: Request) -> Response:
        extension = self._caller(request)
        if not self._telemetry.supported:
            return error(202, "Telemetry.NotSupported", "Telemetry API is not supported")
        if not self._domain.subscription_open:
            message = "Telemetry API subscription is closed already"
            raise Refused(403, "Telemetry.SubscriptionClosed", message)
        try:
            wanted = subscription.parse(await _body(request))
        except subscription.SubscriptionInvalid as invalid:
            # Put together as Lambda does it: quotes in the message stay unescaped.
            text = f'{{"errorType": "ValidationError", "errorMessage": "{invalid}"}}'
            return Response(400, text.encode(), (("Content-Type", "text/plain; charset=utf-8"),))
        self._telemetry.subscribe(extension.name, wanted)
        return Response(200, b'"OK"', (("Content-Type", "application/json"),))

    def _caller(self, request: Request) -> Extension:
        """Raises Refused."""
        identifier = request.headers.get(IDENTIFIER.lower(), "")
        if not identifier:
            raise Refused(403, "Extension.MissingExtensionIdentifier", f"Missing {IDENTIFIER} header")
        try:
            canonical = str(uuid.UUID(identifier))
        except ValueError:
            raise Refused(403, "Extension.InvalidExtensionIdentifier", f"Invalid {IDENTIFIER}") from None
        extension = self._domain.by_identifier(canonical)
        if extension is None:
            raise Refused(403, "Extension.UnknownExtensionIdentifier", f"Unknown extension {canonical}")
        return extension

    def _act(self, extension: Extension, act: ExtensionAct, called: str) -> None:
        """`called`: what the error message calls the extension. Raises Refused."""
        try:
            extension.act(act)
        except NotAllowed as not_allowed:
            transition = f"from {extension.state.value} to {EXTENSION_ASKS_FOR[act].value}"
            message = f"State transition {transition} failed for extension {called}. Error: {not_allowed}"
            raise Refused(403, "Extension.InvalidExtensionState", message) from None


async def _body(request: Request) -> bytes:
    try:
        return await request.body(MAX_BODY)
    except BodyTooLarge:
        raise Refused(403, "InvalidRequestFormat", f"expected at most {MAX_BODY} bytes") from None
    except BodyTruncated:
        raise Refused(403, "InvalidRequestFormat", "unexpected EOF") from None


def _events(body: bytes) -> list[str]:
    """The events of a register call. Raises Refused."""
    try:
        registration: Any = json.loads(body)
    except ValueError as error:
        raise Refused(403, "InvalidRequestFormat", str(error)) from None
    if not isinstance(registration, dict):
        raise Refused(403, "InvalidRequestFormat", "expected a JSON object")
    if registration.get("configurationKeys"):
        message = "configurationKeys are deprecated; use environment variables instead"
        raise Refused(403, "InvalidRequestFormat", message)
    events = registration.get("events") or []
    if not isinstance(events, list) or any(not isinstance(event, str) for event in events):
        raise Refused(403, "InvalidRequestFormat", "events: expected a list of strings")
    return list(dict.fromkeys(events))


def _check_events(events: list[str], *, external: bool) -> None:
    allowed = (INVOKE, SHUTDOWN) if external else (INVOKE,)
    for event in events:
        if event not in allowed:
            raise Refused(403, "Extension.InvalidEventType", f"{event}: ErrorInvalidEventType")
