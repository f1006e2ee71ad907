"""Check ``server``: its keys are consistent, and the files of ``server.tls`` exist and are not part of the image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.extras import check_engine
from seldon_spec.config.checks.image_files import image_patterns
from seldon_spec.config.checks.patterns import is_left_out
from seldon_spec.config.checks.tensor_rules import INFER_ARGUMENTS, uses_infer
from seldon_spec.config.checks.tls import check_tls, find_unreadable
from seldon_spec.config.checks.tracing import check_tracing
from seldon_spec.config.model import ServiceType, ShutdownSpec, TlsSpec
from seldon_spec.config.paths import exists, is_file
from seldon_spec.errors import Diagnostic, Severity

_NATIVE_ONLY = ("max_connections", "max_buffered_bytes", "header_timeout_seconds", "body_timeout_seconds")
"""The limits that only the engine ``native`` enforces."""

_BATCHED_HOOKS = {
    "MODEL": ("predict",),
    "TRANSFORMER": ("transform_input", "transform_output"),
}
"""The hooks that process rows independently, by service type."""


def find_server_problems(context: RuleContext) -> Iterator[Diagnostic]:
    """Yield the diagnostics of ``server``."""
    yield from _check_shutdown(context)
    yield from _check_combinations(context)
    yield from _check_preload(context)
    yield from _check_batching(context)
    yield from _check_tls_files(context)
    if context.values.get(("server", "tracing")):
        yield from check_tracing(context.origin("server", "tracing"))
    if context.values.get(("server", "engine")) == "uvicorn":
        yield from check_engine(context.origin("server", "engine"))


def _check_shutdown(context: RuleContext) -> Iterator[Diagnostic]:
    default = ShutdownSpec()
    shutdown = context.values.get(("server", "shutdown")) or {}
    delay = shutdown.get("delay_seconds", default.delay_seconds)
    grace = shutdown.get("grace_seconds", default.grace_seconds)
    if delay and delay >= grace:
        path = ("server", "shutdown", "delay_seconds")
        given = context.values.origins.get(("server", "shutdown", "grace_seconds"), "its default")
        yield Diagnostic(
            "delay-too-long",
            "server.shutdown.delay_seconds leaves no time for requests in progress",
            context.origin(*path),
            path=path,
            found=f"{delay} of {grace} seconds",
            allowed="less than server.shutdown.grace_seconds, which includes it",
            notes=(f"server.shutdown.grace_seconds is {grace}: {given}",),
            help="decrease the delay, or increase the grace period",
        )


def _check_combinations(context: RuleContext) -> Iterator[Diagnostic]:
    server = context.values.get(("server",)) or {}
    if server.get("on_timeout") == "replace" and server.get("request_timeout_seconds") is None:
        yield _without_effect(context, "on_timeout", "predictions have no timeout", _add("request_timeout_seconds"))
    if server.get("max_requests_jitter") and server.get("max_requests") is None:
        yield _without_effect(
            context, "max_requests_jitter", "workers are not replaced after a number of requests", _add("max_requests")
        )
    has_inputs = context.values.get(("inputs",)) or any(map(context.is_set, ("graph", "model")))
    if server.get("validate_requests") is not None and not has_inputs:
        remedy = "declare the inputs, or remove this key"
        yield _without_effect(context, "validate_requests", "inputs is empty", remedy)
    if server.get("engine") == "uvicorn":
        for key in _NATIVE_ONLY:
            if server.get(key) is not None:
                reason = "server.engine is uvicorn, which has other limits"
                remedy = "remove server.engine to use the engine native, or remove this key"
                yield _without_effect(context, key, reason, remedy)


def _check_preload(context: RuleContext) -> Iterator[Diagnostic]:
    path = ("model", "options", "threads")
    threads = ((context.values.get(("model",)) or {}).get("options") or {}).get("threads", 1)
    if context.values.get(("server", "preload")) and threads > 1:
        yield Diagnostic(
            "preload-threads",
            "server.preload requires a library that uses one thread: a fork copies no others",
            context.origin(*path),
            path=path,
            found=str(threads),
            allowed="1",
            notes=(f"server.preload is true: {context.values.origins[('server', 'preload')]}",),
            help="remove this key, or server.preload",
        )


def _check_batching(context: RuleContext) -> Iterator[Diagnostic]:
    found = context.class_source
    if not context.values.get(("server", "batching")) or not isinstance(found, ClassSource):
        return
    type_name = context.values.get(("service_type",)) or ServiceType.MODEL.value
    if type_name not in _BATCHED_HOOKS:
        reason = f"a {type_name} processes each request separately"
        yield _without_effect(context, "batching", reason)
        return
    if type_name == ServiceType.MODEL.value and uses_infer(context, found):
        reasons = {"infer": _why_infer_alone(found)}
    else:
        hooks = [hook for hook in _BATCHED_HOOKS[type_name] if _spellings(hook) & found.hooks]
        reasons = {hook: _why_alone(hook, found) for hook in hooks}
    if reasons and all(reasons.values()):
        reason = "; ".join(each for each in reasons.values() if each)
        yield _without_effect(context, "batching", f"{found.name} processes each request separately: {reason}")


def _spellings(hook: str) -> set[str]:
    return {hook, *_raw_spellings(hook)}


def _raw_spellings(hook: str) -> list[str]:
    return [f"{hook}_{ending}" for ending in ("raw", "rest", "grpc")]


def _why_alone(hook: str, found: ClassSource) -> str | None:
    """Return why a hook cannot process the rows of several requests in one call; None if it can."""
    raw = [name for name in _raw_spellings(hook) if name in found.hooks]
    if f"{hook}_raw" in raw or len(raw) > 1:  # the other two are for one transport each
        return f"{raw[0]} takes whole messages"
    return f"{hook} takes each request's meta" if hook in found.takes_meta else None


def _why_infer_alone(found: ClassSource) -> str | None:
    """Return why ``infer`` cannot process several requests in one call; None if it can."""
    if _spellings("predict") & found.hooks:
        return "it has both infer and predict"
    signature = found.signatures.get("infer")
    if signature is None:
        return None
    names = {*signature.required, *(argument.name for argument in signature.arguments)}
    taken = sorted(INFER_ARGUMENTS & names)
    return f"infer takes each request's {' and '.join(taken)}" if taken else None


def _add(key: str) -> str:
    return f"add server.{key}, or remove this key"


def _without_effect(context: RuleContext, key: str, reason: str, remedy: str = "remove it") -> Diagnostic:
    return Diagnostic(
        "key-without-effect",
        f"server.{key} has no effect: {reason}",
        context.origin("server", key),
        Severity.WARNING,
        ("server", key),
        help=remedy,
    )


def _check_tls_files(context: RuleContext) -> Iterator[Diagnostic]:
    section: dict[str, Any] = context.values.get(("server", "tls")) or {}
    if "certificate" not in section or "key" not in section:
        return
    for finding in check_tls(TlsSpec(**section), context.folder, lambda key: context.origin("server", "tls", key)):
        yield replace(finding, severity=_severity(context, finding, section))
    if _is_in_image(context, section["key"]) and find_unreadable(context.folder / section["key"]) is None:
        yield Diagnostic(
            "key-in-image",
            f"the image would contain the private key {section['key']}",
            context.origin("server", "tls", "key"),
            Severity.WARNING,
            ("server", "tls", "key"),
            help="mount it into the container, and exclude it from the image with image.exclude",
        )


def _severity(context: RuleContext, finding: Diagnostic, section: dict[str, Any]) -> Severity:
    """Return the severity: files that may be mounted, and dates, are checked again when the server starts."""
    if finding.code == "certificate-dates":
        return Severity.WARNING
    file = section[finding.path[-1]]
    is_special = exists(context.folder / file) and not is_file(context.folder / file)
    is_mounted = finding.code == "unread-tls-file" and not is_special and not _is_in_image(context, file)
    return Severity.NOTE if is_mounted else Severity.ERROR


def _is_in_image(context: RuleContext, file: str) -> bool:
    """Return whether a file is in the folder after resolving links, and no pattern excludes it from the image."""
    root = Path(os.path.realpath(context.folder))
    target = Path(os.path.realpath(context.folder / file))
    return target.is_relative_to(root) and not is_left_out(
        PurePosixPath(target.relative_to(root).as_posix()), image_patterns(context).lines
    )
