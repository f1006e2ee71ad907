"""Where the gateway of Seldon Core finds a deployment: by the path over REST, by metadata over gRPC."""

from __future__ import annotations

from urllib.parse import quote


def gateway_path(namespace: str | None, deployment: str) -> str:
    """Return the path before those of the deployment.

    Args:
        namespace: of the deployment; None: the gateway serves one.
        deployment: its name.
    """
    return "/".join(["/seldon", *(quote(part, safe="") for part in (namespace, deployment) if part is not None)])


def gateway_metadata(namespace: str | None, deployment: str) -> dict[str, str]:
    """Return the metadata of a call; the arguments are those of ``gateway_path``."""
    return {"seldon": deployment} if namespace is None else {"seldon": deployment, "namespace": namespace}
