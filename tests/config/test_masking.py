"""No command prints a literal secret, whatever its place and the output format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seldon_spec.cli.main import run
from seldon_spec.config.masking import redact
from seldon_spec.config.secret_names import is_secret_name, mask_urls

SECRET = "hunter2"
MODEL = "class MyModel:\n    def __init__(self, **kw): ...\n    def predict(self, X, names): ...\n"

NAMES = """
    password PASSWORD dbpassword DB_PASSWORD db-passwords passWord mongo.password passwd DB_PASSWD passphrase
    SSH_PASSPHRASES pass_phrase secret SECRETS clientSecret aws.secret.access.key credential GOOGLE_CREDENTIALS
    dbCredentials key KEY keys apiKey API_KEY api-keys apikey APIKEYS OPENAI_KEY openaikey AWS_ACCESS_KEY_ID API_KEY_PROD
    x-api-key privateKey token TOKENS apiToken API_TOKENS auth.token accesstoken GITHUB_TOKEN_2 dsn SENTRY_DSN sentryDsn
    db_dsns PASSWORD_2
""".split()
HARMLESS = """
    keyboard monkey turkey keyword keywords keypoints keep_alive JSON_SORT_KEYS sort_key primary_key foreignKey
    key_column public_key num_keys tokenizer tokenize max_tokens max_new_tokens maxTokens num_token pad_token eosToken
    token_type password_file KEY_FILE token_path secret_name secretary passwordless compass threshold MODEL_NAME hotkey
    keys_per_row
