"""Write scalars as YAML that versions 1.1 and 1.2 read as the same values."""

from __future__ import annotations

import json
import math
import re

from seldon_spec.config.yaml.parser import parse_document

_PLAIN = re.compile(r"(?![YyNn]\Z)[A-Za-z_/][A-Za-z0-9_./-]*")
"""Some parsers of YAML 1.1, kubectl's among them, read y and n as booleans."""


def printable(text: str) -> str:
    """Replace line breaks and non-printable characters by spaces."""
    return "".join(c if c.isprintable() else " " for c in text)


def render_scalar(value: object) -> str:
    """Return a scalar that YAML 1.1 and 1.2 read as the same value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _render_float(value)
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) and _reads_as_itself(text) else _quote(text)


def _render_float(value: float) -> str:
    """Add a decimal point, without which YAML 1.1 reads an exponent as text."""
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    mantissa, exponent, power = repr(value).partition("e")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}{exponent}{power}"


def _reads_as_itself(text: str) -> bool:
    root = parse_document(text.encode(), "").root
    return root is not None and root.value == text


def _quote(text: str) -> str:
    """Add double quotes, and escape non-printable characters."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in quoted)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
