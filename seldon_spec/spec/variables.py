"""The names of variables that Seldon images and its operator use: one table, which the documents print.

Data only: ``environment`` and ``unit`` read the texts. Source of the names: contract section 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from seldon_spec.errors import FieldPath
from seldon_spec.spec.schema import fields, join


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
        is_told: whether a text that asks for something brings a note that it has no effect.
        quiet: texts of such a variable that ask for nothing, in lower case.
    """

    name: str
    reading: Reading
    path: FieldPath = ()
    does: str = ""
    value: object = None
    is_told: bool = False
    quiet: frozenset[str] = frozenset()


def _sets(name: str, *path: str) -> Variable:
    return Variable(name, Reading.FIELD, path, f"`{join(path)}`")


def _describes(name: str, key: str, does: str, reading: Reading = Reading.TEXT) -> Variable:
    return Variable(name, reading, ("unit", key), does)


_NOTHING_ASKED = frozenset({"", "0", "false", "f", "no", "n", "off"})


def _unused(name: str, does: str, *quiet: str) -> Variable:
    """A variable of the original's server whose effect is missing here, told where a text asks for it."""
    return Variable(name, Reading.NOTHING, (), f"no effect: {does}", is_told=True, quiet=_NOTHING_ASKED | set(quiet))


def _foreign(name: str, does: str) -> Variable:
    """A variable that is set beside the others and means nothing to this process, so it is never told."""
    return Variable(name, Reading.NOTHING, (), f"no effect: {does}")


TABLE = (
    _sets("MODEL_NAME", "class_name"),
    _sets("SERVICE_TYPE", "service_type"),
    _sets("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "ports", "http"),
    _sets("PREDICTIVE_UNIT_GRPC_SERVICE_PORT", "ports", "grpc"),
    _sets("PREDICTIVE_UNIT_METRICS_SERVICE_PORT", "ports", "metrics"),
    _sets("GUNICORN_WORKERS", "server", "workers"),
    _sets("GUNICORN_THREADS", "server", "threads"),
    _sets("SELDON_LOG_LEVEL", "server", "log", "level"),
    Variable(
        "FLASK_SINGLE_THREADED",
        Reading.FORCE,
        ("server", "threads"),
        "`server.threads` to 1, where it is not 0",
        value=1,
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
)
"""Every name of a fixed spelling but ``FLASK_<SETTING>``, in the order of the documents."""


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