""".split()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_secret_is_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_that_only_looks_like_one_is_let_be(name: str) -> None:
    assert not is_secret_name(name)


URLS = [
    ("postgres://user:hunter2@db/x", "postgres://user:***@db/x"),
    ("redis://:hunter2@db", "redis://:***@db"),
    ("a://u:hunter2@h, b://v:hunter2@h", "a://u:***@h, b://v:***@h"),
    ("https://u:hun/ter2@h", "https://u:***@h"),
    ("https://u:hun@ter2@h", "https://u:***@h"),
    ("http://host:8080/a@b", "http://host:8080/a@b"),
    ("https://${USER}:${PASSWORD}@host", "https://${USER}:${PASSWORD}@host"),
    ("https://user@host", "https://user@host"),
    ("https://0123456789ab@host/simple", "https://***@host/simple"),
    ("ssh://a-long-user-name@host", "ssh://a-long-user-name@host"),
    ("mail me@host: at once", "mail me@host: at once"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIhunter2\n-----END", "(not shown)"),
]


@pytest.mark.parametrize(("text", "shown"), URLS, ids=[text[:24] for text, _ in URLS])
def test_only_the_password_of_a_url_is_masked(text: str, shown: str) -> None:
    assert mask_urls(text) == shown
    assert redact(("parameters", "x"), [text]) == [shown]


FILES = {
    "parameter": "parameters: {password: hunter2}",
    "number": "parameters: {password: 7700770077}",
    "block style": "parameters:\n  api_key: hunter2",
    "quotes": "parameters: {'apiKey': \"hunter2\"}",
    "literal block": "parameters:\n  passphrase: |\n    hunter2\n    hunter2\n  other: 1",
    "folded text": 'parameters: {secret: "a\n   hunter2\n   b", other: 1}',
    "list of entries": "parameters: [{name: password, type: STRING, value: hunter2}]",
    "entries in block style": "parameters:\n- name: API_TOKENS\n  type: STRING\n  value: hunter2",
    "entry with its value first": "parameters:\n- value: hunter2\n  type: STRING\n  name: dbpassword",
    "within a list": "parameters: {tokens: [hunter2, {a: hunter2}]}",
    "within a mapping": "parameters: {db: {passwd: hunter2}, credentials: {user: hunter2}}",
    "nested entries": "parameters: {env: [{name: DSN, value: hunter2}]}",
    "anchor": "parameters: {a: &a hunter2, password: *a}",
    "anchored mapping": "parameters: {a: &a {x: hunter2}, secrets: *a}",
    "merge": "parameters: {db: {<<: {password: hunter2}}}",
    "given twice": "parameters:\n  password: x\n  password: hunter2",
    "environment": "environment: {DB_PASSWD: hunter2}",
    "image environment": "image: {environment: {API_KEY: hunter2}}",
    "label": "image: {labels: {com.example.token: hunter2}}",
    "session key": "flask: {SECRET_KEY: hunter2}",
    "old session keys": "flask:\n  SECRET_KEY_FALLBACKS:\n  - hunter2",
    "bearer token": "server: {auth: {tokens: hunter2}}",
    "bearer tokens": "server:\n  auth:\n    tokens: [hunter2]",
    "unknown key": "server: {password: hunter2}",
    "URL": "parameters: {db: 'postgres://user:hunter2@db/x'}",
    "URL in a list": "parameters: {urls: ['redis://:hunter2@db']}",
    "URL in the environment": "environment: {DATABASE: 'amqp://user:hunter2@mq'}",
    "query of a URL": "parameters: {url: 'https://h/?api_key=hunter2&x=1'}",
    "connection string": "parameters: {db: 'Server=x;Password=hunter2'}",
    "JSON in a text": """parameters: {a: '{"password": "hunter2"}'}""",
    "step of the image": "image: {steps: {before: ['ENV API_KEY=hunter2']}}",
    "list of assignments": "environment: ['PASSWORD=hunter2']",
    "assignment": "environment: PASSWORD=hunter2",
    "index": "image: {index_url: 'https://user:hunter2@index/simple'}",
    "octal": "parameters: {password: 0123456}",
    "bad tag": "parameters: {password: !!int hunter2}",
    "read as a tag": "parameters: {password: !hunter2 x}",
    "read as an alias": "environment:\n  DB_PASSWORD: *hunter2",
    "read as an alias, in a list": "parameters:\n  tokens:\n  - *hunter2",
    "comment behind a secret": "parameters:\n  password: x # hunter2",
    "token in the URL of an index": "image: {extra_index_urls: ['https://hunter2hunter2@index/simple']}",
    "not closed": "parameters: {password: hunter2",
    "colon": "parameters:\n  password: hunter2: x",
    "tab": "parameters:\n\tpassword: hunter2",
    "tab below a block": "parameters:\n  password: |\n\thunter2",
    "below a bad line": "parameters:\n  passwords:\n  - hunter2\n  - x: hunter2: y",
    "bad text in quotes": 'parameters:\n  password: "hunter2 \\q"',
    "bad text in quotes, later": 'parameters:\n  password: "a\n    hunter2 \\q"',
    "not indented": "parameters:\npassword: |\nhunter2",
    "bad entry": "parameters:\n- name: password\n  value: hunter2: x",
    "bad entry in braces": "parameters: [{value: hunter2: x, name: password}]",
    "control character": "parameters: {password: hunter2\x01}",
    "second document": "parameters: {a: 1}\n--- {password: hunter2}",
    "key that is a mapping": "parameters: {? {password: hunter2} : 1}",
    "alias that is unknown": "parameters: {password: hunter2, b: *b}",
}
FAILING = ["", "\nports: {http: x}", "\nnmae: x"]
COMMANDS = [
    ["validate"],
    *(["validate", "--format", form] for form in ("json", "github", "sarif")),
    ["show"],
    ["show", "--format", "json"],
    ["predict", "[[1]]"],
]
SECRETS = [SECRET, "7700770077", "0123456", "42798"]


@pytest.mark.parametrize("end", FAILING, ids=["right", "type error", "unknown key"])
@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_no_command_shows_a_secret_of_the_file(
    text: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text(f"class_name: MyModel\n{text}{end}\n")
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        run(command)
        page = "".join(capsys.readouterr())
        assert not [secret for secret in SECRETS if secret in page], page
        assert "fault of seldon-spec" not in page


@pytest.mark.parametrize(
    "text",
    ["parameters:\n  passphrase: |\n    hunter2\n  b: &b 1\n  b: 2", "parameters: {token: \"hunter2\n   x\", b: 1, b: 2}"],
    ids=["block", "quotes"],
)  # fmt: skip
def test_lines_beside_a_secret_stay_as_they_are(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text(f"class_name: MyModel\n{text}\n")
    monkeypatch.chdir(tmp_path)
    run(["validate"])
    assert "hunter2" not in (page := capsys.readouterr().err)
    assert "b: 2\n" in page or "***\n" in page


VARIABLES = {
    "SELDON_SPEC__PARAMETERS__PASSWORD": SECRET,
    "SELDON_SPEC__PARAMETERS__DB": "postgres://user:hunter2@db",
    "SELDON_SPEC__PARAMETERS": '{"api_key": "hunter2", "x": {"token": "hunter2"}}',
    "PREDICTIVE_UNIT_PARAMETERS": '[{"name": "password", "type": "INT", "value": "hunter2"}]',
    "SELDON_SPEC__ENVIRONMENT__DB_PASSWD": SECRET,
    "SELDON_SPEC__ENVIRONMENT": '{"DSN": "hunter2", "1": "x"}',
    "SELDON_SPEC__IMAGE__LABELS__API_KEY": SECRET,
    "SELDON_SPEC__IMAGE__ENVIRONMENT": '{"API_KEY": "hunter2", "1": "x"}',
    "SELDON_SPEC__IMAGE": '{"environment": {"API_KEY": "hunter2"}, "user": "x"}',
    "SELDON_SPEC__FLASK": '{"SECRET_KEY": "hunter2"',
    "SELDON_SPEC__FLASK__SECRET_KEY": SECRET,
    "FLASK_SECRET_KEY_FALLBACKS": '["hunter2", 5]',
    "SELDON_SPEC__SERVER__AUTH__TOKENS": SECRET,
    "SELDON_SPEC__SERVER": '{"auth": {"tokens": ["hunter2"]}}',
    "SELDON_SPEC__IMAGE__INDEX_URL": "ftp://user:hunter2@index",
    "SELDON_SPEC__IMAGE__BASE": "https://user:hunter2@registry/image",
    "MODEL_METADATA": '{"custom": {"api_key": "hunter2"}, "name": "redis://:hunter2@x"}',
    "PREDICTIVE_UNIT_IMAGE": "https://user:hunter2@registry/image:1",
}


@pytest.mark.parametrize("by", ["variable", "flag"])
@pytest.mark.parametrize("end", FAILING, ids=["right", "type error", "unknown key"])
@pytest.mark.parametrize(("name", "text"), VARIABLES.items(), ids=VARIABLES)
def test_no_command_shows_a_secret_of_a_variable_or_a_flag(
    name: str,
    text: str,
    end: str,
    by: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text(f"class_name: MyModel\nparameters: {{password: hunter2}}{end}\n")
    monkeypatch.chdir(tmp_path)
    flags = []
    if by == "variable":
        monkeypatch.setenv(name, text)
    elif name.startswith("SELDON_SPEC__"):
        flags = ["--set", f"{name.removeprefix('SELDON_SPEC__').lower().replace('__', '.')}={text}"]
    for command in COMMANDS:
        run([*command, *flags])
        page = "".join(capsys.readouterr())
        assert SECRET not in page
        assert "fault of seldon-spec" not in page


def test_what_is_no_setting_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["show", "--set", "parameters.password: hunter2"]) == 2
    assert SECRET not in "".join(capsys.readouterr())


def test_an_error_where_the_class_is_loaded_shows_no_other_secret_of_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text(
        "class_name: MyModel\nparameters: {password: hunter2, other: {from_env: NOT_SET}}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert run(["predict", "[[1]]"]) == 1
    page = capsys.readouterr().err
    assert "the variable NOT_SET is not set" in page
    assert SECRET not in page


def test_a_line_of_the_class_is_shown_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "MyModel.py").write_text(
        "class MyModel:\n    api_key, x = dict(password='hunter2', token=\"hunter2\", 1 2)\n"
    )
    (tmp_path / "seldon.yaml").write_text("class_name: MyModel\n")
    monkeypatch.chdir(tmp_path)
    assert run(["validate"]) == 1
    page = capsys.readouterr().err
    assert "[python-syntax]" in page
    assert "dict(password=*********, token=*********, 1 2)" in page


def test_the_value_that_was_overridden_is_hidden_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text("class_name: MyModel\nparameters: {apiKey: hunter2, db: 'a://u:hunter2@h'}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SELDON_SPEC__PARAMETERS__APIKEY", "x1")
    monkeypatch.setenv("SELDON_SPEC__PARAMETERS__DB", "x2")
    assert run(["show", "--format", "json"]) == 0
    origins = json.loads(capsys.readouterr().out)["origins"]
    assert origins["parameters.apiKey"]["above"]["value"] == "(not shown)"
    assert origins["parameters.db"]["above"]["value"] == "a://u:***@h"
