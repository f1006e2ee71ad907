"""The effective spec as frozen dataclasses with every default. Field names equal the YAML keys.

Independent of YAML and the environment; a test compares keys and defaults with ``schemas/seldon.schema.json``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from seldon_spec.config.contract import JsonValue, TensorSpec
from seldon_spec.config.deployment import DeploymentSpec
from seldon_spec.config.graph import Step
from seldon_spec.config.model_files.spec import ModelSpec
from seldon_spec.config.model_files.urls import show_path
from seldon_spec.errors import DEFAULT_ORIGIN, Diagnostic, FieldPath, Origin

SPEC_FILE = "seldon.yaml"


class ServiceType(str, Enum):
    """The role of a component in an inference graph."""

    MODEL = "MODEL"
    ROUTER = "ROUTER"
    TRANSFORMER = "TRANSFORMER"
    COMBINER = "COMBINER"
    OUTLIER_DETECTOR = "OUTLIER_DETECTOR"


class LogLevel(str, Enum):
    """The lowest level that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogFormat(str, Enum):
    """The format of a log record: text, or one JSON object per line."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A reference to a secret, which is read when the user's class is loaded.

    Exactly one of the two is set: the name of a variable, or the path of a file. One line break at the end of the file
    is ignored.
    """

    from_env: str | None = None
    from_file: str | None = None

    def __str__(self) -> str:
        return f"{{from_env: {self.from_env}}}" if self.from_env is not None else f"{{from_file: {self.from_file}}}"


REFERENCE_KEYS = frozenset({"from_env", "from_file"})
"""The keys of a mapping that is a reference to a secret."""

ParameterValue: TypeAlias = "JsonValue | SecretRef"
"""An argument of the user's ``__init__``."""


def _empty() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PortsSpec:
    """TCP ports; None disables gRPC."""

    http: int = 9000
    grpc: int | None = 5000
    metrics: int = 6000


@dataclass(frozen=True, slots=True)
class LogSpec:
    """The log of the server, on stderr.

    Attributes:
        access: whether each request is logged.
    """

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.TEXT
    access: bool = False


@dataclass(frozen=True, slots=True)
class BatchingSpec:
    """Dynamic batching: one call of the model for several requests.

    Attributes:
        max_rows: the largest batch.
        max_delay_ms: the longest wait for further requests after the first one of a batch.
    """

    max_rows: int
    max_delay_ms: float = 0


@dataclass(frozen=True, slots=True)
class ShutdownSpec:
    """Graceful shutdown.

    Attributes:
        grace_seconds: the time from SIGTERM to the end of every process.
        delay_seconds: the part of it in which the server is not ready but still accepts connections.
    """

    grace_seconds: float = 20
    delay_seconds: float = 0


@dataclass(frozen=True, slots=True)
class TlsSpec:
    """PEM files; relative paths start at the spec's folder.

    Attributes:
        key: the private key of ``certificate``, without a passphrase.
        client_ca: the authorities of client certificates; None requires no client certificate.
    """

    certificate: str
    key: str
    client_ca: str | None = None


