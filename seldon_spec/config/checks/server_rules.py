"""Rules of the server: its keys fit together, and what they name is there and stays out of the image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from seldon_spec.config.checks.class_source import ClassSource
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.extras import check_engine
from seldon_spec.config.checks.image_files import image_patterns
from seldon_spec.config.checks.patterns import is_left_out
from seldon_spec.config.checks.tls import check_tls, find_unreadable
from seldon_spec.config.checks.tracing import check_tracing
from seldon_spec.config.model import ServiceType, ShutdownSpec, TlsSpec
from seldon_spec.config.paths import exists, is_file
from seldon_spec.config.schema.schema import missing_key, optional_sections
from seldon_spec.errors import Diagnostic, Severity

_NATIVE_ONLY = ("max_connections", "max_buffered_bytes", "header_timeout_seconds", "body_timeout_seconds")
"""The limits that only the engine ``native`` enforces."""

_ROWWISE = {
    "MODEL": ("predict",),
    "TRANSFORMER": ("transform_input", "transform_output"),
}
"""The hooks that a service type is asked for, where they take rows and give rows."""


def find_server_problems(subject: RuleContext) -> Iterator[Diagnostic]:
    """Every finding about ``server``."""
    yield from _sections_are_whole(subject)
    yield from _delay_leaves_time(subject)
    yield from _settings_go_together(subject)
    yield from _batching_has_effect(subject)
    yield from _tls_can_be_served(subject)
    if subject.merged.get(("server", "tracing")):
        yield from check_tracing(subject.origin("server", "tracing"))
    if subject.merged.get(("server", "engine")) == "uvicorn":
        yield from check_engine(subject.origin("server", "engine"))


def _sections_are_whole(subject: RuleContext) -> Iterator[Diagnostic]:
    """A section that may be null needs some of its keys once it is there."""
    for at, schema in optional_sections():
        section = subject.merged.get(at)
        for key in schema.get("required", ()) if section is not None else ():
            # one that the file has, and that is not here, is wrong and reported already
            if key not in section and subject.document.find((*at, key)) is None:
                origins = subject.merged.origins.items()
                yield missing_key(at, key, next(o for path, o in origins if path[: len(at)] == at))


def _delay_leaves_time(subject: RuleContext) -> Iterator[Diagnostic]:
    default = ShutdownSpec()
    shutdown = subject.merged.get(("server", "shutdown")) or {}
    delay = shutdown.get("delay_seconds", default.delay_seconds)
    grace = shutdown.get("grace_seconds", default.grace_seconds)
    if delay and delay >= grace:
        path = ("server", "shutdown", "delay_seconds")
        given = subject.merged.origins.get(("server", "shutdown", "grace_seconds"), "its default")
        yield Diagnostic(
            "delay-too-long",
            "server.shutdown.delay_seconds leaves no time for requests under way",
            subject.origin(*path),
            path=path,
            found=f"{delay} of {grace} seconds",
            allowed="less than server.shutdown.grace_seconds, of which it is a part",
            notes=(f"server.shutdown.grace_seconds is {grace}: {given}",),
            help="shorten the delay, or lengthen the grace",
        )


def _settings_go_together(subject: RuleContext) -> Iterator[Diagnostic]:
    server = subject.merged.get(("server",)) or {}
    if server.get("on_timeout") == "replace" and server.get("request_timeout_seconds") is None:
        yield _without_effect(subject, "on_timeout", "no prediction is bound in time", _add("request_timeout_seconds"))
    if server.get("max_requests_jitter") and server.get("max_requests") is None:
        yield _without_effect(
            subject, "max_requests_jitter", "no worker is replaced for its requests", _add("max_requests")
        )
    if server.get("engine") == "uvicorn":
        for key in _NATIVE_ONLY:
            if server.get(key) is not None:
                reason = "server.engine is uvicorn, which has limits of its own"
                remedy = "remove server.engine, so that the engine native enforces the limit, or leave this out"
                yield _without_effect(subject, key, reason, remedy)


def _batching_has_effect(subject: RuleContext) -> Iterator[Diagnostic]:
    found = subject.class_source
    if not subject.merged.get(("server", "batching")) or not isinstance(found, ClassSource):
        return
    type_name = subject.merged.get(("service_type",)) or ServiceType.MODEL.value
    if type_name not in _ROWWISE:
        reason = f"what a {type_name} is asked is answered request by request"
        yield _without_effect(subject, "batching", reason)
        return
    reasons = {hook: _why_alone(hook, found) for hook in _ROWWISE[type_name] if _spellings(hook) & found.hooks}
    if reasons and all(reasons.values()):
        told = "; ".join(reason for reason in reasons.values() if reason)
        yield _without_effect(subject, "batching", f"{found.name} is asked request by request: {told}")


def _spellings(hook: str) -> set[str]:
    return {hook, *_raw_spellings(hook)}


def _raw_spellings(hook: str) -> list[str]:
    return [f"{hook}_{ending}" for ending in ("raw", "rest", "grpc")]


def _why_alone(hook: str, found: ClassSource) -> str | None:
    """Why a hook gets each request by itself; None: the rows of several can be one call's."""
    raw = [name for name in _raw_spellings(hook) if name in found.hooks]
    if f"{hook}_raw" in raw or len(raw) > 1:  # one of the other two is for one transport only
        return f"{raw[0]} takes whole messages"
    return f"{hook} takes each request's meta" if hook in found.told_meta else None


def _add(key: str) -> str:
    return f"add server.{key}, or leave this out"


def _without_effect(subject: RuleContext, key: str, reason: str, remedy: str = "leave it out") -> Diagnostic:
    return Diagnostic(
        "key-without-effect",
        f"server.{key} has no effect: {reason}",
        subject.origin("server", key),
        Severity.WARNING,
        ("server", key),
        help=remedy,
    )


def _tls_can_be_served(subject: RuleContext) -> Iterator[Diagnostic]:
    section: dict[str, Any] = subject.merged.get(("server", "tls")) or {}
    if "certificate" not in section or "key" not in section:
        return
    for finding in check_tls(TlsSpec(**section), subject.folder, lambda key: subject.origin("server", "tls", key)):
        yield replace(finding, severity=_severity(subject, finding, section))
    if _is_in_image(subject, section["key"]) and find_unreadable(subject.folder / section["key"]) is None:
        yield Diagnostic(
            "key-in-image",
            f"the image would hold the private key {section['key']}",
            subject.origin("server", "tls", "key"),
            Severity.WARNING,
            ("server", "tls", "key"),
            help="mount it where the server starts, and leave it out of the image by image.exclude",
        )


def _severity(subject: RuleContext, finding: Diagnostic, section: dict[str, Any]) -> Severity:
    """Files that come from elsewhere, and dates, are another matter where the server starts: it looks again."""
    if finding.code == "certificate-dates":
        return Severity.WARNING
    file = section[finding.path[-1]]
    is_special = exists(subject.folder / file) and not is_file(subject.folder / file)
    is_mounted = finding.code == "unread-tls-file" and not is_special and not _is_in_image(subject, file)
    return Severity.NOTE if is_mounted else Severity.ERROR


def _is_in_image(subject: RuleContext, file: str) -> bool:
    """Whether a file lies in the folder, links followed, and no pattern leaves it out of the image."""
    root = Path(os.path.realpath(subject.folder))
    target = Path(os.path.realpath(subject.folder / file))
    return target.is_relative_to(root) and not is_left_out(
        PurePosixPath(target.relative_to(root).as_posix()), image_patterns(subject).lines
    )
