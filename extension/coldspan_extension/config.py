"""Settings from the environment. parse() is pure: a bad value costs that setting, with one warning that names it."""

from coldspan_extension import urls
from coldspan_extension.urls import Url, unquote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOLS = ("http/protobuf", "grpc")
COMPRESSIONS = ("none", "gzip")
SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
EXPORTERS = ("otlp", "console", "none")
AUTO, SDK, LEAN = "auto", "sdk", "lean"
LANES = (AUTO, SDK, LEAN)
ADAPTIVE, END, DEFERRED = "adaptive", "end", "deferred"
FLUSHES = (ADAPTIVE, END, DEFERRED)
SWITCH = ("auto", "off")
IMPORTS = ("auto", "all", "off")
LOG_LEVELS = ("debug", "info", "warn", "warning", "error", "none")


class Invalid:
    """A value that was not used: what a warning says about it."""

    __slots__ = ("accepted", "value", "variable")

    def __init__(self, variable: str, value: str, accepted: str) -> None:
        self.variable = variable
        self.value = value
        self.accepted = accepted


class Config:
    """What the user chose, with defaults for the rest (docs/configuration.md)."""

    def __init__(self) -> None:
        self.exporter = "otlp"
        self.endpoint: Url | None = None  # as it was given; None: lines on stdout
        self.endpoint_is_base = True
        self.lane = AUTO
        self.flush = ADAPTIVE
        self.flush_delay_ms = 0  # how old a trace may get before it is due; 0 leaves it to the flush policy
        self.memory_mb = 0  # of the function; 0 where Lambda does not tell
        self.needs_requests = ""  # what of the network only requests knows how to do
        self.protocol = "http/protobuf"
        self.headers: dict[str, str] = {}
        self.timeout_s = 10.0
        self.compression = "none"
        self.certificate = ""
        self.client_key = ""
        self.client_certificate = ""
        self.insecure = False
        self.sampler = "parentbased_always_on"
        self.sampler_ratio = 1.0
        self.service_name = ""
        self.resource_attributes: dict[str, str] = {}
        self.imports = "auto"
        self.imports_threshold_ms = 5
        self.proactive_after_ms = 1_000
        self.log_level = "info"
        self.invalid: list[Invalid] = []

    @property
    def traces_url(self) -> "Url | None":
        """The URL that OTLP/HTTP posts to: a base endpoint gets v1/traces appended, a traces endpoint is used as is."""
        if self.endpoint is None or not self.endpoint_is_base:
            return self.endpoint
        return self.endpoint.below("v1/traces")


def parse(environ: "Mapping[str, str]") -> Config:
    """Settings of the OTEL_* and COLDSPAN_* variables. An empty value counts as unset (OpenTelemetry specification)."""
    config = Config()
    read = _Reader(environ, config.invalid)
    config.exporter = read.choice("OTEL_TRACES_EXPORTER", EXPORTERS, config.exporter)
    _parse_endpoint(config, read)
    config.protocol = _protocol(read)
    config.headers = read.headers(read.otlp("HEADERS"))
    config.timeout_s = read.milliseconds(read.otlp("TIMEOUT"), 10_000) / 1000
    config.compression = read.choice(read.otlp("COMPRESSION"), COMPRESSIONS, "none")
    config.certificate = read.text(read.otlp("CERTIFICATE"))
    config.client_key = read.text(read.otlp("CLIENT_KEY"))
    config.client_certificate = read.text(read.otlp("CLIENT_CERTIFICATE"))
    config.insecure = read.switch(read.otlp("INSECURE"))
    config.lane = read.choice("COLDSPAN_EXPORTER", LANES, config.lane)
    config.flush = read.choice("COLDSPAN_FLUSH", FLUSHES, config.flush)
    config.flush_delay_ms = read.milliseconds("OTEL_BSP_SCHEDULE_DELAY", config.flush_delay_ms)
    memory = read.text("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    config.memory_mb = int(memory) if _is_number(memory) else 0
    config.needs_requests = _needs_requests(config, read)
    config.sampler = read.choice("OTEL_TRACES_SAMPLER", SAMPLERS, config.sampler)
    if config.sampler.endswith("traceidratio"):
        config.sampler_ratio = read.ratio("OTEL_TRACES_SAMPLER_ARG", 1.0)
    config.service_name = read.text("OTEL_SERVICE_NAME")
    config.resource_attributes = read.pairs("OTEL_RESOURCE_ATTRIBUTES")
    config.imports = read.choice("COLDSPAN_IMPORTS", IMPORTS, config.imports)
    read.choice("COLDSPAN_MODULE_BODY", SWITCH, "auto")
    read.switch("OTEL_SDK_DISABLED")  # true does not come here
    config.imports_threshold_ms = read.milliseconds("COLDSPAN_IMPORTS_THRESHOLD", config.imports_threshold_ms)
    config.proactive_after_ms = read.milliseconds("COLDSPAN_PROACTIVE_AFTER", config.proactive_after_ms)
    config.log_level = read.choice("OTEL_LOG_LEVEL", LOG_LEVELS, config.log_level)
    return config


def is_own_listener(endpoint: Url, port: int) -> bool:
    """Whether the endpoint is our own telemetry port, where every export would come back as a batch."""
    here = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "sandbox", "sandbox.localdomain")  # noqa: S104 - compared only
    return endpoint.host in here and endpoint.port == port


