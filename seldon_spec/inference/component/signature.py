"""The arguments of a hook, from its signature; read once, without a call."""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from inspect import Parameter
from itertools import pairwise
from types import FunctionType, MethodType
from typing import Any, NamedTuple

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)

_ROLES = {
    "names": "names",
    "feature_names": "names",
    "features_names": "names",
    "reward": "reward",
    "truth": "truth",
}
"""The value for a parameter of this name, where its position does not decide."""


class Binding(NamedTuple):
    """The arguments of a call.

    Attributes:
        positional: the values to pass, in order.
        keywords: pairs of a parameter and the value that it takes.
    """

    positional: tuple[str, ...]
    keywords: tuple[tuple[str, str], ...] = ()

    def has(self, value: str) -> bool:
        """Return whether the call passes a value."""
        return value in self.positional or any(value == passed for _, passed in self.keywords)


_X_AND_NAMES = Binding(("payload", "names"))
_X_NAMES_AND_META = Binding(("payload", "names", "meta"))


def bind(user: object, name: str, values: Sequence[str], extra: str, *, forwards: bool, fills: bool = True) -> Binding:
    """Choose the arguments of a hook.

    Args:
        user: the object.
        name: the hook's name; the object has it.
        values: what is passed by position, as far as the hook accepts it.
        extra: what is passed only to a parameter of this name, or among ``**kwargs``.
        forwards: whether a hook that forwards its ``**kwargs`` to an unknown function gets ``extra`` among them.
        fills: whether any other hook with ``**kwargs`` does.
    """
    static = inspect.getattr_static(user, name, None)
    method: Any = getattr(user, name)
    if isinstance(static, functools.singledispatchmethod):  # it shows the signature of the function, with self
        method = static.func.__get__(user, type(user))
    parameters = _read_parameters(method, name, 0)
    if parameters is None:
        return Binding(tuple(values), ((extra, extra),) if forwards else ())
    has_keywords = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
    takes_extra = fills and has_keywords and (forwards or not _only_forwards(user, method, name, extra))
    return _match(parameters, values, extra, takes_extra=takes_extra)


def _match(parameters: Sequence[Parameter], values: Sequence[str], extra: str, *, takes_extra: bool) -> Binding:
    places = [p for p in parameters if p.kind in _POSITIONAL]
    takes_more = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters)
    only_by_name = [p for p in parameters if p.kind is Parameter.KEYWORD_ONLY]
    named = {p.name: extra for p in (*places, *only_by_name) if p.name == extra}
    left = list(values)
    by_place = [p for p in places if p.name not in named]
    if len(by_place) < len(values) and not takes_more:  # a name decides before the order
        for parameter in (*by_place, *only_by_name):
            if _ROLES.get(parameter.name) in left:
                named[parameter.name] = _ROLES[parameter.name]
                left.remove(named[parameter.name])
        by_place = [p for p in by_place if p.name not in named]
    named.update(zip((p.name for p in by_place), left, strict=False))
    left = left[len(by_place) :]
    if not places and left[:1] == list(values[:1]) and not takes_more:  # all by keyword: the first one is the payload
        named.update({p.name: left[0] for p in [p for p in only_by_name if p.name not in named][:1]})
    if values[0] not in named.values() and not takes_more:
        return Binding(tuple(values))  # Python's own error says what is wrong with the signature
    positional = _leading(places, named)
    if takes_more and len(positional) == len(places):
        positional += left
    rest = [p for p in (*places[len(positional) :], *only_by_name) if p.name in named]
    keywords = [(p.name, named[p.name]) for p in rest if p.kind is not Parameter.POSITIONAL_ONLY]
    if takes_extra and extra not in named.values():
        keywords.append((extra, extra))
    return Binding(tuple(positional), tuple(keywords))


def _leading(places: Sequence[Parameter], named: dict[str, str]) -> list[str]:
    """Return the values of the first parameters, up to one that takes none."""
    values: list[str] = []
    for parameter in places:
        if parameter.name not in named:
            break
        values.append(named[parameter.name])
    return values


def _read_parameters(method: Any, name: str, skipped: int) -> list[Parameter] | None:
    """Return the parameters that a call can fill; for a wrapper with ``*args`` or ``**kwargs``, those of what it wraps.

    Args:
        method: the hook, or what it wraps.
        name: the hook's name.
        skipped: how many leading arguments a wrapper adds itself, such as ``self``.

    Returns:
        None if nothing is known of them.
    """
    try:
        own: list[Parameter] | None = _skip(
            inspect.signature(method, follow_wrapped=False).parameters.values(), skipped
        )
    except (TypeError, ValueError):
        own = None
    if own is not None and not any(p.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD) for p in own):
        return own
    wrapped, bound = _find_wrapped(method, name)
    if wrapped is None:
        return own
    inner = _read_parameters(wrapped, name, 0 if isinstance(wrapped, MethodType) else skipped + bound)
    return own if inner is None else inner if own is None else _join(own, inner)


def _skip(parameters: Any, count: int) -> list[Parameter]:
    rest = list(parameters)
    while count and rest and rest[0].kind in _POSITIONAL:
        del rest[0]
        count -= 1
    return rest


