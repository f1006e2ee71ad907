"""The effective spec: frozen, complete and typed. Field names are the YAML keys, letter by letter.

Knows no YAML, no environment and no defaults but its own; ``schemas/seldon.schema.json`` states the same keys, and a
test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from seldon_spec.errors import DEFAULT_ORIGIN, Diagnostic, FieldPath, Origin

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

SPEC_FILE = "seldon.yaml"


class ServiceType(str, Enum):
    """What a component is to an inference graph."""

    MODEL = "MODEL"
    ROUTER = "ROUTER"
    TRANSFORMER = "TRANSFORMER"
    COMBINER = "COMBINER"
    OUTLIER_DETECTOR = "OUTLIER_DETECTOR"


class LogLevel(str, Enum):
    """The least severe record that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogFormat(str, Enum):
    """How a log record is written: a line for people, or one JSON object a line."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A value that is named here and read only by the operations that load the user's class.

    Exactly one of the two is set: the name of a variable, or the path of a file whose text, without one final line
    break, is the value.
    """

    from_env: str | None = None
    from_file: str | None = None

    def __str__(self) -> str:
        return f"{{from_env: {self.from_env}}}" if self.from_env is not None else f"{{from_file: {self.from_file}}}"


ParameterValue: TypeAlias = "JsonValue | SecretRef"
"""An argument of the user's ``__init__``."""


def _empty() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named input or output of the model.

    Attributes:
        datatype: in the words of the Open Inference Protocol, such as ``FP32``.
        shape: -1 for any size.
        content_type: what the elements of BYTES are, such as ``str``; None: not declared.
        columns: the names of the columns of the only input, which has two dimensions.
        optional: whether a request may omit this input.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    content_type: str | None = None
    columns: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class PortsSpec:
    """TCP ports; ``grpc`` None: no gRPC is served."""

    http: int = 9000
    grpc: int | None = 5000
    metrics: int = 6000


@dataclass(frozen=True, slots=True)
class LogSpec:
    """What the server logs, on stderr.

    Attributes:
        access: whether each answered request is logged.
    """

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.TEXT
    access: bool = False


@dataclass(frozen=True, slots=True)
class BatchingSpec:
    """Several requests answered by one call of the model.

    Attributes:
        max_rows: of one call, where it is made for several requests.
        max_delay_ms: from the arrival of the first of them.
    """

    max_rows: int
    max_delay_ms: float = 0


@dataclass(frozen=True, slots=True)
class ShutdownSpec:
    """How the server ends.

    Attributes:
        grace_seconds: from SIGTERM to the end of every process.
        delay_seconds: the part of it in which connections are still taken, while the server says that it is not ready.
    """

    grace_seconds: float = 20
    delay_seconds: float = 0


@dataclass(frozen=True, slots=True)
class TlsSpec:
    """PEM files; a relative path starts at the spec's folder.

    Attributes:
        key: of ``certificate``, without a passphrase.
        client_ca: None: no client has to show a certificate.
    """

    certificate: str
    key: str
    client_ca: str | None = None


