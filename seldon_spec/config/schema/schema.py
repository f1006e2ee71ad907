"""What the JSON Schema says of a value, told in a user's words.

jsonschema judges; this module turns each of its findings into a diagnostic at the key's or value's own place. It also
answers what the schema knows of one field, so that a variable's text is read by the same rules as a line of the file.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seldon_spec.config.schema.fast_check import accepts
from seldon_spec.config.secret_names import HIDDEN, is_secret_name, names_secret
from seldon_spec.errors import Diagnostic, FieldPath, Origin, is_index

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

Schema = Mapping[str, Any]

_NAMES = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "a mapping",
    "array": "a list",
}


def schema_text() -> str:
    """The JSON Schema of seldon.yaml, as it ships."""
    return (Path(__file__).parents[2] / "schemas" / "seldon.schema.json").read_text("utf-8")


@cache
def load_schema() -> Schema:
    """The JSON Schema of seldon.yaml; read once."""
    schema: Schema = json.loads(schema_text())
    return schema


def resolve(schema: Schema) -> Schema:
    """A subschema with its ``$ref`` laid under its own keywords."""
    if "$ref" not in schema:
        return schema
    target = load_schema()["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return {**target, **schema}


def field_schema(path: FieldPath) -> Schema | None:
    """The subschema of the field at ``path``; None where the schema has no such field."""
    schema = load_schema()
    for step in path:
        child = _child(resolve(schema), step)
        if child is None:
            return None
        schema = child
    return resolve(schema)


def _child(schema: Schema, step: str) -> Schema | None:
    properties = schema.get("properties", {})
    if step in properties:
        return properties[step]  # type: ignore[no-any-return]
    if is_index(step) and "items" in schema:
        return schema["items"]  # type: ignore[no-any-return]
    rest = schema.get("additionalProperties", False)
    if rest is True:
        return {}
    return rest or None


def types_of(schema: Schema) -> tuple[str, ...]:
    """The JSON types that a field may have; empty: any. Numbers that are read as text are none."""
    types = schema.get("type", ())
    if "x-as-text" in schema:
        return tuple(kind for kind in types if kind not in ("number", "boolean"))
    return (types,) if isinstance(types, str) else tuple(types)


def fields(schema: Schema | None = None, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Schema]]:
    """Every field that a key of the file can set, sections left out, in the schema's order."""
    for key, child in (load_schema() if schema is None else schema).get("properties", {}).items():
        if is_section(child):
            yield from fields(child, (*path, key))
        else:
            yield (*path, key), resolve(child)


def is_section(schema: Schema) -> bool:
    """Whether a field only groups others; it may be null instead."""
    return set(types_of(schema)) - {"null"} == {"object"} and "properties" in schema


def takes_any_key(schema: Schema) -> bool:
    """Whether the keys of a mapping are the user's own names."""
    return schema.get("additionalProperties") not in (None, False)


def groups_keys(path: FieldPath) -> bool:
    """Whether what stands at ``path`` are values of their own, each with an origin: of a section, or of names."""
    schema = field_schema(path)
    return schema is not None and (is_section(schema) or takes_any_key(schema))


def optional_sections(schema: Schema | None = None, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Schema]]:
    """Every section that may be null, with its schema."""
    for key, child in (load_schema() if schema is None else schema).get("properties", {}).items():
        if is_section(child):
            if "null" in types_of(child):
                yield (*path, key), child
            yield from optional_sections(child, (*path, key))


def is_required(path: FieldPath) -> bool:
    """Whether the object at ``path[:-1]`` needs the field, once it is there itself."""
    parent = field_schema(path[:-1])
    return parent is not None and path[-1] in parent.get("required", ())


def join(path: FieldPath) -> str:
    """A path as people write it: ``server.workers``, ``parameters[0].value``."""
    return "".join(f"[{step}]" if is_index(step) else f".{step}" for step in path).removeprefix(".")


