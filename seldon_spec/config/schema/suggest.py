"""Suggest what to write instead of a wrong key or value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from seldon_spec.config.model import REFERENCE_KEYS
from seldon_spec.config.schema.describe import clip, show_flow
from seldon_spec.config.schema.fast_check import accepts
from seldon_spec.config.schema.lookup import (
    Schema,
    field_schema,
    is_reference,
    is_section,
    join,
    load_schema,
    resolve,
    takes_any_key,
    types_of,
)
from seldon_spec.config.schema.normalise import match_case
from seldon_spec.config.secret_names import is_secret_name
from seldon_spec.errors import FieldPath


def name_odd_character(text: str) -> str | None:
    """Return the help for the first character that only looks like an ASCII character; None if there is none."""
    for character in text:
        plain = _plain_character(character)
        if plain is not None:
            name = unicodedata.name(character, "a control character").lower()
            instead = {"": "delete it", " ": "write a space"}.get(plain, f"write {plain}")
            return f"U+{ord(character):04X} ({name}) looks like an ASCII character but is not: {instead}"
    return None


def _plain_character(character: str) -> str | None:
    """Return the ASCII character that was most likely meant; empty for an invisible character."""
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


def guess(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known word that is most similar to ``word``, with at least ``likeness`` as the ratio of difflib."""
    import difflib

    by_folded = {name.lower().replace("-", "_"): name for name in known}
    folded = word.lower().replace("-", "_")
    matches = difflib.get_close_matches(folded, by_folded, n=1, cutoff=likeness)
    matches = matches or [name for name in by_folded if len(folded) > 2 and folded in name.split("_")]
    return by_folded[matches[0]] if matches else None


def suggest_reference(code: str, schema: Schema) -> str | None:
    """Return the help for a literal secret in a field that takes only references."""
    if code != "type" or "string" in types_of(schema) or not is_reference(schema):
        return None
    return "keep the secret in a variable or a file, and refer to it here"


def suggest_value(code: str, at: FieldPath, value: object, written: str | None, schema: Schema) -> str | None:
    """Return a correction of a rejected value, or an example from the schema."""
    types, root = types_of(schema), load_schema()
    if isinstance(value, (bool, int, float)) and written and accepts(written, schema, root):
        return f'write it in quotes: "{written}"'
    if value is None and "object" in types:
        return "write its keys below it, or delete the line"
    if isinstance(value, Mapping) and value and REFERENCE_KEYS.issuperset(value) and "object" not in types:
        return "references are allowed in environment, in parameters and in flask.SECRET_KEY"
    if isinstance(value, str):
        candidate = name_odd_character(value) or _suggest_text(at, value, written, schema)
        if candidate:
            return candidate
    if "object" in types and value is not None:
        return _suggest_mapping(value, schema)
    if "enum" in schema:
        return None if isinstance(value, str) else "write one of them as text"
    has_example = code in ("type", "form") and written is not None and schema.get("examples")
    return f"write e.g. {at[-1]}: {show_flow(schema['examples'][0])}" if has_example else None


def _suggest_mapping(value: object, schema: Schema) -> str | None:
    """Suggest a mapping for a scalar or a list of ``KEY=VALUE``."""
    items = [str(item) for item in (value if isinstance(value, list) else [value])]
    pairs = [pair for item in items if (pair := re.fullmatch(r"([A-Za-z_][\w.-]*)\s*[=:](?!//)\s*(.*)", item))]
    if len(pairs) == len(items) > 0 and (takes_any_key(schema) or "value" in schema["properties"]):
        names = {pair[1]: pair[2] for pair in pairs}
        is_secret = any(is_secret_name(name) for name in names)
        shown = "NAME: value" if is_secret else ", ".join(f"{name}: {text}" for name, text in names.items())
        return clip(f"write a mapping: {{{shown}}}")
    for key, child in schema.get("properties", {}).items():
        required = set(schema.get("required", ()))
        is_whole = required <= {key}
        is_text = isinstance(value, str) and "enum" not in child and not required
        is_meant = not isinstance(value, (list, Mapping)) and not is_text
        if is_whole and is_meant and accepts(match_case(value, child), child, load_schema()):
            return f"write {show_flow({key: value})}"
    return None


def _suggest_text(at: FieldPath, text: str, written: str | None, schema: Schema) -> str | None:
    """Suggest a correction of a text that almost has the required form."""
    types, root = types_of(schema), load_schema()
    if "enum" in schema:
        synonym = schema.get("x-synonyms", {}).get(text.strip().lower())
        match = synonym or guess(text, [str(choice) for choice in schema["enum"] if choice is not None])
        return f'did you mean "{match}"?' if match else None
    if "string" not in types:
        return _suggest_number(at, text, types) if written is not None else None
    candidates = [text.strip()]
    if at[-1] == "memory":
        candidates.append(re.sub(r"\s+|[Bb]$", "", text))
    if "x-default" in schema or at[-1] == "tag":
        candidates.append(re.sub(r"[\s_]+", "-", text.strip().lower()))
    if str(schema.get("examples", [""])[0]).startswith("/"):
        candidates.append(f"/{text.strip()}")
    if at[-1] == "class_name":
        module = re.sub(r"\.py(?=[:/]|$)", "", text.strip().removeprefix("./"))
        candidates.append(re.sub("[/:]", ".", module))
    if at[-1] == "url":
        scheme = re.match(r"(https?|grpcs?)[:/]/*", text.strip())
        candidates.append(f"{scheme[1]}://{text.strip()[scheme.end() :]}" if scheme else f"http://{text.strip()}")
    for candidate in candidates:
        if candidate != text and accepts(candidate, schema, root):
            return f'did you mean "{candidate}"?'
    return None


