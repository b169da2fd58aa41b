"""Observes AWS's Python runtime client, awslambdaric 2.x to 4.x, from outside.

What is replaced, each a plain look-up at call time in every version:

    awslambdaric.lambda_runtime_client.runtime_client   the native client: next, response and error, begin and end
    ….LambdaRuntimeClient.restore_next                  SnapStart (from 3.0 on): between the hooks before the snapshot
                                                        and those after the restore
    ….LambdaRuntimeClient.marshaller                    the end of decoding and the begin of encoding, which are the
                                                        handler's begin and end, without a frame in the user's stack
    awslambdaric.bootstrap._get_handler                 the handler module's load, and how it failed
    ….create_lambda_context                             the handler's begin where user code has its own marshaller
    ….extract_traceback                                 the handler's exception, while it is being handled

A version that lacks one of them runs unobserved. docs/decisions/0002-observing-the-runtime-client.md tells why these.
"""

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _frozen_importlib import ModuleSpec
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

    from coldspan_wrapper.recorder import Recorder

CLIENT = "awslambdaric.lambda_runtime_client"
BOOTSTRAP = "awslambdaric.bootstrap"


class Unrecognised(Exception):
    """This runtime client has another shape than the ones we know; the message names what is missing."""


def observe(recorder: "Recorder") -> None:
    """Has the runtime client observed as soon as it is imported, whoever imports it, from wherever."""
    sys.meta_path.insert(0, _Finder(_Hooks(recorder)))


class _Finder:
    """First on sys.meta_path until the runtime client is there; finds it through the finders behind."""

    def __init__(self, hooks: "_Hooks") -> None:
        self._hooks = hooks

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name != BOOTSTRAP:  # which imports the client before
            return None
        for finder in sys.meta_path:
            find_spec: Any = getattr(finder, "find_spec", None)  # before Python 3.12 there are others
            spec: ModuleSpec | None = None if finder is self or find_spec is None else find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(self, spec.loader)  # type: ignore[assignment]
                return spec
        return None

    def loaded(self, bootstrap: "ModuleType") -> None:
        recorder, problem, began_ns = self._hooks.recorder, "", time.monotonic_ns()
        try:
            self._hooks.attach(sys.modules.get(CLIENT), bootstrap)
        except Unrecognised as missing:
            problem = str(missing)
        except Exception as fault:  # a shape that we did not think of: nothing was replaced yet
            problem = f"{type(fault).__name__}: {fault}"
        recorder.spent(began_ns)
        recorder.client_found("awslambdaric", str(getattr(sys.modules["awslambdaric"], "__version__", "")), problem)
        sys.meta_path.remove(self)


class _Loader:
    """Stands for a module's loader during its import, and leaves nothing of itself behind."""

    def __init__(self, finder: _Finder, loader: "Any") -> None:
        self._finder = finder
        self._loader = loader

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: "ModuleType") -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._finder.loaded(module)


