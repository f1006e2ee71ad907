"""The variables that Seldon images and its operator use, in one table, from which the reference page is generated.

Data only; source of the names: contract section 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from seldon_spec.config.schema.lookup import fields, join
from seldon_spec.errors import FieldPath


class Reading(Enum):
    """How a variable's text is read."""

    FIELD = "by the type of the field that it sets"
    FORCE = "as a number or a boolean: unless it is 0, the field is set to the value of the row"
    GRPC_WORKERS = "as a number: 0 sets the field to null"
    PARAMETERS = "as Seldon's list of parameters, in JSON"
    TEXT = "as text"
    ROUTE = "as a path on the server"
    BOOLEAN = "as a boolean"
    ONLY_TRUE = "as true for the word true, else as false"
    LABELS = "as a JSON object"
    METADATA = "as a YAML mapping"
    NOTHING = "not at all"


@dataclass(frozen=True, slots=True)
class Variable:
    """One row of the table.

    Attributes:
        name: the name of the variable.
        reading: how its text is read.
        path: the field that it sets; empty if it has no effect.
        does: its description on the reference page, in Markdown.
        value: the value that a FORCE row sets.
        instead: why the variable has no effect, and what to use instead; empty if nothing is reported.
        quiet: texts that are not reported, in lower case, since they request nothing.
        words: texts that are replaced by others.
        is_shared: libraries read it too, so that ``environment`` of the spec may set it.
    """

    name: str
    reading: Reading
    path: FieldPath = ()
    does: str = ""
    value: object = None
    instead: str = ""
    quiet: frozenset[str] = frozenset()
    words: Mapping[str, str] = field(default_factory=dict)
    is_shared: bool = False


def _sets(name: str, *path: str) -> Variable:
    return Variable(name, Reading.FIELD, path, f"`{join(path)}`")


def _describes(name: str, key: str, does: str, reading: Reading = Reading.TEXT) -> Variable:
    return Variable(name, reading, ("unit", key), does)


def _traces(name: str, key: str, does: str) -> Variable:
    return Variable(name, Reading.TEXT, ("unit", key), does, is_shared=True)


_OFF = frozenset({"", "0", "false", "f", "no", "n", "off"})


def _unused(name: str, instead: str, *quiet: str) -> Variable:
    """Return a variable of Seldon's server without effect here, which is reported if it is set."""
    return Variable(name, Reading.NOTHING, (), f"no effect: {instead}", instead=instead, quiet=_OFF | set(quiet))


def _foreign(name: str, reason: str) -> Variable:
    """Return a variable for another process, which is never reported."""
    return Variable(name, Reading.NOTHING, (), f"no effect: {reason}")


_ONE_POOL = "server.workers and server.threads apply to REST and gRPC"
_NO_JAEGER = "for the Jaeger client; with server.tracing, OTEL_EXPORTER_OTLP_ENDPOINT is the destination of traces"
_OF_THE_EXECUTOR = "for the executor; server.tls names the files of this server"
_OF_MLSERVER = "for MLServer; the operator sets it in every container"
_OF_REDIS = "for persistence, which Seldon Core removed in 1.8"