def describe(schema: Schema) -> str:
    """What a field allows, in words."""
    types = types_of(schema)
    null = " or null" if "null" in types else ""
    if "enum" in schema:
        values = [str(value) for value in schema["enum"] if value is not None]
        return f"one of {', '.join(values)}{null}"
    if "x-allowed" in schema and not {"string", "array"}.isdisjoint(types):
        return f"{schema['x-allowed']}{null}"
    kinds = [_NAMES[kind] for kind in types if kind != "null"]
    if "from_env" in schema.get("properties", {}):
        kinds[kinds.index("a mapping")] = "a reference {from_env: NAME} or {from_file: PATH}"
    elif kinds == ["a mapping"] and schema.get("examples"):
        return f"a mapping{null}, e.g. {show_flow(schema['examples'][0])}"
    return f"{' or '.join(kinds) or 'any value'}{_range(schema)}{null}"


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        bound = f", more than {schema['exclusiveMinimum']}"
        return bound if high is None else f"{bound}, at most {high}"
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {low} or more"
    return "" if high is None else f", at most {high}"


def normalise(value: Any, path: FieldPath, written: Callable[[FieldPath], str | None] = lambda _: None) -> Any:
    """A JSON value with what may be spelt in several ways in its one form.

    A section that is null is left out, a number or a boolean where text is meant becomes the text that is written, and
    a choice is found whatever its case.

    Args:
        value: for the field at ``path``; ``()`` is the whole file.
        written: the text of a scalar as the file has it.
    """
    schema = field_schema(path) or {}
    if isinstance(value, Mapping) and path[:1] != ("parameters",) and groups_keys(path):
        return {
            key: normalise(item, (*path, key), written)
            for key, item in value.items()
            if item is not None or not groups_keys((*path, key)) or "null" in types_of(field_schema((*path, key)) or {})
        }
    if isinstance(value, (bool, int, float)) and "x-as-text" in schema:
        return written(path) or json.dumps(value)
    return _any_case(value, schema)


def _any_case(value: Any, schema: Schema) -> Any:
    """A choice whose case does not matter, as the schema spells it."""
    if isinstance(value, str) and "x-any-case" in schema:
        return next((choice for choice in schema["enum"] if choice.lower() == value.strip().lower()), value)
    return value


def show_flow(value: object) -> str:
    """A value as YAML writes it on one line: ``{max_rows: 64}``."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {show_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(show_flow(item) for item in value)}]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_/][^\s#:,{}\[\]]*", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def name_odd_character(text: str) -> str | None:
    """The first character of a text that looks like one of ASCII and is none, named; None: there is no such one."""
    for character in text:
        plain = _plain_character(character)
        if plain is not None:
            name = unicodedata.name(character, "a control character").lower()
            instead = {"": "delete it", " ": "write a plain space"}.get(plain, f"write {plain}")
            return f"U+{ord(character):04X} ({name}) looks like a plain character and is none: {instead}"
    return None


def _plain_character(character: str) -> str | None:
    """What a character was most likely meant to be; empty: nothing at all."""
    if character.isascii():
        return None
    category = unicodedata.category(character)
    if category == "Pd":
        return "-"
    if category in ("Pi", "Pf") or character in "\u201a\u201e":
        return "'" if character in "\u2018\u2019\u201a\u201b\u2039\u203a" else '"'
    if category in ("Zs", "Zl", "Zp"):
        return " "
    if category == "Cf":
        return ""
    folded = unicodedata.normalize("NFKC", character)
    return folded if folded.isascii() and len(folded) == 1 and not folded.isalnum() else None


def show_value(value: object) -> str:
    """A value as a diagnostic names it, with its type where that is the point."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return f"{str(value).lower()} (boolean)"
    if isinstance(value, (int, float)):
        return f"{_clip(repr(value))} (number)"
    if isinstance(value, str):
        return f"{_clip(json.dumps(value, ensure_ascii=False))} (text)"
    return "a list" if isinstance(value, (list, tuple)) else "a mapping"


