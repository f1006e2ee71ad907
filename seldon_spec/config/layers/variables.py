"""The names of variables that Seldon images and its operator use: one table, which the documents print.

Data only: ``environment`` and ``unit`` read the texts. Source of the names: contract section 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from seldon_spec.config.schema.schema import fields, join
from seldon_spec.errors import FieldPath


class Reading(Enum):
    """How a variable's text is read."""

    FIELD = "by the type of the field that it sets"
    FORCE = "as a number or a boolean: where it is not 0, the field gets the value of the row"
    GRPC_WORKERS = "as a number: 0 sets the field to null"
    PARAMETERS = "as Seldon's list of parameters, in JSON"
    TEXT = "as it is"
    ROUTE = "as a path on the server"
    BOOLEAN = "as a boolean"
    ONLY_TRUE = "as true where it is the word true, else as false"
    LABELS = "as a JSON object"
    METADATA = "as a YAML mapping"
    NOTHING = "not at all"


@dataclass(frozen=True, slots=True)
class Variable:
    """One row of the table.

    Attributes:
        name: of the variable.
        reading: how its text is read.
        path: what it sets; empty where it has no effect here.
        does: what the documents say of it, in Markdown.
        value: what a FORCE row sets.
        instead: why a text that asks for something has no effect here, and what has; empty: nothing is told.
        quiet: texts of such a variable that ask for nothing, in lower case.
        words: texts that are read as another.
        is_shared: libraries of the class's read it too, so that the spec's ``environment`` may set it.
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


_NOTHING_ASKED = frozenset({"", "0", "false", "f", "no", "n", "off"})


def _unused(name: str, instead: str, *quiet: str) -> Variable:
    """A variable of the original's server whose effect is missing here, told where a text asks for it."""
    return Variable(
        name, Reading.NOTHING, (), f"no effect: {instead}", instead=instead, quiet=_NOTHING_ASKED | set(quiet)
    )


def _foreign(name: str, reason: str) -> Variable:
    """A variable that is set beside the others and asks nothing of this process, so it is never told."""
    return Variable(name, Reading.NOTHING, (), f"no effect: {reason}")


