"""Values of the user's code that JSON has no word for, put into words that it has.

The originals of these rules are the conversions that Flask made (contract section 4.2); numpy's values are ours.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import uuid
from email.utils import format_datetime
from typing import Any

import numpy as np

from seldon_spec.errors import UnwritableResult


def plain_value(value: object) -> Any:
    """One step from a foreign value towards JSON's null, booleans, numbers, text, lists and objects.

    Args:
        value: anything that is not one of those; what it holds need not be plain yet.

    Returns:
        Dates as HTTP dates in GMT, decimals and UUIDs as text, dataclasses as objects, numpy's values as Python's.

    Raises:
        UnwritableResult: there is no such form.
    """
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return _plain_number(value)
    if isinstance(value, datetime.date):
        return _http_date(value)
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "__array__"):  # a table or a tensor of a library that we do not know
        return np.asarray(value).tolist()
    raise UnwritableResult(f"Object of type {type(value).__name__} is not JSON serializable")


def _plain_number(value: np.bool_ | np.integer[Any] | np.floating[Any]) -> bool | int | float:
    if isinstance(value, np.bool_):
        return bool(value)
    return int(value) if isinstance(value, np.integer) else float(value)


def _http_date(value: datetime.date) -> str:
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    if value.tzinfo is None:
        value = value.replace(tzinfo=datetime.timezone.utc)
    return format_datetime(value.astimezone(datetime.timezone.utc), usegmt=True)