def _clip(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def guess(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known word that was most likely meant; ``likeness`` is the share of letters that two words have in common."""
    import difflib

    by_folded = {name.lower().replace("-", "_"): name for name in known}
    folded = word.lower().replace("-", "_")
    matches = difflib.get_close_matches(folded, by_folded, n=1, cutoff=likeness)
    matches = matches or [name for name in by_folded if len(folded) > 2 and folded in name.split("_")]
    return by_folded[matches[0]] if matches else None


class SourceLocations:
    """Where findings are told: the two answers a check needs of what it checks."""

    def __init__(
        self,
        key: Callable[[FieldPath], Origin],
        value: Callable[[FieldPath], Origin],
        written: Callable[[FieldPath], str | None] = lambda _: None,
    ) -> None:
        self.key, self.value, self.written = key, value, written


def check(value: object, path: FieldPath, places: SourceLocations) -> list[Diagnostic]:
    """Hold a value against the schema of the field at ``path``; ``()`` is the whole file.

    Presence of keys is left out but for entries of a list: it is judged on the merged whole, where a variable can
    supply a key.

    Returns:
        One diagnostic at most for each value and each key, in no particular order.
    """
    schema = field_schema(path)
    assert schema is not None
    found: dict[tuple[FieldPath, str], Diagnostic] = {}
    definitions = load_schema()["$defs"]
    if not accepts(value, schema, definitions):
        for error in _judge(value, {**schema, "$defs": definitions}):
            at = (*path, *(str(step) for step in error.absolute_path))
            for where, diagnostic in _translate(error, at, places):
                found.setdefault(where, diagnostic)
        _join_missing(found)
    for at, number in _not_finite(value, path):
        found.setdefault((at, ""), _wrong("range", at, number, field_schema(at) or {}, places))
    return list(found.values())


def _join_missing(found: dict[tuple[FieldPath, str], Diagnostic]) -> None:
    """Tell what one object lacks as one finding, within that of a key it has in excess where there is one."""
    by_object: dict[FieldPath, list[tuple[FieldPath, str]]] = {}
    for where, diagnostic in found.items():
        if diagnostic.code == "missing-key":
            by_object.setdefault(where[0], []).append(where)
    for at, missing in by_object.items():
        *most, last = (f'"{key}"' for _, key in missing)
        names = f"{', '.join(most)} or {last}" if most else last
        unknown = next((w for w, d in found.items() if w[0] == at and d.code == "unknown-key"), None)
        if unknown is not None:
            found[unknown] = replace(found[unknown], notes=(f"{join(at)} has no {names}",))
        elif len(missing) > 1:
            found[missing[0]] = replace(
                found[missing[0]], message=f"{join(at)} has no {names}", allowed=None, help=None
            )
        for where in missing if unknown is not None else missing[1:]:
            del found[where]


def _judge(value: object, schema: Schema) -> list[ValidationError]:
    """Why the schema refuses a value; imported here, since a right spec needs no reasons."""
    from jsonschema import Draft202012Validator

    return sorted(Draft202012Validator(schema).iter_errors(value), key=lambda e: _WEIGHT.get(str(e.validator), 1))


# Of several findings in one value the one that explains the others is told: its type before its range or form.
_WEIGHT = {"type": 0}


def _translate(
    error: ValidationError, at: FieldPath, places: SourceLocations
) -> Iterator[tuple[tuple[FieldPath, str], Diagnostic]]:
    schema = field_schema(at) or {}
    rule = str(error.validator)
    if "propertyNames" in error.absolute_schema_path:
        key = str(error.instance)
        yield (at, key), _bad_name((*at, key), schema["propertyNames"], places)
    elif rule == "additionalProperties":
        instance: Any = error.instance
        for key in sorted(set(instance) - set(schema.get("properties", {}))):
            yield (at, key), _unknown_key((*at, key), schema, places)
    elif rule == "required":
        if at[-1:] and is_index(at[-1]):
            missing = str(error.message).split("'")[1]
            yield (at, missing), missing_key(at, missing, places.key(at))
    else:
        yield (at, ""), _wrong(_CODES.get(rule, "reference"), at, error.instance, schema, places)


_CODES = {
    "type": "type",
    "enum": "enum",
    "pattern": "form",
    "minimum": "range",
    "maximum": "range",
    "exclusiveMinimum": "range",
    "minLength": "form",
    "maxLength": "form",
    "minItems": "form",
}


def _wrong(code: str, at: FieldPath, value: object, schema: Schema, places: SourceLocations) -> Diagnostic:
    written = places.written(at)
    return Diagnostic(
        code,
        _complain(code, at, value, schema),
        places.value(at),
        path=at,
        found=_found(at, value, written),
        allowed=describe(schema),
        help=remedy_of_secret(code, schema) if is_sensitive(at) else _remedy(code, at, value, written, schema),
    )


def _complain(code: str, at: FieldPath, value: object, schema: Schema) -> str:
    if code == "enum":
        shown = json.dumps(value, ensure_ascii=False)
        return f"{HIDDEN if names_secret(shown) else _clip(shown)} is not a valid {join(at)}"
    if code == "form":
        return f"invalid {join(at)}"
    return f"{join(at)} {_complaint(code, types_of(schema), schema)}"


def _complaint(code: str, types: tuple[str, ...], schema: Schema) -> str:
    is_reference = "from_env" in schema.get("properties", {})
    if code == "type" and is_reference:
        return "is neither text nor a reference" if "string" in types else "is not a reference to a secret"
    if code == "type":
        kinds = [{"object": "mapping", "array": "list", "boolean": "boolean"}.get(t, _NAMES[t]) for t in types]
        article = {"integer": "an integer", "text": "text", "null": "null"}
        return "is not " + " or ".join(article.get(k, f"a {k}") for k in kinds if k != "null")
    if code == "range":
        return "is out of range"
    if is_reference:
        return "names both from_env and from_file, or neither: a reference has exactly one"
    return "is not allowed"


def is_sensitive(path: FieldPath) -> bool:
    """Whether a value may be a secret: the schema says so of its own keys, and the name of any other key."""
    schema = load_schema()
    for index, step in enumerate(path):
        if step not in schema.get("properties", {}):
            return any(is_secret_name(name) for name in path[index:])
        schema = resolve(schema["properties"][step])
        if schema.get("x-secret"):
            return True
    return False


def _found(at: FieldPath, value: object, written: str | None) -> str:
    if is_sensitive(at) and isinstance(value, (str, int, float)):
        return HIDDEN
    shown = show_value(value)
    if written is not None and isinstance(value, (bool, int, float)) and written not in shown:
        return f"{_clip(written)}, which YAML reads as {shown}"
    return shown


def remedy_of_secret(code: str, schema: Schema) -> str | None:
    """What to do with a secret that is written out where only a reference may stand."""
    if code != "type" or "string" in types_of(schema) or "from_env" not in schema.get("properties", {}):
        return None
    return "keep the secret in a variable or a file, and name that here"


def _remedy(code: str, at: FieldPath, value: object, written: str | None, schema: Schema) -> str | None:
    """What to write instead of a value that is refused; at least an example, where the schema has one."""
    types, definitions = types_of(schema), load_schema()["$defs"]
    if isinstance(value, (bool, int, float)) and written and accepts(written, schema, definitions):
        return f'write it in quotes: "{written}"'
    if value is None and "object" in types:
        return "write its keys below it, or delete the line"
    is_reference = isinstance(value, Mapping) and value and set(value) <= {"from_env", "from_file"}
    if is_reference and "object" not in types:
        return "a reference can stand in environment, in parameters and in flask.SECRET_KEY"
    if isinstance(value, str):
        candidate = name_odd_character(value) or _nearly(at, value, written, schema)
        if candidate:
            return candidate
    if "object" in types and value is not None:
        return _as_mapping(value, schema)
    if "enum" in schema:
        return None if isinstance(value, str) else "write one of them, as text"
    is_refused = code in ("type", "form") and written is not None and schema.get("examples")
    return f"write e.g. {at[-1]}: {show_flow(schema['examples'][0])}" if is_refused else None


def _as_mapping(value: object, schema: Schema) -> str | None:
    """A scalar, or a list of ``KEY=VALUE``, as the mapping that it stands for."""
    definitions = load_schema()["$defs"]
    items = [str(item) for item in (value if isinstance(value, list) else [value])]
    pairs = [pair for item in items if (pair := re.fullmatch(r"([A-Za-z_][\w.-]*)\s*[=:]\s*(.*)", item))]
    if len(pairs) == len(items) > 0 and (takes_any_key(schema) or "value" in schema["properties"]):
        names = {pair[1]: pair[2] for pair in pairs}
        is_secret = any(is_secret_name(name) for name in names)
        shown = "NAME: value" if is_secret else ", ".join(f"{name}: {text}" for name, text in names.items())
        return _clip(f"write a mapping: {{{shown}}}")
    for key, child in schema.get("properties", {}).items():
        is_whole = set(schema.get("required", ())) <= {key}
        is_meant = not isinstance(value, (list, Mapping)) and (not isinstance(value, str) or "enum" in child)
        if is_whole and is_meant and accepts(_any_case(value, child), child, definitions):
            return f"write {show_flow({key: value})}"
    return None


def _nearly(at: FieldPath, text: str, written: str | None, schema: Schema) -> str | None:
    """A text of nearly the right form, made right."""
    types, definitions = types_of(schema), load_schema()["$defs"]
    if "enum" in schema:
        match = guess(text, [str(choice) for choice in schema["enum"] if choice is not None])
        return f'did you mean "{match}"?' if match else None
    if "string" not in types:
        return _without_quotes(at, text, types) if written is not None else None
    candidates = [text.strip()]
    if "x-default" in schema or at[-1] == "tag":
        candidates.append(re.sub(r"[\s_]+", "-", text.strip().lower()))
    if str(schema.get("examples", [""])[0]).startswith("/"):
        candidates.append(f"/{text.strip()}")
    if at == ("class_name",):
        module = re.sub(r"\.py(?=[:/]|$)", "", text.strip().removeprefix("./"))
        candidates.append(re.sub("[/:]", ".", module))
    for candidate in candidates:
        if candidate != text and accepts(candidate, schema, definitions):
            return f'did you mean "{candidate}"?'
    return None


_UNITS: Mapping[str, Mapping[str, float]] = {
    "_bytes": {"": 1, "b": 1, "k": 1000, "kb": 1000, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9}
    | {"ki": 2**10, "kib": 2**10, "mi": 2**20, "mib": 2**20, "gi": 2**30, "gib": 2**30},
    "_seconds": {"": 1, "s": 1, "sec": 1, "ms": 0.001, "m": 60, "min": 60, "h": 3600},
    "_ms": {"": 1, "ms": 1, "s": 1000},
}
"""What a suffix of a number is worth in the unit that the end of a key's name says."""


def _without_quotes(at: FieldPath, text: str, types: tuple[str, ...]) -> str | None:
    if _reads_as(text, types):
        return f"write it without quotes: {text}"
    if re.fullmatch(r"[-+]?[0-9]+e[0-9]{1,2}", text, re.IGNORECASE) and {"integer", "number"} & set(types):
        return f"YAML reads {text} as text; write {int(float(text))}"
    units = next((units for end, units in _UNITS.items() if at[-1].endswith(end)), {})
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)", text.strip())
    if match and match[2].lower() in units:
        number = float(match[1]) * units[match[2].lower()]
        return f"write the number alone: {int(number) if number.is_integer() else number}"
    return None


def _reads_as(text: str, types: tuple[str, ...]) -> bool:
    if "boolean" in types:
        return text.lower() in ("true", "false")
    return bool(re.fullmatch(r"[-+]?[0-9]+" if "number" not in types else r"[-+]?[0-9]+(\.[0-9]+)?", text))


def _unknown_key(at: FieldPath, schema: Schema, places: SourceLocations) -> Diagnostic:
    known = list(schema.get("properties", {}))
    return Diagnostic(
        "unknown-key",
        f'there is no key "{_clip(join(at))}"',
        places.key(at),
        path=at,
        allowed=", ".join(known) if 0 < len(known) <= 8 else None,
        help=suggest_key(at, known),
    )


def suggest_key(at: FieldPath, known: Iterable[str]) -> str | None:
    """What an unknown key stands for: a neighbour, or a key of another section, by its name, an alias or likeness."""
    odd = name_odd_character(at[-1])
    if odd:
        return odd
    nested = (*at[:-1], *at[-1].split("."))
    if len(nested) > len(at) and field_schema(nested) is not None:
        return f"write the sections as mappings: {': {'.join(at[-1].split('.'))}: …{'}' * at[-1].count('.')}"
    siblings = {key: field_schema((*at[:-1], key)) or {} for key in known}
    folded = _fold_key(at[-1])
    same = next((key for key in siblings if _fold_key(key) == folded), None)
    near = same or next((key for key, schema in siblings.items() if folded in schema.get("x-aliases", ())), None)
    if near:
        return f'did you mean "{near}"?'
    places = [(path, schema) for path, schema in _all_keys() if path[:-1] != at[:-1] and path != at[:-1]]
    named = [path for path, _ in places if _fold_key(path[-1]) == folded]
    aliased = [path for path, schema in places if folded in schema.get("x-aliases", ())]
    if named and len(named[0]) == 1:
        return f'"{named[0][0]}" is a key of the whole file: write it at the left margin'
    elsewhere = next((path for path in (*named, *aliased) if path[:1] != ("flask",) or path in named), None)
    if elsewhere:
        return f'did you mean "{join(elsewhere)}"?'
    names = {alias: key for key, schema in siblings.items() for alias in (*schema.get("x-aliases", ()), key)}
    match = guess(at[-1], names)
    return f'did you mean "{names[match]}"?' if match else None


def _fold_key(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower().replace("-", "_").strip()


def _all_keys(schema: Schema | None = None, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Schema]]:
    """Every key of the file, sections too, those of the outermost level first."""
    children = (load_schema() if schema is None else schema).get("properties", {})
    yield from (((*path, key), resolve(child)) for key, child in children.items())
    for key, child in children.items():
        if is_section(child):
            yield from _all_keys(child, (*path, key))


def missing_key(at: FieldPath, key: str, origin: Origin) -> Diagnostic:
    """The finding that the object at ``at`` has no ``key``, which it needs."""
    child = field_schema((*at, key))
    assert child is not None
    return Diagnostic(
        "missing-key",
        f'{join(at)} has no "{key}"',
        origin,
        path=(*at, key),
        allowed=describe(child),
        help=f"add {key}: …",
    )


def _bad_name(at: FieldPath, schema: Schema, places: SourceLocations) -> Diagnostic:
    return Diagnostic(
        "key-form",
        f'"{_clip(at[-1])}" cannot be a key of {join(at[:-1])}',
        places.key(at),
        path=at,
        allowed=schema.get("x-allowed"),
    )


def _not_finite(value: object, path: FieldPath) -> Iterator[tuple[FieldPath, float]]:
    """NaN and infinities where a key bounds a number, which JSON Schema's comparisons let pass."""
    if path[:1] == ("parameters",):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, (*path, key))
    elif isinstance(value, float) and not math.isfinite(value):
        schema = field_schema(path)
        if schema and "number" in types_of(schema):
            yield path, value


def split_path(text: str) -> FieldPath:
    """``server.log.level`` as a path; what follows a free mapping's name is one key, dots and all."""
    steps = text.split(".")
    for index in range(1, len(steps)):
        schema = field_schema(tuple(steps[:index]))
        if schema is not None and schema.get("additionalProperties") not in (None, False):
            return (*steps[:index], ".".join(steps[index:]))
    return tuple(steps)