@dataclass(frozen=True, slots=True)
class AuthSpec:
    """Authentication of requests for predictions and metrics.

    Attributes:
        tokens: references to secrets; after ``prepare_to_load``, the bearer tokens, at least one.
    """

    tokens: tuple[str | SecretRef, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """The serving processes and their limits.

    Attributes:
        preload: whether a process loads the model and then forks the workers, which share its memory.
        max_requests: the requests after which a worker is replaced, plus up to ``max_requests_jitter``; None: never.
        max_connections: the limit of a worker's REST connections, and of its connections for metrics.
        max_queue: the limit of a worker's requests that wait for the model; None: unlimited.
        max_buffered_bytes: the limit for requests and responses of a worker; None: a share of the memory.
        on_timeout: whether a worker is replaced if its prediction exceeds the timeout.
        body_timeout_seconds: the time over which the average rate of a body must reach 1024 bytes per second.
        tls: None disables TLS.
        auth: None disables authentication.
        batching: None disables batching.
        validate_requests: what happens to a request that does not match the declared inputs.
        page: whether ``/`` is a web page.
        tracing: whether requests are traced by OpenTelemetry.
    """

    host: str = "0.0.0.0"  # noqa: S104 - clients are outside the container
    engine: Literal["native", "uvicorn"] = "native"
    workers: int = 1
    threads: int = 1
    preload: bool = False
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
    validate_requests: Literal["off", "warn", "reject"] = "reject"
    page: bool = True
    tracing: bool = False
    shutdown: ShutdownSpec = ShutdownSpec()


@dataclass(frozen=True, slots=True)
class StepsSpec:
    """The user's instructions in the Dockerfile, copied verbatim."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthcheckSpec:
    """The HEALTHCHECK of the image, which runs ``seldon-spec health``."""

    enabled: bool = True
    interval_seconds: int = 30
    timeout_seconds: int = 5
    start_seconds: int = 60
    retries: int = 3


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """The contents of the Dockerfile except the ports and the command.

    Attributes:
        requirements: one or more files in the folder; the name determines the installer.
        installer: None: uv for files of uv, otherwise pip.
        user: a numeric uid other than 0.
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
    """Flask's built-in configuration values under Flask's names."""

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
    """The component's position in its graph, set by the operator's variables, not by the file.

    Attributes:
        metadata: merged over the result of ``init_metadata()``.
        is_passthrough: pass the bodies of predict requests and of their responses unparsed.
        has_metrics_in_response: include the metrics of a request in ``meta`` of its response.
        has_executor: count feedback and rewards.
        name, version: from the spec; ``id`` and ``image`` override them in labels and metadata.
        traces_exporter, otlp_protocol: values of OpenTelemetry's variables; None: its default.
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
class ComponentSpec:
    """A component of a graph: built in this process, or a server with a URL.

    Attributes:
        spec: what to build; its ``unit`` has the component's name and image. None: only the URL is known.
        url: of the server, ``http``, ``https``, ``grpc`` or ``grpcs``; None: it is built in this process.
        timeout_seconds: the limit of one call of the server; None: only that of the whole request.
        token: the bearer token that the server requires; after ``prepare_to_load``, a text.
        ca: the absolute path of the PEM file of the authorities of the server's certificate; None: those of the system.
        has_feedback: whether feedback is sent to it: its class has the method, or nothing but its URL is known and
            it is a MODEL or a ROUTER.
    """

    service_type: ServiceType
    spec: Spec | None = None
    url: str | None = None
    timeout_seconds: float | None = None
    token: str | SecretRef | None = field(default=None, repr=False)
    ca: str | None = None
    has_feedback: bool = False


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that a Dockerfile or a server needs. Only ``load`` creates it.

    Attributes:
        class_name: the user's class; None: the spec is a model file or a graph.
        model: the model file; None: the spec is a class or a graph.
        graph: the steps of a graph; None: the spec is a class or a model file.
        components: every component of the graph by its name, in call order.
        folder: the folder of the file and the user's class.
        inputs: a list of column names in the file is one FP64 input ``input-0`` with these columns.
        outputs: a list of column names in the file is one FP64 output ``output-0`` with these columns.
        platform: in the model's metadata; None: that of ``init_metadata()``, if any.
        file: the name of the file in ``folder``.
        origins: the origin of each value that is not a default.
        diagnostics: warnings and notes; errors raise ``SpecError``.
        digest: the digest of the file's values, e.g. ``sha256:…``; independent of variables and flags.
        loaded_at: in seconds since the epoch; a later change of the file at a URL does not concern the spec.
    """

    class_name: str | None
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
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    platform: str | None = None
    deployment: DeploymentSpec = field(default_factory=DeploymentSpec)
    model: ModelSpec | None = None
    graph: Step | None = None
    components: Mapping[str, ComponentSpec] = field(default_factory=lambda: MappingProxyType({}))
    unit: UnitSpec = UnitSpec()
    file: str = field(default=SPEC_FILE, compare=False)
    origins: Mapping[FieldPath, Origin] = field(default_factory=dict, compare=False, repr=False)
    diagnostics: tuple[Diagnostic, ...] = field(default=(), compare=False, repr=False)
    digest: str = field(default="", compare=False, repr=False)
    loaded_at: float = field(default_factory=time.time, compare=False, repr=False)

    def __repr__(self) -> str:
        what = f"{self.class_name if self.model is None else show_path(self.model.path)} ({self.service_type.value})"
        if self.graph is not None:
            what = f"graph of {len(self.components)} components"
        return f"<Spec {self.name}: {what}, {self.folder.absolute() / self.file}>"

    def origin(self, *path: str) -> Origin:
        """Return the origin of the value at ``path``."""
        return self.origins.get(path, DEFAULT_ORIGIN)
