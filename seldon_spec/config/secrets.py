"""References to secrets, read at the last moment: only the operations that load the user's class come here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from seldon_spec.config.model import AuthSpec, SecretRef, Spec
from seldon_spec.config.paths import TooLong, Unreadable, decode_text, read_file
from seldon_spec.config.schema.schema import join
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Severity, SpecError

MAX_SECRET_BYTES = 1024 * 1024
MIN_TOKEN_CHARACTERS = 8

_TOKENS = ("server", "auth", "tokens")
_VISIBLE = re.compile(r"[!-~]+")


def prepare_to_load(spec: Spec, environ: Mapping[str, str]) -> Spec:
    """The spec that a server or a prediction is made of: every secret read, every required argument there.

    Args:
        spec: an effective spec, whose references are still names.
        environ: the variables that ``from_env`` names.

    Raises:
        SpecError: a secret cannot be read, is no bearer token where one is needed, or ``__init__`` needs an argument
            that has no value.
    """
    reader = _Reader(spec, environ)
    flask = replace(
        spec.flask,
        SECRET_KEY=reader.read(("flask", "SECRET_KEY"), spec.flask.SECRET_KEY),
        SECRET_KEY_FALLBACKS=reader.read(("flask", "SECRET_KEY_FALLBACKS"), spec.flask.SECRET_KEY_FALLBACKS),
    )
    prepared = replace(
        spec,
        flask=flask,
        server=replace(spec.server, auth=reader.read_tokens(spec.server.auth)),
        parameters=MappingProxyType({k: reader.read(("parameters", k), v) for k, v in spec.parameters.items()}),
        environment=MappingProxyType({k: reader.read(("environment", k), v) for k, v in spec.environment.items()}),
    )
    missing = [d for d in spec.diagnostics if d.code == "missing-argument"]
    problems = [*(replace(d, severity=Severity.ERROR) for d in missing), *reader.problems]
    if problems:
        others = [d for d in spec.diagnostics if d not in missing]
        raise SpecError((*problems, *others))
    return prepared


class _Reader:
    """Reads references, and gathers those that cannot be read."""

    def __init__(self, spec: Spec, environ: Mapping[str, str]) -> None:
        self.spec, self.environ = spec, environ
        self.problems: list[Diagnostic] = []

    def read(self, path: FieldPath, value: Any) -> Any:
        """A value with every reference in it replaced by what it refers to."""
        if isinstance(value, SecretRef):
            return self._resolve(path, value)
        if isinstance(value, Mapping):
            return {key: self.read(path, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.read(path, item) for item in value)
        return value

    def read_tokens(self, auth: AuthSpec | None) -> AuthSpec | None:
        """The bearer tokens that references refer to, in the place of the references; a secret holds one a line."""
        if auth is None:
            return None
        tokens: list[str] = []
        for reference in auth.tokens:
            text = self.read(_TOKENS, reference)
            if text is not None:
                tokens += self._split_tokens(text, str(reference))
        return AuthSpec(tuple(dict.fromkeys(tokens)))

    def _split_tokens(self, text: str, source: str) -> list[str]:
        tokens = [line.strip() for line in text.splitlines() if line.strip()]
        if not tokens:
            self._report_token(f"{source} holds none")
        for number, token in enumerate(tokens, 1):
            if len(token) < MIN_TOKEN_CHARACTERS:
                self._report_token(f"token {number} of {source} has fewer than {MIN_TOKEN_CHARACTERS} characters")
            elif not _VISIBLE.fullmatch(token):
                self._report_token(f"token {number} of {source} has characters that no header carries")
        return tokens

    def _report_token(self, reason: str) -> None:
        self.problems.append(
            Diagnostic(
                "unusable-token",
                f"{join(_TOKENS)}: {reason}",
                self._origin(_TOKENS),
                path=_TOKENS,
                allowed=f"{MIN_TOKEN_CHARACTERS} or more letters, digits and signs of ASCII, one token a line",
                help="make a random one, e.g. with openssl rand -hex 32",
            )
        )

    def _resolve(self, path: FieldPath, reference: SecretRef) -> str | None:
        if reference.from_env is not None:
            text = self.environ.get(reference.from_env)
            if text is None:
                self._report(path, f"the variable {reference.from_env} is not set", "set it where the server starts")
            return text
        return self._read_file(path, str(reference.from_file))

    def _read_file(self, path: FieldPath, name: str) -> str | None:
        try:
            data = read_file(Path(self.spec.folder, name), MAX_SECRET_BYTES)
            return decode_text(data).removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            self._report(path, f"{name} is not text in UTF-8", "save it as UTF-8")
        except TooLong as error:
            self._report(path, f"{name} cannot be read: {error}", "a secret is a short text")
        except Unreadable as error:
            self._report(path, f"{name} cannot be read: {error}", "mount the file where the server starts")
        return None

    def _report(self, path: FieldPath, reason: str, remedy: str) -> None:
        message = f"{join(path)}: the secret cannot be read: {reason}"
        self.problems.append(Diagnostic("unread-secret", message, self._origin(path), path=path, help=remedy))

    def _origin(self, path: FieldPath) -> Origin:
        return self.spec.origins.get(path) or Origin(OriginKind.FILE, self.spec.file)