def _parse_endpoint(config: Config, read: "_Reader") -> None:
    """Our own variable first: the user's OpenTelemetry SDK in the function reads the standard ones too."""
    for variable, is_base in (
        ("COLDSPAN_ENDPOINT", True),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", False),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", True),
    ):
        value = read.text(variable)
        if not value:
            continue
        try:
            config.endpoint, config.endpoint_is_base = urls.parse(value), is_base
        except ValueError:
            userinfo, at, rest = value.rpartition("@")  # it may have a password
            shown = f"<{len(userinfo)} characters>@{rest}" if at else value
            read.reject(variable, shown, "a URL such as http://collector:4318")
        else:
            return


def _needs_requests(config: Config, read: "_Reader") -> str:
    """Why only the sdk lane can reach the endpoint; empty where there is nothing special to it. A proxy that NO_PROXY
    may exclude counts as one: requests knows the rules."""
    if config.endpoint is None:
        return ""
    if config.endpoint.userinfo:
        return "a user in the endpoint's URL"
    if not str(config.endpoint).isascii():
        return "an endpoint that is not ASCII"
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if config.endpoint.scheme == "https" and not config.certificate and read.text(variable):
            return variable
    for name in (f"{config.endpoint.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if read.text(variable):
                return f"a proxy, {variable}"
    return ""


def _protocol(read: "_Reader") -> str:
    variable = read.otlp("PROTOCOL")
    return read.choice(variable, PROTOCOLS, "http/protobuf")


def _is_number(text: str) -> bool:
    """Whether int() takes it: a raised two is a digit too, by Unicode."""
    return text.isascii() and text.isdigit()


_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""Characters of a header's name (RFC 9110, 5.6.2)."""


def _is_header_value(value: str) -> bool:
    return all(" " <= character <= "\xff" and character != "\x7f" for character in value)


class _Reader:
    """Typed look-ups that note what they reject."""

    def __init__(self, environ: "Mapping[str, str]", invalid: "list[Invalid]") -> None:
        self._environ = environ
        self._invalid = invalid

    def otlp(self, name: str) -> str:
        """The variable in force of an OTLP exporter setting: that of traces before the one of all signals."""
        specific = f"OTEL_EXPORTER_OTLP_TRACES_{name}"
        return specific if self.text(specific) else f"OTEL_EXPORTER_OTLP_{name}"

    def reject(self, variable: str, value: str, accepted: str) -> None:
        self._invalid.append(Invalid(variable, value, accepted))

    def text(self, variable: str) -> str:
        return self._environ.get(variable, "").strip()

    def choice(self, variable: str, accepted: "tuple[str, ...]", default: str) -> str:
        value = self.text(variable).lower()
        if not value or value in accepted:
            return value or default
        self.reject(variable, value, ", ".join(accepted))
        return default

    def switch(self, variable: str) -> bool:
        """Whether it is on; off by default."""
        return self.choice(variable, ("true", "false"), "false") == "true"

    def milliseconds(self, variable: str, default: int) -> int:
        value = self.text(variable)
        if not value:
            return default
        if _is_number(value) and int(value) > 0:
            return int(value)
        self.reject(variable, value, "a positive whole number of milliseconds")
        return default

    def ratio(self, variable: str, default: float) -> float:
        value = self.text(variable)
        if not value:
            return default
        try:
            ratio = float(value)
        except ValueError:
            ratio = -1.0
        if 0.0 <= ratio <= 1.0:
            return ratio
        self.reject(variable, value, "a number from 0 to 1")
        return default

    def headers(self, variable: str) -> "dict[str, str]":
        """Pairs that can stand in an HTTP request; one that cannot costs that pair, and its value may be a secret."""
        found = {}
        for name, value in self.pairs(variable).items():
            if name.isascii() and set(name) <= _TOKEN and _is_header_value(value):
                found[name] = value
            else:
                self.reject(variable, f"{name[:40]!r}=<{len(value)} characters>", "names and values of HTTP headers")
        return found

    def pairs(self, variable: str) -> "dict[str, str]":
        """key=value,key2=value2, percent-encoded. A bad pair costs that pair."""
        found = {}
        for pair in self.text(variable).split(","):
            name, equals, value = pair.partition("=")
            name = unquote(name.strip())
            if name and equals:
                found[name] = unquote(value.strip())
            elif pair.strip():
                # A header's value may be a secret: the warning names the place, not the text.
                self.reject(variable, f"<{len(pair)} characters>", "key=value,key2=value2, percent-encoded")
        return found
