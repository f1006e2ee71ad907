"""References to secrets as variables and files of a container; no manifest contains a value."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seldon_spec.config.model import SecretRef
from seldon_spec.config.paths import leaves
from seldon_spec.deploy.manifest.tree import Tree
from seldon_spec.deploy.manifest.workload import Workload, list_specs
from seldon_spec.errors import FieldPath


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A reference of a spec, and the Secret that provides its value.

    Attributes:
        path: of the reference, in the spec of the workload.
        secret, key: of the Secret.
    """

    reference: SecretRef
    path: FieldPath
    secret: str
    key: str

    @property
    def name(self) -> str:
        """The variable, or the path of the file."""
        return self.reference.from_env or self.reference.from_file or ""


def list_secrets(workload: Workload) -> list[SecretUse]:
    """Return each variable and file of the references of a workload once, in the order of the spec."""
    found: dict[str, SecretUse] = {}
    for path, reference in _find_references(workload):
        name = reference.from_env or reference.from_file or ""
        secret, key = find_secret(workload, name)
        found.setdefault(name, SecretUse(reference, path, secret, key))
    return list(found.values())


def find_secret(workload: Workload, name: str) -> tuple[str, str]:
    """Return the Secret and its key for a variable or the path of a file: of its own entry, else the default."""
    for spec in (workload.spec, workload.graph):
        if name in spec.deployment.secrets:
            secret, _, key = spec.deployment.secrets[name].partition("/")
            return secret, key
    return workload.graph.name, posixpath.basename(name)


def _find_references(workload: Workload) -> Iterator[tuple[FieldPath, SecretRef]]:
    for at, spec in list_specs(workload):
        values: dict[FieldPath, Any] = {("environment",): spec.environment, ("parameters",): spec.parameters}
        if not at:
            values["flask", "SECRET_KEY"] = spec.flask.SECRET_KEY
            values["flask", "SECRET_KEY_FALLBACKS"] = spec.flask.SECRET_KEY_FALLBACKS
            values["server", "auth", "tokens"] = spec.server.auth.tokens if spec.server.auth is not None else None
        for name, component in spec.components.items():
            values["components", name, "token"] = component.token
        for path, value in values.items():
            for inner, reference in _walk(value):
                yield (*at, *path, *inner), reference
    for token, reference in list_tokens(workload).items():
        yield ("components", token, "server", "auth", "tokens"), reference


def list_tokens(workload: Workload) -> dict[str, SecretRef]:
    """Return the reference to the token of each component that runs elsewhere, by the name of the component."""
    tokens: dict[str, SecretRef] = {}
    for name in workload.urls:
        spec = workload.spec.components[name].spec
        auth = spec.server.auth if spec is not None else None
        reference = next((each for each in auth.tokens if isinstance(each, SecretRef)), None) if auth else None
        if reference is not None:
            tokens[name] = reference
    return tokens


def _walk(value: Any) -> Iterator[tuple[FieldPath, SecretRef]]:
    if isinstance(value, SecretRef):
        yield (), value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from (((str(key), *path), reference) for path, reference in _walk(item))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _walk(item)


def build_secret_variables(workload: Workload) -> list[Tree]:
    """Return the variables of a container that are read from Secrets."""
    return [
        {
            "name": use.name,
            "valueFrom": workload.with_origin({"secretKeyRef": {"name": use.secret, "key": use.key}}, *use.path),
        }
        for use in list_secrets(workload)
        if use.reference.from_env is not None
    ]


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file of a container that a Secret provides."""

    path: str
    secret: str
    key: str
    comment: FieldPath


def list_certificates(workload: Workload) -> dict[FieldPath, str]:
    """Return the files of ``server.tls``, and those of the authorities of servers, except for files in the image."""
    tls = workload.spec.server.tls
    keys = ("certificate", "key", "client_ca") if tls is not None else ()
    paths: dict[FieldPath, str | None] = {("server", "tls", key): getattr(tls, key) for key in keys}
    for at, spec in list_specs(workload):
        for name, component in spec.components.items():
            if component.ca is not None and component.url is not None and leaves(spec.folder, Path(component.ca)):
                paths |= {(*at, "components", name, "ca"): component.ca}
    return {at: path for at, path in paths.items() if path is not None}


def list_files(workload: Workload) -> list[SecretFile]:
    """Return the files that are mounted: those of references and certificates with absolute paths."""
    files = {
        use.name: SecretFile(use.name, use.secret, use.key, use.path)
        for use in list_secrets(workload)
        if use.reference.from_file is not None and posixpath.isabs(use.name)
    }
    for at, path in list_certificates(workload).items():
        if posixpath.isabs(path):
            secret, entry = find_secret(workload, path)
            is_named = any(path in each.deployment.secrets for each in (workload.spec, workload.graph))
            secret = secret if is_named else f"{workload.graph.name}-tls"
            files.setdefault(path, SecretFile(path, secret, entry, at))
    return list(files.values())


def build_secret_volumes(workload: Workload) -> tuple[list[Tree], list[Tree]]:
    """Return the volumes of the files, one for each folder, and their mounts in the container."""
    folders: dict[str, list[SecretFile]] = {}
    for file in list_files(workload):
        folders.setdefault(posixpath.dirname(file.path), []).append(file)
    volumes, mounts = [], []
    for index, (folder, files) in enumerate(folders.items(), 1):
        name = f"secrets-{index}"
        sources = [
            {"secret": {"name": file.secret, "items": [{"key": file.key, "path": posixpath.basename(file.path)}]}}
            for file in files
        ]
        volumes.append({"name": name, "projected": workload.with_origin({"sources": sources}, *files[0].comment)})
        mounts.append({"name": name, "mountPath": folder, "readOnly": True})
    return volumes, mounts
