"""Read the secrets that a spec refers to. Only commands that load the user's class do so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from seldon_spec.config.model import AuthSpec, SecretRef, Spec
from seldon_spec.config.paths import TooLong, Unreadable, decode_text, read_file
from seldon_spec.config.schema.lookup import fields, join
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Severity, SpecError

MAX_SECRET_BYTES = 1024 * 1024
MIN_TOKEN_CHARACTERS = 8

_TOKENS = ("server", "auth", "tokens")
_VISIBLE = re.compile(r"[!-~]+")


def prepare_to_load(spec: Spec, environ: Mapping[str, str]) -> Spec:
    """Return the spec with references replaced by secrets, ready to load the class.

    A variable that the process has already takes precedence over ``environment``, whose secret is not read then.

    Args:
        spec: the effective spec with references.
        environ: the variables of ``from_env``.

    Raises:
        SpecError: a secret cannot be read or is not a valid bearer token, or a required argument of ``__init__`` has no
            value; of any component of a graph that is built in this process.
    """
    problems: list[Diagnostic] = []
    prepared = _resolve_secrets(spec, environ, problems)
    if problems:
        others = [d for d in spec.diagnostics if d.code != "missing-argument"]
        raise SpecError((*problems, *others))
    return prepared


def _resolve_secrets(
    spec: Spec, environ: Mapping[str, str], problems: list[Diagnostic], *, is_served: bool = True
) -> Spec:
    """Return a spec and its components with references replaced by secrets.

    Diagnostics are appended to ``problems``. Unless ``is_served``, the spec is a component without a server: its
    secrets of ``server`` and ``flask`` are not read.
    """
    # The diagnostics of a graph include those of its components, also of those that are built elsewhere.
    missing = [d for d in spec.diagnostics if d.code == "missing-argument" and spec.graph is None]
    problems += [replace(d, severity=Severity.ERROR) for d in missing]
    reader = _Reader(spec, environ, problems)
    flask_secrets = [path for path, schema in fields() if path[0] == "flask" and schema.get("x-secret")]
    components = {}
    for name, each in spec.components.items():
        is_local = each.spec is not None and each.url is None
        inner = each.spec
        if is_local and each.spec is not None:
            inner = _resolve_secrets(each.spec, environ, problems, is_served=False)
        token = reader.read(("components", name, "token"), each.token) if each.url is not None else each.token
        components[name] = replace(each, spec=inner, token=token)
    if is_served:
        secrets = {at[-1]: reader.read(at, getattr(spec.flask, at[-1])) for at in flask_secrets}
        server = replace(spec.server, auth=reader.read_tokens(spec.server.auth))
        spec = replace(spec, flask=replace(spec.flask, **secrets), server=server)
    return replace(
        spec,
        components=MappingProxyType(components),
        parameters=MappingProxyType({k: reader.read(("parameters", k), v) for k, v in spec.parameters.items()}),
        environment=MappingProxyType(
            {
                k: environ[k] if isinstance(v, SecretRef) and k in environ else reader.read(("environment", k), v)
                for k, v in spec.environment.items()
            }
        ),
    )


def join_environments(spec: Spec) -> dict[str, str | SecretRef]:
    """Return the variables of a spec and of its components that are built in this process."""
    joined = dict(spec.environment)
    for component in spec.components.values():
        if component.spec is not None and component.url is None:
            joined |= join_environments(component.spec)
    return joined


class _Reader:
    """Reads secrets and collects the diagnostics of those that cannot be read."""

    def __init__(self, spec: Spec, environ: Mapping[str, str], problems: list[Diagnostic]) -> None:
        self.spec, self.environ, self.problems = spec, environ, problems

    def read(self, path: FieldPath, value: Any) -> Any:
        """Return a value with every reference in it replaced by the secret."""
        if isinstance(value, SecretRef):
            return self._resolve(path, value)
        if isinstance(value, Mapping):
            return {key: self.read(path, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.read(path, item) for item in value)
        return value

    def read_tokens(self, auth: AuthSpec | None) -> AuthSpec | None:
        """Return the bearer tokens in the secrets; a secret has one token per line."""
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
            self._report_token(f"{source} contains none")
        for number, token in enumerate(tokens, 1):
            if len(token) < MIN_TOKEN_CHARACTERS:
                self._report_token(f"token {number} of {source} has fewer than {MIN_TOKEN_CHARACTERS} characters")
            elif not _VISIBLE.fullmatch(token):
                self._report_token(f"token {number} of {source} has characters that a header cannot contain")
        return tokens

    def _report_token(self, reason: str) -> None:
        self.problems.append(
            Diagnostic(
                "unusable-token",
                f"{join(_TOKENS)}: {reason}",
                self._origin(_TOKENS),
                path=_TOKENS,
                allowed=f"{MIN_TOKEN_CHARACTERS} or more ASCII letters, digits and punctuation, one token per line",
                help="generate a random one, e.g. with openssl rand -hex 32",
            )
        )

    def _resolve(self, path: FieldPath, reference: SecretRef) -> str | None:
        if reference.from_env is not None:
            text = self.environ.get(reference.from_env)
            if text is None:
                self._report(
                    path, f"the variable {reference.from_env} is not set", "set it in the environment of the server"
                )
            return text
        return self._read_file(path, str(reference.from_file))

    def _read_file(self, path: FieldPath, name: str) -> str | None:
        try:
            data = read_file(Path(self.spec.folder, name), MAX_SECRET_BYTES)
            return decode_text(data).removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            self._report(path, f"{name} is not text in UTF-8", "save it as UTF-8")
        except TooLong as error:
            self._report(path, f"{name} cannot be read: {error}", "name a file with the secret alone")
        except Unreadable as error:
            self._report(path, f"{name} cannot be read: {error}", "mount the file into the container of the server")
        return None

    def _report(self, path: FieldPath, reason: str, remedy: str) -> None:
        message = f"{join(path)}: the secret cannot be read: {reason}"
        self.problems.append(Diagnostic("unread-secret", message, self._origin(path), path=path, help=remedy))

    def _origin(self, path: FieldPath) -> Origin:
        return self.spec.origins.get(path) or Origin(OriginKind.FILE, self.spec.file)
