"""Observes AWS's Python runtime client, awslambdaric 2.x to 4.x, from outside.

What is replaced, each a plain look-up at call time in every version:

    awslambdaric.lambda_runtime_client.runtime_client   the native client: next, response and error, begin and end
    ….LambdaRuntimeClient.marshaller                    the end of decoding and the begin of encoding, which are the
                                                        handler's begin and end, without a frame in the user's stack
    awslambdaric.bootstrap._get_handler                 the handler module's load, and how it failed
    ….create_lambda_context                             the handler's begin where user code has its own marshaller
    ….extract_traceback                                 the handler's exception, while it is being handled

A version that lacks one of them runs unobserved. docs/decisions/0002-observing-the-runtime-client.md tells why these.
"""

import sys

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
        if name != CLIENT and name != BOOTSTRAP:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(self, spec.loader)  # type: ignore[assignment]
                return spec
        return None

    def loaded(self, module: "ModuleType") -> None:
        recorder = self._hooks.recorder
        version = str(getattr(sys.modules["awslambdaric"], "__version__", ""))
        try:
            if module.__name__ == CLIENT:
                return self._hooks.attach_to_client(module)
            self._hooks.attach_to_bootstrap(module)
            recorder.client_found("awslambdaric", version)
        except Unrecognised as problem:
            recorder.client_found("awslambdaric", version, str(problem))
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

    def attach_to_client(self, module: "Any") -> None:
        native = getattr(module, "runtime_client", None)
        for name in ("next", "post_invocation_result", "post_error"):
            if not callable(getattr(native, name, None)):
                raise Unrecognised(f"{CLIENT}.runtime_client has no {name}()")
        client = getattr(module, "LambdaRuntimeClient", None)
        owner = next((base for base in getattr(client, "__mro__", ()) if "marshaller" in vars(base)), None)
        if owner is None:
            raise Unrecognised(f"{CLIENT}.LambdaRuntimeClient has no marshaller")
        for name in ("unmarshal_request", "marshal_response"):
            if not callable(getattr(owner.marshaller, name, None)):
                raise Unrecognised(f"{CLIENT}.LambdaRuntimeClient.marshaller has no {name}()")
        self._client = client
        self._marshaller = owner.marshaller = observed_marshaller(owner.marshaller, self.recorder)
        module.runtime_client = _NativeClient(native, self.recorder)

    def attach_to_bootstrap(self, module: "Any") -> None:
        if self._client is None:
            raise Unrecognised(f"{BOOTSTRAP} does not import {CLIENT}")
        for name in ("_get_handler", "handle_event_request", "create_lambda_context", "extract_traceback"):
            if not callable(getattr(module, name, None)):
                raise Unrecognised(f"{BOOTSTRAP} has no {name}()")
        module._get_handler = self._observe_load(module._get_handler)
        module.create_lambda_context = self._observe_context(module.create_lambda_context)
        module.extract_traceback = self._observe_exception(module.extract_traceback)

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
