"""Every name of the table does what its row says, and what only describes never stops a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.cli import show
from seldon_spec.config.layers.variables import TABLE, Reading, rows_of
from seldon_spec.config.loader import LoadOptions, load
from seldon_spec.config.model import AuthSpec, SecretRef, TlsSpec, UnitSpec
from seldon_spec.config.yaml.parser import MAX_BYTES
from seldon_spec.errors import OriginKind, Severity, SpecError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "MyModel.py").write_text("class MyModel:\n    def predict(self, X, names): ...\n")
    (tmp_path / "seldon.yaml").write_text("class_name: MyModel\n")
    return tmp_path


UNIT: list[tuple[str, str, Any]] = [
    ("PREDICTIVE_UNIT_ID", "clf", "clf"),
    ("PREDICTIVE_UNIT_IMAGE", "reg:5000/org/img:1.2", "reg:5000/org/img:1.2"),
    ("SELDON_DEPLOYMENT_ID", "dep", "dep"),
    ("PREDICTOR_ID", "default", "default"),
    ("PREDICTOR_LABELS", '{"version": "v1", "app": "x"}', "v1"),
    ("PREDICTOR_LABELS", '{"version": 2}', "2"),
    ("PREDICTIVE_UNIT_METRICS_ENDPOINT", "/prometheus", "/prometheus"),
    ("MODEL_METADATA", "name: iris\nversions: [v1]\ncustom: {from_env: HOME}",
     {"name": "iris", "versions": ["v1"], "custom": {"from_env": "HOME"}}),
    ("MODEL_METADATA", '{"name": "iris"}', {"name": "iris"}),
    ("MODEL_METADATA", "{}", {}),
    ("PAYLOAD_PASSTHROUGH", "true", True),
    ("PAYLOAD_PASSTHROUGH", "T", True),
    ("PAYLOAD_PASSTHROUGH", "0", False),
    ("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "True", True),
    ("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "1", False),
    ("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "false", False),
    ("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "", False),
    ("SELDON_EXECUTOR_ENABLED", "true", True),
    ("SELDON_EXECUTOR_ENABLED", "False", False),
    ("OTEL_TRACES_EXPORTER", "console,otlp", "console,otlp"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "grpc"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf", "http/protobuf"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "value"), UNIT, ids=[f"{name}={text}" for name, text, _ in UNIT])
def test_the_operator_s_names_describe_the_unit(folder: Path, name: str, text: str, value: object) -> None:
    spec = load(folder, {name: text})
    (row,) = (row for row in TABLE if row.name == name)
    assert getattr(spec.unit, row.path[1]) == value
    assert (spec.origin(*row.path).kind, spec.origin(*row.path).name) == (OriginKind.ENVIRONMENT, name)
    assert spec.diagnostics == ()
    assert f"unit.{row.path[1]} = {json.dumps(value)}  <- {name}\n" in show.render_text(spec)


def test_the_protocol_of_traces_stands_above_that_of_all_signals(folder: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    assert load(folder, environ).unit.otlp_protocol == "grpc"


def test_every_row_of_the_unit_has_a_case_and_a_field() -> None:
    rows = list(rows_of("unit"))
    assert {row.name for row in rows} == {name for name, _, _ in UNIT}
    assert {row.path[1] for row in rows} == set(UnitSpec.__dataclass_fields__) - {"name", "version"}


UNREAD = [
    ("PREDICTOR_LABELS", "v1"),
    ("PREDICTOR_LABELS", "null"),
    ("PREDICTOR_LABELS", "[" * 100_000),
    ("MODEL_METADATA", "- a list"),
    ("MODEL_METADATA", "text"),
    ("MODEL_METADATA", "null"),
    ("MODEL_METADATA", "{name: [}"),
    ("MODEL_METADATA", "name: !!python/object/apply:os.getcwd []"),
    ("MODEL_METADATA", "name: a\nname: b"),
    ("MODEL_METADATA", "a: &a [1, 1]\n" + "\n".join(f"x{i}: &x{i} [*a, *a, *a, *a]" for i in range(9000))),
    ("MODEL_METADATA", "[" * 1000),
    ("MODEL_METADATA", "name: " + "x" * MAX_BYTES),
    ("MODEL_METADATA", "name: \udcff"),
    ("MODEL_METADATA", "name: \x00"),
]


@pytest.mark.parametrize(("name", "text"), UNREAD, ids=[f"{name}={text[:20]!r}" for name, text in UNREAD])
def test_a_description_that_cannot_be_read_is_left_out_and_reported(folder: Path, name: str, text: str) -> None:
    spec = load(folder, {name: text})
    assert spec.unit == UnitSpec()
    (finding,) = spec.diagnostics
    assert (finding.code, finding.severity, finding.origin.name) == ("unread-description", Severity.WARNING, name)


@pytest.mark.parametrize("text", ["", "  ", "# nothing"])
def test_metadata_that_says_nothing_are_none(folder: Path, text: str) -> None:
    spec = load(folder, {"MODEL_METADATA": text})
    assert (spec.unit.metadata, spec.diagnostics) == (None, ())


@pytest.mark.parametrize("row", [row for row in TABLE if row.reading is Reading.BOOLEAN], ids=lambda row: row.name)
def test_a_word_that_is_no_boolean_is_refused(folder: Path, row: Any) -> None:
    with pytest.raises(SpecError) as caught:
        load(folder, {row.name: "perhaps"})
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.origin.name, finding.path) == ("form", row.name, row.path)


def test_the_operator_cannot_be_overruled_by_the_file(folder: Path) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\nunit: {id: x}\n")
    with pytest.raises(SpecError) as caught:
        load(folder, {})
    assert [finding.code for finding in caught.value.diagnostics] == ["unknown-key"]


FORCED: list[tuple[str, str, tuple[str, str], object, object]] = [
    ("FLASK_SINGLE_THREADED", "1", ("server", "threads"), 4, 1),
    ("FLASK_SINGLE_THREADED", "no", ("server", "threads"), 4, 4),
    ("SELDON_DEBUG", "true", ("flask", "DEBUG"), False, True),
    ("SELDON_DEBUG", "2", ("flask", "DEBUG"), False, True),
    ("SELDON_DEBUG", "0", ("flask", "DEBUG"), True, True),
    ("TRACING", "1", ("server", "tracing"), False, True),
    ("TRACING", "0", ("server", "tracing"), True, True),
    ("GRPC_WORKERS", "0", ("ports", "grpc"), 5001, None),
    ("GRPC_WORKERS", "1", ("ports", "grpc"), 5001, 5001),
]


@pytest.mark.parametrize(
    ("name", "text", "path", "below", "value"), FORCED, ids=[f"{name}={text}" for name, text, *_ in FORCED]
)
def test_a_switch_stands_above_the_file(
    folder: Path, name: str, text: str, path: tuple[str, str], below: object, value: object
) -> None:
    section, key = path
    (folder / "seldon.yaml").write_text(f"class_name: MyModel\n{section}: {{{key}: {json.dumps(below)}}}\n")
    spec = load(folder, {name: text})
    assert getattr(getattr(spec, section), key) == value
    assert spec.diagnostics == ()


def test_every_switch_has_a_case() -> None:
    switches = (Reading.FORCE, Reading.GRPC_WORKERS)
    assert {row.name for row in TABLE if row.reading in switches} == {name for name, *_ in FORCED}


def test_no_grpc_workers_beat_the_operator_s_port_and_not_our_own_names(folder: Path) -> None:
    environ = {"GRPC_WORKERS": "0", "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": "9500"}
    assert load(folder, environ).ports.grpc is None
    assert load(folder, {**environ, "SELDON_SPEC__PORTS__GRPC": "5002"}).ports.grpc == 5002
    assert load(folder, environ, {("ports", "grpc"): "5003"}).ports.grpc == 5003


@pytest.mark.parametrize(("name", "text"), [("GRPC_WORKERS", "-1"), ("GRPC_WORKERS", "x"), ("SELDON_DEBUG", "maybe")])
def test_a_switch_that_cannot_be_read_is_refused(folder: Path, name: str, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(folder, {name: text})
    assert [(d.code, d.origin.name) for d in caught.value.diagnostics] == [("type", name)]


LEVELS = [("WARN", "WARNING"), ("FATAL", "CRITICAL"), ("NOTSET", "DEBUG"), ("INFO", "INFO")]


@pytest.mark.parametrize(("text", "level"), LEVELS, ids=[text for text, _ in LEVELS])
def test_the_log_level_has_the_names_that_python_has(folder: Path, text: str, level: str) -> None:
    assert load(folder, {"SELDON_LOG_LEVEL": text}).server.log.level.value == level


COUNTS = [("0", None), ("null", None), ("500", 500)]


@pytest.mark.parametrize(("text", "count"), COUNTS, ids=[text for text, _ in COUNTS])
def test_a_worker_of_gunicorn_s_is_not_replaced_after_0_requests(folder: Path, text: str, count: int | None) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\nserver: {max_requests: 7}\n")
    assert load(folder, {"GUNICORN_MAX_REQUESTS": text}).server.max_requests == count


SECTIONS = [
    ({}, '{"certificate": "/b.crt"}', TlsSpec("/b.crt", "/a.key")),
    ({}, "null", None),
    ({"KEY": "/c.key"}, '{"certificate": "/b.crt"}', TlsSpec("/b.crt", "/c.key")),
    ({"CERTIFICATE": "/c.crt", "KEY": "/c.key"}, "null", TlsSpec("/c.crt", "/c.key")),
]


@pytest.mark.parametrize(("more", "text", "expected"), SECTIONS, ids=["part", "null", "key above", "keys above null"])
def test_a_section_that_may_be_null_is_set_as_a_whole_and_in_parts(
    folder: Path, more: dict[str, str], text: str, expected: TlsSpec | None
) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\nserver: {tls: {certificate: /a.crt, key: /a.key}}\n")
    prefix = "SELDON_SPEC__SERVER__TLS"
    environ = {prefix: text} | {f"{prefix}__{name}": value for name, value in more.items()}
    assert load(folder, environ).server.tls == expected


REFERENCES = ["{from_file: tokens.txt}", "[{from_env: A}, {from_file: b}]", "{from_env: A}"]


@pytest.mark.parametrize("written", REFERENCES)
def test_a_part_of_a_reference_replaces_the_whole_one(folder: Path, written: str) -> None:
    (folder / "seldon.yaml").write_text(f"class_name: MyModel\nserver: {{auth: {{tokens: {written}}}}}\n")
    spec = load(folder, {"SELDON_SPEC__SERVER__AUTH__TOKENS__FROM_ENV": "B"})
    assert spec.server.auth == AuthSpec((SecretRef("B"),))


UNHEEDED = [row for row in TABLE if row.instead]


@pytest.mark.parametrize("row", UNHEEDED, ids=lambda row: row.name)
def test_what_has_no_effect_is_told_once_where_it_is_asked_for(folder: Path, row: Any) -> None:
    (finding,) = load(folder, {row.name: "7"}).diagnostics
    assert (finding.code, finding.severity, finding.help) == ("no-effect", Severity.NOTE, row.instead)
    assert load(folder, {row.name: "0"}).diagnostics == ()


FOREIGN = [row.name for row in TABLE if row.reading is Reading.NOTHING and not row.instead]


def test_what_others_set_beside_is_not_reported(folder: Path) -> None:
    assert load(folder, dict.fromkeys(FOREIGN, "7")).diagnostics == ()


def test_a_pod_of_a_deployment_starts_without_a_word(folder: Path) -> None:
    """What the operator puts on every container (contract section 7.7), and the stock image's own variables."""
    environ = {
        "MODEL_NAME": "MyModel", "SERVICE_TYPE": "MODEL", "PERSISTENCE": "0",
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9000", "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": "9500",
        "PREDICTIVE_UNIT_SERVICE_PORT": "9000", "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": "6000",
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus", "PREDICTIVE_UNIT_ID": "clf",
        "PREDICTIVE_UNIT_IMAGE": "img:1", "PREDICTOR_ID": "main", "PREDICTOR_LABELS": '{"version": "main"}',
        "SELDON_DEPLOYMENT_ID": "dep", "SELDON_EXECUTOR_ENABLED": "true", "MLSERVER_HTTP_PORT": "9000",
        "MLSERVER_GRPC_PORT": "9500", "MLSERVER_METRICS_PORT": "6000", "MLSERVER_METRICS_ENDPOINT": "/prometheus",
        "MLSERVER_MODEL_NAME": "clf", "SELDON_CERT_MOUNT_PATH": "/cert/",
    }  # fmt: skip
    annotations = 'kubernetes.io/config.source="api"\nprometheus.io/path="/prometheus"\n'
    assert load(folder, environ, annotations=annotations).diagnostics == ()