class _Hooks:
    """What is put into the runtime client's modules, and what it shares."""

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder
        self._client: Any = None
        self._marshaller: Any = None

    def attach(self, client_module: "Any", bootstrap: "Any") -> None:
        """Replaces all or nothing. Raises Unrecognised."""
        _expect(client_module, CLIENT, "runtime_client", "LambdaRuntimeClient")
        client, native = client_module.LambdaRuntimeClient, client_module.runtime_client
        _expect(native, f"{CLIENT}.runtime_client", "next", "post_invocation_result", "post_error")
        _expect(client, f"{CLIENT}.LambdaRuntimeClient", "marshaller")
        marshaller = client.marshaller
        _expect(marshaller, f"{CLIENT}.LambdaRuntimeClient.marshaller", "unmarshal_request", "marshal_response")
        _expect(bootstrap, BOOTSTRAP, "_get_handler", "handle_event_request", "create_lambda_context")
        _expect(bootstrap, BOOTSTRAP, "extract_traceback")
        observed = observed_marshaller(marshaller, self.recorder)
        replacements = [
            (client_module, "runtime_client", _NativeClient(native, self.recorder)),
            (_owner(client, "marshaller"), "marshaller", observed),
            (bootstrap, "_get_handler", self._observe_load(bootstrap._get_handler)),
            (bootstrap, "create_lambda_context", self._observe_context(bootstrap.create_lambda_context)),
            (bootstrap, "extract_traceback", self._observe_exception(bootstrap.extract_traceback)),
        ]
        if hasattr(client, "restore_next"):  # 2.x knows no SnapStart
            replacements.append(
                (_owner(client, "restore_next"), "restore_next", self._observe_restore(client.restore_next))
            )
        self._client, self._marshaller = client, observed
        for owner, name, replacement in replacements:
            setattr(owner, name, replacement)

    def _observe_restore(self, original: "Any") -> "Callable[..., Any]":
        """The hooks before and after run outside of this call, so no frame of ours is below theirs."""
        recorder = self.recorder

        def restore_next(*args: "Any", **kwargs: "Any") -> "Any":
            recorder.restore_began()
            reply = original(*args, **kwargs)
            recorder.restore_ended()
            return reply

        return restore_next

    def _observe_load(self, original: "Any") -> "Callable[..., Any]":
        recorder = self.recorder

        def _get_handler(*args: "Any", **kwargs: "Any") -> "Any":
            recorder.load_began()
            try:
                handler = original(*args, **kwargs)
            except BaseException as error:
                recorder.load_ended(error)
                raise
            recorder.load_ended()
            return handler

        # The runtime client reports an init error's stack without the leading frames of its own file: be one of them.
        _get_handler.__code__ = _get_handler.__code__.replace(co_filename=original.__code__.co_filename)
        return _get_handler

    def _observe_context(self, original: "Any") -> "Callable[..., Any]":
        def create_lambda_context(*args: "Any", **kwargs: "Any") -> "Any":
            context = original(*args, **kwargs)
            if not self._marshaller_marks():
                self.recorder.handler_began()
            return context

        return create_lambda_context

    def _marshaller_marks(self) -> bool:
        """False where user code set a marshaller of its own (a documented extension point, which it keeps)."""
        return self._client.marshaller is self._marshaller and "unmarshal_request" not in vars(self._marshaller)

    def _observe_exception(self, original: "Any") -> "Callable[..., Any]":
        def extract_traceback(*args: "Any", **kwargs: "Any") -> "Any":
            error = sys.exc_info()[1]
            if error is not None:
                self.recorder.failed(error)
            return original(*args, **kwargs)

        return extract_traceback


def _expect(thing: "Any", path: str, *names: str) -> None:
    """Raises Unrecognised for the first name that is not there."""
    for name in names:
        if getattr(thing, name, None) is None:
            raise Unrecognised(f"{path} has no {name}")


def _owner(client: type, name: str) -> type:
    """The class that has the attribute: it is inherited in some versions."""
    return next(base for base in client.__mro__ if name in vars(base))


class _NativeClient:
    """The native client as the runtime client calls it. Arguments pass as they come: the signatures grew."""

    def __init__(self, native: "Any", recorder: "Recorder") -> None:
        self._native = native
        self._recorder = recorder

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._native, name)

    def next(self, *args: "Any", **kwargs: "Any") -> "Any":
        self._recorder.next_began()
        reply = self._native.next(*args, **kwargs)
        self._recorder.next_ended(reply)
        return reply

    def post_invocation_result(self, *args: "Any", **kwargs: "Any") -> "Any":
        self._recorder.response_began(_body(args, kwargs))
        return self._post(self._native.post_invocation_result, args, kwargs)

    def post_error(self, *args: "Any", **kwargs: "Any") -> "Any":
        self._recorder.response_began(_body(args, kwargs), error=True)
        return self._post(self._native.post_error, args, kwargs)

    def _post(self, post: "Callable[..., Any]", args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> "Any":
        try:
            reply = post(*args, **kwargs)
        except BaseException as error:
            self._recorder.response_ended(f"{type(error).__name__}: {error}")
            raise
        self._recorder.response_ended()
        return reply


def _body(args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> object:
    """What is posted: the second argument, by position in every version so far."""
    return args[1] if len(args) > 1 else next(iter(kwargs.values()), None)


def observed_marshaller(marshaller: "Any", recorder: "Recorder") -> "Any":
    """The same marshaller with marks: a subclass over the same state, so that isinstance, its attributes and what
    user code patches into its class stay as they are."""

    class Marshaller(type(marshaller)):  # type: ignore[misc]
        def unmarshal_request(self, *args: "Any", **kwargs: "Any") -> "Any":
            try:
                event = super().unmarshal_request(*args, **kwargs)
            except Exception as error:
                recorder.failed(error)
                raise
            recorder.handler_began(event)
            return event

        def marshal_response(self, *args: "Any", **kwargs: "Any") -> "Any":
            recorder.handler_ended()
            try:
                return super().marshal_response(*args, **kwargs)
            except Exception as error:
                recorder.failed(error)
                raise

    for name in ("__name__", "__qualname__", "__module__"):
        setattr(Marshaller, name, getattr(type(marshaller), name))
    observed = Marshaller.__new__(Marshaller)
    observed.__dict__ = marshaller.__dict__
    return observed
