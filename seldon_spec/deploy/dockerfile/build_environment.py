"""The build-time environment: values of variables and flags at render time, written into the image as ENV.

``docker run -e`` overrides them: each has the name of the variable that a Seldon image reads.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping

from seldon_spec.config.build_spec import plain
from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.layers.variables import field_variables
from seldon_spec.config.model import Spec
from seldon_spec.deploy.dockerfile import quoting
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Severity

_SECTIONS = ("class_name", "model", "service_type", "flask", "ports", "server")
_DROPPED = ("parameters", "environment", "graph", "components")
_REFERENCES = "# References to secrets, without their values.\n# hadolint ignore=DL3064\n"
_SECRETS = frozenset({("flask", "SECRET_KEY"), ("flask", "SECRET_KEY_FALLBACKS")})


def is_written(path: FieldPath, origin: Origin) -> bool:
    """Return whether the value at ``path`` is written into the image as a variable.

    Parameters and variables of the user are set where the image runs, and no image contains a secret.
    """
    is_from_outside = origin.kind in (OriginKind.ENVIRONMENT, OriginKind.FLAG)
    return is_from_outside and path[0] in _SECTIONS and path[:2] not in _SECRETS


def render_build_environment(spec: Spec) -> Iterator[str]:
    """Yield an ENV for each value, in the order of the spec, after a comment with its source.

    Raises:
        ValueError: a value contains a line break.
    """
    for section in _SECTIONS:
        for path, value in _leaves((section,), getattr(spec, section)):
            origin = _origin(spec, path)
            if is_written(path, origin):
                text = quoting.quote_value(_to_text(value), f"{'.'.join(path)} ({origin})")
                yield (
                    f"# {'.'.join(path)}: from {quoting.to_comment(str(origin))}, when this file was rendered.\n"
                    f"{_REFERENCES if path == ('server', 'auth', 'tokens') else ''}"
                    f"ENV {_variable(path)}={text}"
                )


def _leaves(path: FieldPath, value: object) -> Iterator[tuple[FieldPath, object]]:
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _leaves((*path, field.name), getattr(value, field.name))
    else:
        yield path, value


def _origin(spec: Spec, path: FieldPath) -> Origin:
    """Return the origin of ``path``, or of its section if that was given as JSON."""
    known = [path[:length] for length in range(len(path), 0, -1) if path[:length] in spec.origins]
    return spec.origin(*known[0]) if known else spec.origin(*path)


def _variable(path: FieldPath) -> str:
    """Return the variable of a key: Seldon's if there is one, else the generic one.

    The generic variable overrides Seldon's: with it in the image, ``docker run -e`` of Seldon's would have no effect.
    """
    names = {known: name for name, known in field_variables().items()}
    return names.get(path) or generic_variable(path)


def _to_text(value: object) -> str:
    """Return the text of a variable that the loader reads as the value: a string unchanged, other values as JSON."""
    text = plain(value)
    return text if isinstance(text, str) else json.dumps(text)


def find_dropped(spec: Spec) -> Iterator[Diagnostic]:
    """Yield a warning for each value of a variable or flag that is not written into the image."""
    yield from _find_dropped(spec.origins)
    for name, component in spec.components.items():
        if component.spec is not None:
            own = component.spec.origins
            origins = {("components", name, *path): own[path] for path in own if path[0] not in ("components", "unit")}
            yield from _find_dropped(origins)


def _find_dropped(origins: Mapping[FieldPath, Origin]) -> Iterator[Diagnostic]:
    for path, origin in origins.items():
        is_from_outside = origin.kind in (OriginKind.ENVIRONMENT, OriginKind.FLAG)
        if is_from_outside and (path[0] in _DROPPED or path[:2] in _SECRETS):
            yield Diagnostic(
                "not-baked",
                f"{'.'.join(path)} is not written into the image",
                origin,
                Severity.WARNING,
                path,
                help="set the variable where the image runs, "
                + ("or refer to it: {from_env: NAME}" if path[:2] in _SECRETS else "or write the value to the file"),
            )