_UNITS: Mapping[str, Mapping[str, float]] = {
    "_bytes": {"": 1, "b": 1, "k": 1000, "kb": 1000, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9}
    | {"ki": 2**10, "kib": 2**10, "mi": 2**20, "mib": 2**20, "gi": 2**30, "gib": 2**30},
    "_seconds": {"": 1, "s": 1, "sec": 1, "ms": 0.001, "m": 60, "min": 60, "h": 3600},
    "_ms": {"": 1, "ms": 1, "s": 1000},
}
"""The factor of a number's suffix, by the unit at the end of the key's name."""


def _suggest_number(at: FieldPath, text: str, types: tuple[str, ...]) -> str | None:
    if _reads_as(text, types):
        return f"write it without quotes: {text}"
    if re.fullmatch(r"[-+]?[0-9]+e[0-9]{1,2}", text, re.IGNORECASE) and {"integer", "number"} & set(types):
        return f"YAML reads {text} as text; write {int(float(text))}"
    units = next((units for end, units in _UNITS.items() if at[-1].endswith(end)), {"%": 1})
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*|%)", text.strip())
    if match and match[2].lower() in units:
        number = float(match[1]) * units[match[2].lower()]
        return f"write the number alone: {int(number) if number.is_integer() else number}"
    return None


def _reads_as(text: str, types: tuple[str, ...]) -> bool:
    if "boolean" in types:
        return text.lower() in ("true", "false")
    return bool(re.fullmatch(r"[-+]?[0-9]+" if "number" not in types else r"[-+]?[0-9]+(\.[0-9]+)?", text))


def suggest_key(at: FieldPath, known: Iterable[str]) -> str | None:
    """Suggest a known key: of the same section or of another one, by name, alias or similarity.

    Args:
        at: the path of the unknown key.
        known: the keys of its section.
    """
    odd = name_odd_character(at[-1])
    if odd:
        return odd
    nested = (*at[:-1], *at[-1].split("."))
    if len(nested) > len(at) and field_schema(nested) is not None:
        return f"write the sections as mappings: {': {'.join(at[-1].split('.'))}: …{'}' * at[-1].count('.')}"
    siblings = {key: field_schema((*at[:-1], key)) or {} for key in known}
    folded = _fold_key(at[-1])
    same_name = next((key for key in siblings if _fold_key(key) == folded), None)
    near = same_name or next((key for key, schema in siblings.items() if folded in schema.get("x-aliases", ())), None)
    if near:
        return f'did you mean "{near}"?'
    for key, schema in siblings.items():
        inner = next((each for each in schema.get("x-keys", ()) if _fold_key(each) == folded), None)
        if inner:
            return f"write it below {key}: {key}: {{{inner}: …}}"
    elsewhere = find_key(at[-1], (each for each in _all_keys() if each[0][:-1] != at[:-1] and each[0] != at[:-1]))
    if elsewhere and len(elsewhere) == 1 and _fold_key(elsewhere[0]) == folded:
        return f'"{elsewhere[0]}" is a top-level key: write it without indentation'
    if elsewhere:
        return f'did you mean "{join(elsewhere)}"?'
    names = {alias: key for key, schema in siblings.items() for alias in (*schema.get("x-aliases", ()), key)}
    match = guess(at[-1], names)
    return f'did you mean "{names[match]}"?' if match else None


def find_key(word: str, keys: Iterable[tuple[FieldPath, Schema]] | None = None) -> FieldPath | None:
    """Return the key that a word names, exactly or by an alias; None if there is none.

    Args:
        word: the name of a key or of an option.
        keys: the keys to choose from, with their schemas; None: all.
    """
    folded = _fold_key(word)
    known = sorted(_all_keys() if keys is None else keys, key=lambda each: each[0][:2] == ("model", "options"))
    named = [path for path, _ in known if _fold_key(path[-1]) == folded]
    aliased = [path for path, each in known if folded in each.get("x-aliases", ()) or word in each.get("x-keys", ())]
    return next((path for path in (*named, *aliased) if path[:1] != ("flask",) or path in named), None)


def _fold_key(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower().replace("-", "_").strip()


def _all_keys(schema: Schema | None = None, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Schema]]:
    """Yield every key of the schema including sections, outer levels first."""
    children = (load_schema() if schema is None else schema).get("properties", {})
    yield from (((*path, key), resolve(child)) for key, child in children.items())
    for key, child in children.items():
        if is_section(child):
            yield from _all_keys(child, (*path, key))