PAIRS = [
    ('seldon.io/rest-timeout="1500"', ("request_timeout_seconds", 1.5)),
    ('seldon.io/rest-timeout="60000"\n', ("request_timeout_seconds", 60)),
    ('seldon.io/grpc-timeout="2500"\n', ("request_timeout_seconds", 2.5)),
    ('seldon.io/grpc-timeout="2500"\nseldon.io/rest-timeout="2500"\n', ("request_timeout_seconds", 2.5)),
    ('seldon.io/grpc-timeout="2500"\nseldon.io/grpc-timeout="1500"\n', ("request_timeout_seconds", 1.5)),
    ('a="b\\"c"\n  seldon.io/grpc-max-message-size="10485760"  ', ("max_message_bytes", 10485760)),
    ("seldon.io/grpc-max-message-size=2147483647", ("max_message_bytes", 2147483647)),
    (' seldon.io/rest-timeout  =   "2500"  \r\n', ("request_timeout_seconds", 2.5)),
    ("seldon.io/rest-timeout\t=\t2500", ("request_timeout_seconds", 2.5)),
]


@pytest.mark.parametrize(("text", "expected"), PAIRS, ids=[text for text, _ in PAIRS])
def test_annotations_set_a_field_above_the_file(folder: Path, text: str, expected: tuple[str, object]) -> None:
    (folder / "seldon.yaml").write_text(
        "class_name: MyModel\nserver: {request_timeout_seconds: 7, max_message_bytes: 7}\n"
    )
    spec = load(folder, {}, annotations=text)
    key, value = expected
    assert getattr(spec.server, key) == value
    assert spec.origin("server", key).name.startswith("annotation seldon.io/")
    assert spec.diagnostics == ()


