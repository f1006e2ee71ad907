"""Values of the environment in force when an image is rendered, written into it so that they hold when it runs.

A variable given to ``docker run -e`` still wins: each is written under the name that a Seldon image reads.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.layers.variables import field_variables
from seldon_spec.config.loader import plain
from seldon_spec.config.model import Spec
from seldon_spec.deploy.dockerfile import quoting
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Severity

_SECTIONS = ("class_name", "service_type", "flask", "ports", "server")
_REFERENCES = "# References to secrets, none of which is here.\n# hadolint ignore=DL3064\n"
_SECRETS = frozenset({("flask", "SECRET_KEY"), ("flask", "SECRET_KEY_FALLBACKS")})


def is_baked(path: FieldPath, origin: Origin) -> bool:
    """Say whether the value at ``path`` goes into a rendered image as a variable.

    The user's parameters and variables belong to the place where the image runs, and a secret into no image.
    """
    is_from_outside = origin.kind in (OriginKind.ENVIRONMENT, OriginKind.FLAG)
    return is_from_outside and path[0] in _SECTIONS and path[:2] not in _SECRETS


def render_baked(spec: Spec) -> Iterator[str]:
    """Yield one ENV for each value, in the order of the spec's fields, under a comment that names its source.

    Raises:
        ValueError: a value has a line break.
    """
    for section in _SECTIONS:
        for path, value in _leaves((section,), getattr(spec, section)):
            origin = _origin(spec, path)
            if is_baked(path, origin):
                text = quoting.quote_value(_to_text(value), f"{'.'.join(path)} ({origin})")
                yield (
                    f"# {'.'.join(path)}: from {quoting.to_comment(str(origin))}, set when this was rendered.\n"
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
    """The origin at ``path`` or, where a whole section was given as one JSON text, at the section."""
    known = [path[:length] for length in range(len(path), 0, -1) if path[:length] in spec.origins]
    return spec.origin(*known[0]) if known else spec.origin(*path)


def _variable(path: FieldPath) -> str:
    """The name under which the loader reads the field: Seldon's own where there is one, for the generic name beats it.

    Were the generic name in the image, ``docker run -e`` with Seldon's name would change nothing.
    """
    names = {known: name for name, known in field_variables().items()}
    return names.get(path) or generic_variable(path)


def _to_text(value: object) -> str:
    """Write a value as the loader reads it from a variable: text as it is, anything else as JSON."""
    text = plain(value)
    return text if isinstance(text, str) else json.dumps(text)


def find_left_out(spec: Spec) -> Iterator[Diagnostic]:
    """Tell what a variable or a flag gave when the image was rendered and what the image does not take along."""
    for path, origin in spec.origins.items():
        is_from_outside = origin.kind in (OriginKind.ENVIRONMENT, OriginKind.FLAG)
        if is_from_outside and (path[0] in ("parameters", "environment") or path[:2] in _SECRETS):
            yield Diagnostic(
                "not-baked",
                f"{'.'.join(path)} is not written into the image",
                origin,
                Severity.WARNING,
                path,
                help="set the variable where the image runs, "
                + ("or refer to it: {from_env: NAME}" if path[:2] in _SECRETS else "or write the value into the file"),
            )
