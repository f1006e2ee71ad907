"""Replacement for ``seldon_core.microservice``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from seldon_spec.inference.component.contract import SeldonMicroserviceException

__all__ = ["PARAMETERS_ENV_NAME", "SeldonMicroserviceException", "parse_parameters"]

PARAMETERS_ENV_NAME = "PREDICTIVE_UNIT_PARAMETERS"

_READERS: dict[str, Callable[[Any], Any]] = {
    "INT": int,
    "FLOAT": float,
    "DOUBLE": float,
    "STRING": str,
    "BOOL": lambda value: value if isinstance(value, bool) else str(value).strip().lower() in ("true", "1", "t", "yes"),
}


def parse_parameters(parameters: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Convert Seldon's list of parameters to keyword arguments.

    Args:
        parameters: each with a name, a value, and a type of INT, FLOAT, DOUBLE, STRING or BOOL.

    Raises:
        SeldonMicroserviceException: a parameter lacks a member, or its value does not have its type.
    """
    return dict(map(_parse, parameters))


def _parse(parameter: Mapping[str, Any]) -> tuple[str, Any]:
    try:
        return str(parameter["name"]), _READERS[parameter["type"]](parameter["value"])
    except (KeyError, TypeError, ValueError) as error:
        raise SeldonMicroserviceException(
            f"bad model parameter {parameter!r}: {error}", reason="MICROSERVICE_BAD_PARAMETER"
        ) from error