@pytest.mark.parametrize("order", [1, -1], ids=["REST first", "gRPC first"])
@pytest.mark.parametrize(("rest", "grpc"), [(1500, 60000), (60000, 1500)], ids=["gRPC longer", "REST longer"])
def test_of_two_time_outs_the_longer_counts_with_a_note(folder: Path, rest: int, grpc: int, order: int) -> None:
    lines = [f'seldon.io/rest-timeout="{rest}"', f'seldon.io/grpc-timeout="{grpc}"'][::order]
    spec = load(folder, {}, annotations="\n".join(lines))
    longer = "rest" if rest > grpc else "grpc"
    assert spec.server.request_timeout_seconds == 60
    assert spec.origin("server", "request_timeout_seconds").name == f"annotation seldon.io/{longer}-timeout"
    (finding,) = spec.diagnostics
    assert (finding.code, finding.severity) == ("shadowed-variable", Severity.NOTE)
    assert finding.found is not None
    assert set(finding.found.split(", ")) == {
        f"{rest / 1000:g} by seldon.io/rest-timeout",
        f"{grpc / 1000:g} by seldon.io/grpc-timeout",
    }


def test_a_variable_beats_an_annotation(folder: Path) -> None:
    environ = {"SELDON_SPEC__SERVER__MAX_MESSAGE_BYTES": "9"}
    spec = load(folder, environ, annotations='seldon.io/grpc-max-message-size="8"')
    assert spec.server.max_message_bytes == 9
    assert str(spec.origin("server", "max_message_bytes").below) == "annotation seldon.io/grpc-max-message-size"