@dataclass(frozen=True, slots=True)
class AuthSpec:
    """Who may ask for predictions and metrics.

    Attributes:
        tokens: references as the file has them; once made ready to serve, the bearer tokens themselves, at least one.
    """

    tokens: tuple[str | SecretRef, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """The serving processes and their bounds.

    Attributes:
        max_requests: a worker is replaced after so many and up to ``max_requests_jitter`` more; None: never.
        max_connections: of a worker's REST, and as many of its metrics.
        max_queue: requests of a worker that may wait for the model; None: no bound.
        max_buffered_bytes: of requests and responses, over all connections of a worker; None: see ``memory``.
        on_timeout: whether a worker whose prediction goes on beyond the time-out is replaced.
        body_timeout_seconds: over which a body has to come with 1024 bytes a second on average.
        tls: None: plain text.
        auth: None: everyone may ask.
        batching: None: each request is a call of its own.
        tracing: whether requests are traced by OpenTelemetry.
    """

    host: str = "0.0.0.0"  # noqa: S104 - a container is reached from outside
    engine: Literal["native", "uvicorn"] = "native"
    workers: int = 1
    threads: int = 1
    max_requests: int | None = None
    max_requests_jitter: int = 0
    max_connections: int = 4096
    max_queue: int | None = None
    max_buffered_bytes: int | None = None
    max_body_bytes: int = 104857600
    max_message_bytes: int = 4194304
    request_timeout_seconds: float | None = None
    on_timeout: Literal["answer", "replace"] = "answer"
    header_timeout_seconds: float = 10
    body_timeout_seconds: float = 60
    keep_alive_seconds: float = 75
    tls: TlsSpec | None = None
    auth: AuthSpec | None = None
    batching: BatchingSpec | None = None
    log: LogSpec = LogSpec()
    tracing: bool = False
    shutdown: ShutdownSpec = ShutdownSpec()


@dataclass(frozen=True, slots=True)
class StepsSpec:
    """Instructions of the user's own in the Dockerfile, word for word."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthcheckSpec:
    """How the image's HEALTHCHECK asks; one probe is ``seldon-spec health``."""

    enabled: bool = True
    interval_seconds: int = 30
    timeout_seconds: int = 5
    start_seconds: int = 60
    retries: int = 3


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What the Dockerfile says beside the ports and the command.

    Attributes:
        requirements: one file or several, within the folder; its name tells who reads it.
        installer: None: uv where the file is uv's, else pip.
        user: a numeric uid, never 0.
    """

    base: str | None = None
    python: str = "3.12"
    gpu: Literal["pytorch", "tensorflow", "cuda"] | None = None
    system_packages: tuple[str, ...] = ()
    build_packages: tuple[str, ...] = ()
    requirements: str | tuple[str, ...] = "requirements.txt"
    installer: Literal["uv", "pip"] | None = None
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    steps: StepsSpec = StepsSpec()
    seldon_spec: str | None = None
    model_files: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    workdir: str = "/microservice"
    user: int = 8888
    labels: Mapping[str, str] = field(default_factory=_empty)
    environment: Mapping[str, str] = field(default_factory=_empty)
    healthcheck: HealthcheckSpec = HealthcheckSpec()
    platforms: tuple[str, ...] = ()
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class FlaskSpec:
    """Flask's builtin configuration values, under Flask's own names."""

    APPLICATION_ROOT: str = "/"
    DEBUG: bool = False
    EXPLAIN_TEMPLATE_LOADING: bool = False
    JSONIFY_MIMETYPE: str = "application/json"
    JSONIFY_PRETTYPRINT_REGULAR: bool = False
    JSON_AS_ASCII: bool = True
    JSON_SORT_KEYS: bool = True
    MAX_CONTENT_LENGTH: int | None = None
    MAX_COOKIE_SIZE: int = 4093
    MAX_FORM_MEMORY_SIZE: int | None = 500000
    MAX_FORM_PARTS: int | None = 1000
    PERMANENT_SESSION_LIFETIME: int = 2678400
    PREFERRED_URL_SCHEME: str = "http"
    PRESERVE_CONTEXT_ON_EXCEPTION: bool | None = None
    PROPAGATE_EXCEPTIONS: bool | None = None
    PROVIDE_AUTOMATIC_OPTIONS: bool = True
    SECRET_KEY: str | SecretRef | None = None
    SECRET_KEY_FALLBACKS: tuple[str | SecretRef, ...] | None = None
    SEND_FILE_MAX_AGE_DEFAULT: int | None = None
    SERVER_NAME: str | None = None
    SESSION_COOKIE_DOMAIN: str | None = None
    SESSION_COOKIE_HTTPONLY: bool = True
    SESSION_COOKIE_NAME: str = "session"
    SESSION_COOKIE_PARTITIONED: bool = False
    SESSION_COOKIE_PATH: str | None = None
    SESSION_COOKIE_SAMESITE: str | None = None
    SESSION_COOKIE_SECURE: bool = False
    SESSION_REFRESH_EACH_REQUEST: bool = True
    TEMPLATES_AUTO_RELOAD: bool | None = None
    TESTING: bool = False
    TRAP_BAD_REQUEST_ERRORS: bool | None = None
    TRAP_HTTP_EXCEPTIONS: bool = False
    TRUSTED_HOSTS: tuple[str, ...] | None = None
    USE_X_SENDFILE: bool = False


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """What the operator says of the place in which this component runs; only its variables set it, no file does.

    Attributes:
        metadata: laid over what the class's ``init_metadata()`` returns.
        is_passthrough: bodies of predict reach the class's raw hook as they came, and leave as it returns them.
        has_metrics_in_response: the metrics of a call stand in the answer's ``meta``.
        has_executor: the counters of feedback and its rewards are kept.
        name, version: the spec's, where it sets them; in labels and metadata ``id`` and ``image`` override them.
        traces_exporter, otlp_protocol: what sends traces, in the words of OpenTelemetry's variables; None: its default.
    Source: contract sections 6.2 and 7.2.
    """

    id: str | None = None
    image: str | None = None
    deployment_id: str | None = None
    predictor_id: str | None = None
    predictor_version: str | None = None
    metrics_path: str = "/metrics"
    metadata: Mapping[str, JsonValue] | None = None
    is_passthrough: bool = False
    has_metrics_in_response: bool = True
    has_executor: bool = True
    traces_exporter: str | None = None
    otlp_protocol: str | None = None
    name: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that a Dockerfile or a server is built from. Made by ``load`` and by nothing else.

    Attributes:
        folder: where the file and the user's class are.
        file: the file's name within ``folder``.
        origins: where each value comes from; a path that is not there has its default.
        diagnostics: warnings and notes; a spec with errors does not exist.
        digest: of what the file says, e.g. ``sha256:…``; variables and flags do not count.
    """

    class_name: str
    folder: Path = field(compare=False)
    name: str
    service_type: ServiceType = ServiceType.MODEL
    version: str | None = None
    parameters: Mapping[str, ParameterValue] = field(default_factory=lambda: MappingProxyType({}))
    flask: FlaskSpec = FlaskSpec()
    ports: PortsSpec = PortsSpec()
    server: ServerSpec = ServerSpec()
    image: ImageSpec = ImageSpec()
    environment: Mapping[str, str | SecretRef] = field(default_factory=lambda: MappingProxyType({}))
    unit: UnitSpec = UnitSpec()
    file: str = field(default=SPEC_FILE, compare=False)
    origins: Mapping[FieldPath, Origin] = field(default_factory=dict, compare=False, repr=False)
    diagnostics: tuple[Diagnostic, ...] = field(default=(), compare=False, repr=False)
    digest: str = field(default="", compare=False, repr=False)

    def origin(self, *path: str) -> Origin:
        """Where the value at ``path`` comes from."""
        return self.origins.get(path, DEFAULT_ORIGIN)
