"""The digest of what a file says: an image bears it, and a server compares it with the file that it finds.

Comments, layout and the order of keys do not count; variables and flags do not either, for they change from run to run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from seldon_spec.config.yaml.source import Document
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Severity

DIGEST_VARIABLE = "SELDON_SPEC_DIGEST"
"""Set in an image by its Dockerfile; not one of the variables that set a field."""


def digest_document(document: Document) -> str:
    """The SHA-256 of a file's values, e.g. ``sha256:2c26…``."""
    import hashlib

    values = document.root.to_json() if document.root is not None else None
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def find_other_file(document: Document, digest: str, environ: Mapping[str, str]) -> Iterator[Diagnostic]:
    """Tell, in an image, that the file is not the one that the image was rendered from."""
    rendered = environ.get(DIGEST_VARIABLE)
    if rendered and rendered != digest:
        yield Diagnostic(
            "other-file",
            f"{document.file} is not the file that this image was rendered from",
            Origin(OriginKind.ENVIRONMENT, DIGEST_VARIABLE),
            Severity.NOTE,
            found=f"{rendered[:19]}… in the image, {digest[:19]}… of the file",
            help="fine if it was replaced on purpose; else render the Dockerfile again and build the image anew",
        )