def _join(outer: list[Parameter], inner: list[Parameter]) -> list[Parameter]:
    """Return the parameters of a wrapper, with those that its ``*args`` and ``**kwargs`` reach."""
    own = [p for p in outer if p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)]
    kinds = {p.kind for p in outer}
    places = [p for p in own if p.kind in _POSITIONAL]
    reached = [p for p in _skip(inner, len(places)) if p.name not in {q.name for q in own}]
    if Parameter.VAR_POSITIONAL not in kinds:
        reached = [p for p in reached if p.kind not in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)]
        reached = [p.replace(kind=Parameter.KEYWORD_ONLY) if p.kind in _POSITIONAL else p for p in reached]
    if Parameter.VAR_KEYWORD not in kinds:
        reached = [p for p in reached if p.kind not in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD)]
        reached = [p.replace(kind=Parameter.POSITIONAL_ONLY) if p.kind in _POSITIONAL else p for p in reached]
    return sorted([*own, *reached], key=lambda p: p.kind if p.kind not in _POSITIONAL else _POSITIONAL[0])


def _unwrap(method: Any) -> tuple[Any, int]:
    """Return the function or object of a bound method or partial, and how many arguments are bound."""
    bound = 0
    while True:
        if isinstance(method, MethodType):
            if getattr(method.__func__, "__name__", None) == "__call__":
                return method.__self__, bound
            method, bound = method.__func__, bound + 1
        elif isinstance(method, functools.partial):
            method, bound = method.func, bound + len(method.args)
        else:
            return method, bound


def _find_wrapped(method: Any, name: str) -> tuple[Any, int]:
    """Return what a wrapper calls (None: unknown), and how many arguments are bound to the wrapper."""
    function, bound = _unwrap(method)
    if hasattr(function, "__wrapped__"):
        return function.__wrapped__, bound
    parent = _find_parent(method, function, name)
    if parent is not None:
        return parent, bound
    candidates = list(_callables_in(function))
    named = [candidate for candidate in candidates if _leads_to(candidate, name, set())]
    if not named and len(candidates) == 1 and getattr(function, "__name__", None) != name:
        named = candidates
    return (named[0] if named else None), bound


def _find_parent(method: Any, function: Any, name: str) -> Any:
    """Return the same method of the base class, where the method calls ``super()``."""
    code = getattr(function, "__code__", None)
    if code is None or not isinstance(method, MethodType) or not {"super", name} <= set(code.co_names):
        return None
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    return (
        getattr(super(cells["__class__"].cell_contents, method.__self__), name, None) if "__class__" in cells else None
    )


def _callables_in(function: Any) -> Iterator[Any]:
    """Return the callables in a function's closure or an object's attributes."""
    if isinstance(function, FunctionType):
        held = [_contents(cell) for cell in function.__closure__ or ()]
    else:
        held = list(getattr(function, "__dict__", {}).values())
    return (value for value in held if callable(value) and not isinstance(value, type))


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


def _leads_to(method: Any, name: str, seen: set[int]) -> bool:
    """Return whether a callable is the function of this name, or wraps it."""
    function, _ = _unwrap(method)
    if getattr(function, "__name__", None) == name:
        return True
    if id(function) in seen:
        return False
    seen.add(id(function))
    return any(_leads_to(candidate, name, seen) for candidate in _callables_in(function))


def _only_forwards(user: object, method: Any, name: str, extra: str) -> bool:
    """Return whether the innermost function only forwards its ``**kwargs``, and no known target accepts ``extra``."""
    wrapped, _ = _find_wrapped(method, name)
    if wrapped is not None:
        return _only_forwards(user, wrapped, name, extra)
    function, _ = _unwrap(method)
    if not isinstance(function, FunctionType):
        function = inspect.getattr_static(type(function), "__call__", None)
    code = getattr(function, "__code__", None)
    if code is None:  # not written in Python
        return True
    if not code.co_flags & inspect.CO_VARKEYWORDS:
        return False
    keywords = code.co_varnames[code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)]
    steps = list(dis.get_instructions(code))
    uses = {after.opname for step, after in pairwise(steps) if _loads(step, keywords)}
    found = [inspect.getattr_static(user, called, function.__globals__.get(called)) for called in code.co_names]
    return uses == {"DICT_MERGE"} and not any(_has_parameter(target, extra) for target in found)


def _loads(step: dis.Instruction, name: str) -> bool:
    loaded = step.argval if isinstance(step.argval, tuple) else (step.argval,)  # some load two at once
    return step.opname.startswith("LOAD") and name in loaded


def _has_parameter(target: object, name: str) -> bool:
    return isinstance(target, (FunctionType, MethodType)) and name in inspect.signature(target).parameters


def call_with(
    binding: Binding, call: Callable[..., Any], read: Callable[[Any, str], Any] = getattr
) -> Callable[[Any], Any]:
    """Return a function of a message that calls ``call`` with the values that ``read`` gets from it."""
    positional, keywords = binding
    if binding == _X_AND_NAMES:  # these two are nearly all hooks, and run for each request
        return lambda message: call(message.payload, message.names)
    if binding == _X_NAMES_AND_META:
        return lambda message: call(message.payload, message.names, message.meta)
    return lambda message: call(
        *[read(message, value) for value in positional],
        **{parameter: read(message, value) for parameter, value in keywords},
    )