BAD_ANNOTATIONS = ["rest-timeout=0", "rest-timeout=-1", "rest-timeout=soon", 'rest-timeout="', "rest-timeout=nan",
                   "rest-timeout=1e400", "grpc-max-message-size=1.5", "grpc-max-message-size=2147483648"]  # fmt: skip


@pytest.mark.parametrize("line", BAD_ANNOTATIONS)
def test_an_annotation_that_cannot_be_read_is_left_out_and_reported(folder: Path, line: str) -> None:
    spec = load(folder, {}, annotations=f"seldon.io/{line}")
    assert spec.server == load(folder, {}).server
    (finding,) = spec.diagnostics
    assert (finding.code, finding.severity) == ("unread-description", Severity.WARNING)


def test_on_the_old_terms_a_folder_needs_no_file(folder: Path) -> None:
    (folder / "seldon.yaml").unlink()
    spec = load(folder, {"GUNICORN_THREADS": "2"}, {("class_name",): "MyModel"}, options=LoadOptions(needs_file=False))
    assert (spec.class_name, spec.name, spec.server.threads, spec.diagnostics) == ("MyModel", "my-model", 2, ())


def test_on_the_old_terms_a_class_that_does_not_fit_is_a_warning(folder: Path) -> None:
    flags = {("service_type",): "ROUTER", ("server", "workers"): "many"}
    options = LoadOptions({("service_type",): "--service-type"}, only_warned=frozenset({"no-hook"}))
    with pytest.raises(SpecError) as caught:
        load(folder, {}, flags, options=options)
    reported = [(d.code, d.severity, d.origin.name) for d in caught.value.diagnostics]
    assert reported == [
        ("no-hook", Severity.WARNING, "--service-type"),
        ("type", Severity.ERROR, "--set server.workers"),
    ]
