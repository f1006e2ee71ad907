"""The digest of a file's values: stored in an image, and compared by the server with the file in the container.

Independent of comments, layout and the order of keys, and of variables and flags, which differ between runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from seldon_spec.config.yaml.document import Document
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Severity

DIGEST_VARIABLE = "SELDON_SPEC_DIGEST"
"""Set by the Dockerfile; sets no field."""


def digest_spec(document: Document, components: Mapping[str, str]) -> str:
    """Return the SHA-256 of a file's values, e.g. ``sha256:2c26…``, and of the digests of its components.

    ``deployment`` is left out: it changes nothing in the image.
    """
    import hashlib

    values = _drop_deployment(document.root.to_json()) if document.root is not None else None
    if components:
        values = [values, components]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _drop_deployment(values: Any) -> Any:
    """Return the values of a file without ``deployment``, also that of components."""
    if not isinstance(values, dict):
        return values
    kept = {key: value for key, value in values.items() if key != "deployment"}
    if isinstance(kept.get("components"), dict):
        kept["components"] = {name: _drop_deployment(entry) for name, entry in kept["components"].items()}
    return kept


def find_other_file(document: Document, digest: str, environ: Mapping[str, str]) -> Iterator[Diagnostic]:
    """Report, in a container, a file with other values than the one that the image was rendered from."""
    rendered = environ.get(DIGEST_VARIABLE)
    if rendered and rendered != digest:
        yield Diagnostic(
            "other-file",
            f"{document.file} is not the file that this image was rendered from",
            Origin(OriginKind.ENVIRONMENT, DIGEST_VARIABLE),
            Severity.NOTE,
            found=f"{rendered[:19]}… in the image, {digest[:19]}… of the file",
            help="OK if you replaced it; otherwise render the Dockerfile and build the image again",
        )