_ONE_POOL = "server.workers and server.threads are for REST and gRPC alike"
_NO_JAEGER = "the Jaeger client's: with server.tracing, OTEL_EXPORTER_OTLP_ENDPOINT says where traces go"
_OF_THE_EXECUTOR = "the executor's; server.tls names the files of this server"
_OF_MLSERVER = "MLServer's; the operator sets it beside the others"
_OF_REDIS = "it belonged to persistence, which the original dropped in 1.8"


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
        "`server.max_requests`; 0 is read too, as null",
        words={"0": "null"},
    ),
    _sets("GUNICORN_MAX_REQUESTS_JITTER", "server", "max_requests_jitter"),
    _sets("GUNICORN_KEEPALIVE", "server", "keep_alive_seconds"),
    Variable(
        "SELDON_LOG_LEVEL",
        Reading.FIELD,
        ("server", "log", "level"),
        "`server.log.level`; WARN, FATAL and NOTSET are read too, as WARNING, CRITICAL and DEBUG",
        words={"WARN": "WARNING", "FATAL": "CRITICAL", "NOTSET": "DEBUG"},
    ),
    _sets("GUNICORN_ACCESS_LOG", "server", "log", "access"),
    Variable(
        "FLASK_SINGLE_THREADED",
        Reading.FORCE,
        ("server", "threads"),
        "`server.threads` to 1, where it is not 0",
        value=1,
    ),
    Variable("SELDON_DEBUG", Reading.FORCE, ("flask", "DEBUG"), "`flask.DEBUG` to true, where it is not 0", value=True),
    Variable(
        "TRACING",
        Reading.FORCE,
        ("server", "tracing"),
        "`server.tracing` to true, where it is not 0",
        value=True,
    ),
    Variable(
        "GRPC_WORKERS",
        Reading.GRPC_WORKERS,
        ("ports", "grpc"),
        f"0: `ports.grpc` to null, so that no gRPC is served; another number has no effect: {_ONE_POOL}",
        instead=_ONE_POOL,
        quiet=frozenset({"0", "1"}),
    ),
    Variable(
        "PREDICTIVE_UNIT_PARAMETERS",
        Reading.PARAMETERS,
        ("parameters",),
        "`parameters`: Seldon's list as JSON, merged over the file's by name",
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
        "a YAML mapping laid over what the class's `init_metadata()` returns",
        Reading.METADATA,
    ),
    _describes(
        "PAYLOAD_PASSTHROUGH",
        "is_passthrough",
        "where it is true, the class's raw hook gets the body of a predict call as it came",
        Reading.BOOLEAN,
    ),
    _describes(
        "INCLUDE_METRICS_IN_CLIENT_RESPONSE",
        "has_metrics_in_response",
        "any other word than `true` leaves a call's own metrics out of its answer",
        Reading.ONLY_TRUE,
    ),
    _describes(
        "SELDON_EXECUTOR_ENABLED",
        "has_executor",
        "where it is false, the counters of feedback are not kept",
        Reading.BOOLEAN,
    ),
    _traces(
        "OTEL_TRACES_EXPORTER",
        "traces_exporter",
        "with `server.tracing`, what sends the traces: `otlp` by default, `console`, `none`, or what is installed else",
    ),
    _traces(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "otlp_protocol",
        "how `otlp` sends: `http/protobuf` by default, or `grpc`; OpenTelemetry reads its other variables itself",
    ),
    _traces("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "otlp_protocol", "the same, and stands above it"),
    _unused("GRPC_THREADS", _ONE_POOL, "1"),
    _foreign("FILTER_METRICS_ACCESS_LOGS", "the access log has no lines of the metrics' page"),
    _foreign("JAEGER_AGENT_HOST", _NO_JAEGER),
    _foreign("JAEGER_AGENT_PORT", _NO_JAEGER),
    _foreign("JAEGER_CONFIG_PATH", _NO_JAEGER),
    _foreign("JAEGER_EXTRA_TAGS", _NO_JAEGER),
    _foreign("JAEGER_TRACE_PROPAGATION_TYPE", "the executor's"),
    _unused("PERSISTENCE", "the original dropped it in 1.8: nothing of the class is kept when the server ends"),
    _foreign("REDIS_SERVICE_HOST", _OF_REDIS),
    _foreign("REDIS_SERVICE_PORT", _OF_REDIS),
    _unused("USE_MULTIPROCESS_PACKAGE", "a worker is forked before the class is loaded, so nothing has to be pickled"),
    _foreign("API_TYPE", "REST and gRPC are both served, as by the original since 1.5"),
    _foreign("PREDICTIVE_UNIT_SERVICE_PORT", "one of the two ports again, from before both were served"),
    _foreign("SELDON_CERT_MOUNT_PATH", _OF_THE_EXECUTOR),
    _foreign("SELDON_CERT_FILE_NAME", _OF_THE_EXECUTOR),
    _foreign("SELDON_CERT_KEY_FILE_NAME", _OF_THE_EXECUTOR),
    _foreign("SELDON_ENABLE_ROUTING_INJECTION", "the executor's"),
    _foreign("MLSERVER_HTTP_PORT", _OF_MLSERVER),
    _foreign("MLSERVER_GRPC_PORT", _OF_MLSERVER),
    _foreign("MLSERVER_METRICS_PORT", _OF_MLSERVER),
    _foreign("MLSERVER_METRICS_ENDPOINT", _OF_MLSERVER),
    _foreign("MLSERVER_MODEL_NAME", _OF_MLSERVER),
    _foreign("MLSERVER_MODEL_URI", _OF_MLSERVER),
)
"""Every name of a fixed spelling but ``FLASK_<SETTING>``, in the order of the documents."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotation of the pod that sets a field, weaker than any variable; ``per_unit`` of its numbers make one."""

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
        "`server.request_timeout_seconds`, in milliseconds; of the two the larger counts, for REST and gRPC alike",
        per_unit=1000,
    ),
    Annotation(
        "seldon.io/grpc-max-message-size", ("server", "max_message_bytes"), "`server.max_message_bytes`, in bytes"
    ),
)
"""The pod's annotations that the original's server or its executor reads (contract section 7.4)."""


def flask_variables() -> dict[str, FieldPath]:
    """``FLASK_<SETTING>`` for each setting of the schema; Flask's own others, such as FLASK_APP, are left alone."""
    return {f"FLASK_{path[1]}": path for path, _ in fields() if path[0] == "flask"}


def field_variables() -> dict[str, FieldPath]:
    """The variables that are read by the type of a field, each with that field."""
    return {row.name: row.path for row in TABLE if row.reading is Reading.FIELD} | flask_variables()


def known_variables() -> dict[str, FieldPath]:
    """Every variable of a fixed name that has an effect, with what it sets."""
    return {row.name: row.path for row in TABLE if row.path} | flask_variables()


def rows_of(section: str) -> Iterator[Variable]:
    """The rows that set something within a section of the spec."""
    return (row for row in TABLE if row.path[:1] == (section,))


def by_name() -> Mapping[str, Variable]:
    """The rows by their variable's name."""
    return {row.name: row for row in TABLE}
