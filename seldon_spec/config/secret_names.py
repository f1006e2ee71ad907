"""Names and texts that identify secrets, for warnings and masking. Independent of the schema."""

from __future__ import annotations

import re

HIDDEN = "(not shown)"
"""The replacement of a secret in output."""

_ANYWHERE = re.compile("password(?!less)|passwd|passphrase|secret(?!ar)|credential")
"""Parts that identify a secret anywhere in a name, e.g. ``dbpassword``."""

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_LAST_PART = re.compile(r"(.+?)((?:key|token|dsn)s?)")
_NO_KEYS = frozenset({"monkey", "donkey", "turkey", "hockey", "jockey", "whiskey", "turnkey", "hotkey"})

_COUNTS = frozenset({"max", "min", "num", "n", "number", "total", "new"})
_BEFORE = {
    "key": _COUNTS
    | {"sort", "primary", "foreign", "partition", "shard", "routing", "public", "join", "group", "index", "row"}
    | {"column", "feature", "label", "target", "lookup", "cache", "unique", "object", "metric", "dict"},
    "token": _COUNTS | {"stop", "pad", "eos", "bos", "unk", "mask", "cls", "sep", "special", "start", "end"},
    "dsn": frozenset[str](),
}
"""Words after which the next one is not a secret: ``sort_keys``, ``max_tokens``, ``pad_token``."""

_LAST = frozenset(
    {"file", "files", "path", "paths", "dir", "directory", "name", "names", "type", "types"}
    | {"length", "size", "count", "limit", "column", "columns", "field", "fields", "error", "errors"}
)
"""Last words of names that describe or locate a secret: ``password_file``, ``token_type``, ``key_column``."""

_PASSWORD_IN_URL = re.compile(r"(://[^/\s:@\"']{0,256}:)(?![0-9]+(?:[/?#\"'\s]|$)|\$)([^\s\"'`]{1,1024})@")
_TOKEN_IN_URL = re.compile(r"(https?://)([^/\s:@$\"'`?#]{12,1024})@")
"""A long user name without a password is most likely a token."""

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(\\n|\s)*[A-Za-z0-9]")
_ASSIGNED = re.compile(r"(?<![A-Za-z0-9_.\-])([A-Za-z0-9_.\-]+)[\"']?\s*[:=]\s*")
_GIVEN = re.compile(r"(?<![\w.\-])([\w.\-]+)(?:=(?![=$\s])|[\"']\s*:\s*[\"']?(?![$\s]))")
"""A name with its value in a text: ``PASSWORD=x``, ``?token=x``, or JSON."""
_ASSIGNED_TEXT = re.compile(_ASSIGNED.pattern + r"[A-Za-z]{0,2}(\"[^\"]*\"?|'[^']*'?)")


def is_secret_name(name: str) -> bool:
    """Return whether a name identifies a secret, in any case and with any separator.

    The parts are PASSWORD, PASSWD, PASSPHRASE, SECRET, CREDENTIAL, KEY, TOKEN and DSN, singular or plural. The last
    three have to be a word, or the end of one: ``apiKey``, ``openaikey``, but not ``keyboard`` or ``tokenizer``.
    """
    words = [part.lower() for word in _WORD.findall(name) for part in _split_word(word)]
    if not words or words[-1] in _LAST or "per" in words:
        return False
    if _ANYWHERE.search("".join(words)):
        return True
    before = ["", *words]
    return any(
        word.removesuffix("s") in _BEFORE and before[index] not in _BEFORE[word.removesuffix("s")]
        for index, word in enumerate(words)
    )


def _split_word(word: str) -> tuple[str, ...]:
    """Split ``apikey`` into ``api`` and ``key``; other words are not split."""
    match = _LAST_PART.fullmatch(word.lower())
    return match.groups() if match and word.lower().removesuffix("s") not in _NO_KEYS else (word,)


def is_secret_text(text: str) -> bool:
    """Return whether a text contains a secret under any name: a URL with a password, a private key, ``PASSWORD=x``."""
    return bool(
        _PASSWORD_IN_URL.search(text) or _TOKEN_IN_URL.search(text) or _PRIVATE_KEY.search(text)
    ) or gives_secret(text)


def gives_secret(text: str) -> bool:
    """Return whether a text assigns a value to the name of a secret, e.g. ``PASSWORD=x`` or JSON."""
    return any(is_secret_name(match[1]) for match in _GIVEN.finditer(text))


def names_secret(text: str) -> bool:
    """Return whether a text contains a secret, or assigns a value to the name of one, including ``name: value``."""
    return is_secret_text(text) or find_assignment(text) is not None


def mask_urls(text: str) -> str:
    """Mask the passwords of URLs, ``https://user:***@host``; a text with a private key is hidden completely."""
    if _PRIVATE_KEY.search(text):
        return HIDDEN
    if "@" not in text:
        return text
    return _TOKEN_IN_URL.sub(r"\1***@", _PASSWORD_IN_URL.sub(r"\1***@", text))


def mask_urls_in_place(line: str) -> str:
    """Mask the passwords of URLs in a line without changing its length."""
    if "@" not in line:
        return line
    for pattern in (_PASSWORD_IN_URL, _TOKEN_IN_URL):
        line = pattern.sub(lambda match: f"{match[1]}{'*' * len(match[2])}@", line)
    return line


def find_assignment(line: str, more: frozenset[str] = frozenset()) -> int | None:
    """Return the index of the value of a secret, or of a name in ``more``, in a line; None if there is none."""
    names = _ASSIGNED.finditer(line)
    return next((match.end() for match in names if is_secret_name(match[1]) or match[1] in more), None)


def mask_code(line: str) -> str:
    """Mask string literals that a line of Python assigns to the name of a secret."""

    def mask(match: re.Match[str]) -> str:
        length = len(match[2])
        return match[0][:-length] + "*" * length if is_secret_name(match[1]) else match[0]

    return mask_urls_in_place(_ASSIGNED_TEXT.sub(mask, line))
