"""Settings from the environment. parse() is pure: a bad value costs that setting, with one warning that names it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

ENDPOINT_SCHEMES = ("http", "https")
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
LANES = ("auto", "sdk")
FLUSHES = ("adaptive", "end", "deferred")
SWITCH = ("auto", "off")
IMPORTS = ("auto", "all", "off")
LOG_LEVELS = ("debug", "info", "warn", "warning", "error", "none")

DEFERRED = "deferred"


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
        self.endpoint = ""  # base or full URL; empty: lines on stdout
        self.endpoint_is_base = True
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
    def traces_url(self) -> str:
        """The URL that OTLP/HTTP posts to: a base endpoint gets v1/traces appended, a traces endpoint is used as is."""
        if not self.endpoint_is_base:
            return self.endpoint if split_url(self.endpoint).path else self.endpoint + "/"
        return self.endpoint.rstrip("/") + "/v1/traces"


def holds_next(environ: "Mapping[str, str]") -> bool:
    """Whether the extension waits for the response to export before the environment freezes."""
    return environ.get("COLDSPAN_FLUSH", "").strip().lower() != DEFERRED


def split_url(url: str) -> "SplitResult":
    from urllib.parse import urlsplit  # 9 ms, and needed only when a response is out already

    return urlsplit(url)


def parse(environ: "Mapping[str, str]") -> Config:
    """Settings of the OTEL_* and COLDSPAN_* variables. An empty value counts as unset (OpenTelemetry specification)."""
    config = Config()
    read = _Reader(environ, config.invalid)
    config.exporter = read.choice("OTEL_TRACES_EXPORTER", EXPORTERS, config.exporter)
    _parse_endpoint(config, read)
    config.protocol = _protocol(read)
    config.headers = read.pairs(read.otlp("HEADERS"))
    config.timeout_s = read.milliseconds(read.otlp("TIMEOUT"), 10_000) / 1000
    config.compression = read.choice(read.otlp("COMPRESSION"), COMPRESSIONS, "none")
    config.certificate = read.text(read.otlp("CERTIFICATE"))
    config.client_key = read.text(read.otlp("CLIENT_KEY"))
    config.client_certificate = read.text(read.otlp("CLIENT_CERTIFICATE"))
    config.insecure = read.text(read.otlp("INSECURE")).lower() == "true"
    read.choice("COLDSPAN_EXPORTER", LANES, "auto")
    read.choice("COLDSPAN_FLUSH", FLUSHES, "adaptive")
    config.sampler = read.choice("OTEL_TRACES_SAMPLER", SAMPLERS, config.sampler)
    if config.sampler.endswith("traceidratio"):
        config.sampler_ratio = read.ratio("OTEL_TRACES_SAMPLER_ARG", 1.0)
    config.service_name = read.text("OTEL_SERVICE_NAME")
    config.resource_attributes = read.pairs("OTEL_RESOURCE_ATTRIBUTES")
    config.imports = read.choice("COLDSPAN_IMPORTS", IMPORTS, config.imports)
    read.choice("COLDSPAN_MODULE_BODY", SWITCH, "auto")
    config.imports_threshold_ms = read.milliseconds("COLDSPAN_IMPORTS_THRESHOLD", config.imports_threshold_ms)
    config.proactive_after_ms = read.milliseconds("COLDSPAN_PROACTIVE_AFTER", config.proactive_after_ms)
    config.log_level = read.choice("OTEL_LOG_LEVEL", LOG_LEVELS, config.log_level)
    return config


def is_own_listener(endpoint: str, port: int) -> bool:
    """Whether the endpoint is our own telemetry port, where every export would come back as a batch."""
    parts = split_url(endpoint)
    here = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "sandbox", "sandbox.localdomain")  # noqa: S104 - compared only
    return parts.hostname in here and parts.port == port


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
            parts = split_url(value)
            usable = parts.scheme in ENDPOINT_SCHEMES and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if usable:
            config.endpoint, config.endpoint_is_base = value, is_base
            return
        read.reject(variable, value, "a URL such as http://collector:4318")


def _protocol(read: "_Reader") -> str:
    variable = read.otlp("PROTOCOL")
    return read.choice(variable, PROTOCOLS, "http/protobuf")


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

    def milliseconds(self, variable: str, default: int) -> int:
        value = self.text(variable)
        if not value:
            return default
        if value.isdigit() and int(value) > 0:
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

    def pairs(self, variable: str) -> "dict[str, str]":
        """key=value,key2=value2, percent-encoded. A bad pair costs that pair."""
        from urllib.parse import unquote

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