TABLE = (
    _sets("MODEL_NAME", "class_name"),
    _sets("SERVICE_TYPE", "service_type"),
    _sets("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "ports", "http"),
    _sets("PREDICTIVE_UNIT_GRPC_SERVICE_PORT", "ports", "grpc"),
    _sets("PREDICTIVE_UNIT_METRICS_SERVICE_PORT", "ports", "metrics"),
    _sets("GUNICORN_WORKERS", "server", "workers"),
    _sets("GUNICORN_THREADS", "server", "threads"),
    Variable(
        "GUNICORN_MAX_REQUESTS",
        Reading.FIELD,
        ("server", "max_requests"),
        "`server.max_requests`; 0 means null",
        words={"0": "null"},
    ),
    _sets("GUNICORN_MAX_REQUESTS_JITTER", "server", "max_requests_jitter"),
    _sets("GUNICORN_KEEPALIVE", "server", "keep_alive_seconds"),
    Variable(
        "SELDON_LOG_LEVEL",
        Reading.FIELD,
        ("server", "log", "level"),
        "`server.log.level`; WARN, FATAL and NOTSET mean WARNING, CRITICAL and DEBUG",
        words={"WARN": "WARNING", "FATAL": "CRITICAL", "NOTSET": "DEBUG"},
    ),
    _sets("GUNICORN_ACCESS_LOG", "server", "log", "access"),
    Variable(
        "FLASK_SINGLE_THREADED",
        Reading.FORCE,
        ("server", "threads"),
        "`server.threads` to 1, unless it is 0",
        value=1,
    ),
    Variable("SELDON_DEBUG", Reading.FORCE, ("flask", "DEBUG"), "`flask.DEBUG` to true, unless it is 0", value=True),
    Variable(
        "TRACING",
        Reading.FORCE,
        ("server", "tracing"),
        "`server.tracing` to true, unless it is 0",
        value=True,
    ),
    Variable(
        "GRPC_WORKERS",
        Reading.GRPC_WORKERS,
        ("ports", "grpc"),
        f"0: `ports.grpc` to null, which disables gRPC; another number has no effect: {_ONE_POOL}",
        instead=_ONE_POOL,
        quiet=frozenset({"0", "1"}),
    ),
    Variable(
        "PREDICTIVE_UNIT_PARAMETERS",
        Reading.PARAMETERS,
        ("parameters",),
        "`parameters`: Seldon's list as JSON, which overrides the file's parameters by name",
    ),
    _describes("PREDICTIVE_UNIT_ID", "id", "the component's name in its graph: label of metrics, `requestPath`"),
    _describes(
        "PREDICTIVE_UNIT_IMAGE", "image", "the image: labels of metrics, `requestPath`, defaults of the metadata"
    ),
    _describes("SELDON_DEPLOYMENT_ID", "deployment_id", "the label of metrics that names the deployment"),
    _describes("PREDICTOR_ID", "predictor_id", "the label of metrics that names the predictor"),
    _describes(
        "PREDICTOR_LABELS",
        "predictor_version",
        "the label of metrics that gives the predictor's version: the `version` of a JSON object",
        Reading.LABELS,
    ),
    _describes(
        "PREDICTIVE_UNIT_METRICS_ENDPOINT",
        "metrics_path",
        "the path of the metrics, `/metrics` by default",
        Reading.ROUTE,
    ),
    _describes(
        "MODEL_METADATA",
        "metadata",
        "a YAML mapping merged over the result of `init_metadata()`",
        Reading.METADATA,
    ),
    _describes(
        "PAYLOAD_PASSTHROUGH",
        "is_passthrough",
        "if true, the class's raw hook gets the unparsed body of a predict request",
        Reading.BOOLEAN,
    ),
    _describes(
        "INCLUDE_METRICS_IN_CLIENT_RESPONSE",
        "has_metrics_in_response",
        "any word but `true` removes a request's own metrics from its response",
        Reading.ONLY_TRUE,
    ),
    _describes(
        "SELDON_EXECUTOR_ENABLED",
        "has_executor",
        "if false, feedback is not counted",
        Reading.BOOLEAN,
    ),
    _traces(
        "OTEL_TRACES_EXPORTER",
        "traces_exporter",
        "with `server.tracing`, the exporter of traces: `otlp` (default), `console`, `none`, or another installed one",
    ),
    _traces(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "otlp_protocol",
        "the protocol of `otlp`: `http/protobuf` (default) or `grpc`; OpenTelemetry reads its other variables itself",
    ),
    _traces("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "otlp_protocol", "the same; takes precedence over it"),
    _unused("GRPC_THREADS", _ONE_POOL, "1"),
    _foreign("FILTER_METRICS_ACCESS_LOGS", "the access log has no lines for requests to the metrics endpoint"),
    _foreign("JAEGER_AGENT_HOST", _NO_JAEGER),
    _foreign("JAEGER_AGENT_PORT", _NO_JAEGER),
    _foreign("JAEGER_CONFIG_PATH", _NO_JAEGER),
    _foreign("JAEGER_EXTRA_TAGS", _NO_JAEGER),
    _foreign("JAEGER_TRACE_PROPAGATION_TYPE", "for the executor"),
    _unused("PERSISTENCE", "Seldon Core removed it in 1.8: the state of the class is not saved when the server stops"),
    _foreign("REDIS_SERVICE_HOST", _OF_REDIS),
    _foreign("REDIS_SERVICE_PORT", _OF_REDIS),
    _unused("USE_MULTIPROCESS_PACKAGE", "workers are forked before the class is loaded, so nothing is pickled"),
    _foreign("API_TYPE", "REST and gRPC are both served, as by Seldon Core since 1.5"),
    _foreign("PREDICTIVE_UNIT_SERVICE_PORT", "duplicates one of the ports, from releases that served only one"),
    _foreign("SELDON_CERT_MOUNT_PATH", _OF_THE_EXECUTOR),
    _foreign("SELDON_CERT_FILE_NAME", _OF_THE_EXECUTOR),
    _foreign("SELDON_CERT_KEY_FILE_NAME", _OF_THE_EXECUTOR),
    _foreign("SELDON_ENABLE_ROUTING_INJECTION", "for the executor"),
    _foreign("MLSERVER_HTTP_PORT", _OF_MLSERVER),
    _foreign("MLSERVER_GRPC_PORT", _OF_MLSERVER),
    _foreign("MLSERVER_METRICS_PORT", _OF_MLSERVER),
    _foreign("MLSERVER_METRICS_ENDPOINT", _OF_MLSERVER),
    _foreign("MLSERVER_MODEL_NAME", _OF_MLSERVER),
    _foreign("MLSERVER_MODEL_URI", _OF_MLSERVER),
)
"""Every variable except ``FLASK_<SETTING>``, in the order of the reference page."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A pod annotation that sets a field; its number is divided by ``per_unit``."""

    name: str
    path: FieldPath
    does: str
    per_unit: int = 1


ANNOTATIONS = (
    Annotation(
        "seldon.io/rest-timeout",
        ("server", "request_timeout_seconds"),
        "`server.request_timeout_seconds`, in milliseconds",
        per_unit=1000,
    ),
    Annotation(
        "seldon.io/grpc-timeout",
        ("server", "request_timeout_seconds"),
        "`server.request_timeout_seconds`, in milliseconds; the larger of the two applies to REST and gRPC",
        per_unit=1000,
    ),
    Annotation(
        "seldon.io/grpc-max-message-size", ("server", "max_message_bytes"), "`server.max_message_bytes`, in bytes"
    ),
)
"""The annotations that Seldon's server or executor reads (contract section 7.4)."""


def flask_variables() -> dict[str, FieldPath]:
    """Return ``FLASK_<SETTING>`` with its field for each setting in the schema; FLASK_APP and others are ignored."""
    return {f"FLASK_{path[1]}": path for path, _ in fields() if path[0] == "flask"}


def field_variables() -> dict[str, FieldPath]:
    """Return the variables that are converted by the type of a field, with the field."""
    return {row.name: row.path for row in TABLE if row.reading is Reading.FIELD} | flask_variables()


def known_variables() -> dict[str, FieldPath]:
    """Return every variable of Seldon that has an effect, with the field that it sets."""
    return {row.name: row.path for row in TABLE if row.path} | flask_variables()


def rows_of(section: str) -> Iterator[Variable]:
    """Yield the rows that set a field of a section."""
    return (row for row in TABLE if row.path[:1] == (section,))


def by_name() -> Mapping[str, Variable]:
    """Return the rows by the name of the variable."""
    return {row.name: row for row in TABLE}
