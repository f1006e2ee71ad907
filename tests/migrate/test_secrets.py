"""No secret that a source holds is shown or copied, whatever else is wrong with the source."""

from __future__ import annotations

from pathlib import Path

import pytest

from seldon_spec.cli.main import run

SECRET = "hunter2"
MODEL = "class MyModel:\n    def __init__(self, **kwargs): ...\n    def predict(self, X): ...\n"
UNIT = "kind: SeldonDeployment\nspec:\n  predictors:\n  - graph:\n      name: m\n      type: MODEL\n"
CONTAINER = """\
    componentSpecs:
    - spec:
        containers:
        - name: m
          env:
          - {name: API_TOKEN, value: hunter2}
          - {name: COPY, value: "$(API_TOKEN)-copy"}
"""
SIDECAR = """\
    componentSpecs:
    - metadata: {annotations: {example.com/api-token: hunter2}, labels: {api-token: hunter2}}
      spec:
        initContainers: [{name: i, image: x, args: ["https://me:hunter2@example.com/"]}]
        containers:
        - {name: m, image: x}
        - {name: s, image: x, env: [{name: API_TOKEN, value: hunter2}]}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: m, labels: {app.kubernetes.io/managed-by: seldon-spec}}
spec:
  template:
    spec:
      containers:
      - name: m
        env: [{name: SELDON_SPEC__%s, value: '%s'}]
"""
COMPONENTS = '{"a": {"class_name": "MyModel", "parameters": {"api_token": "hunter2"}}}'
PARAMETERS = '{"name": "api_token", "type": "%s", "value": "hunter2"}'

CASES = [
    pytest.param(".s2i/environment", "API_TOKEN hunter2\n", id="no-equals-sign"),
    pytest.param(".s2i/environment", "API_TOKEN=hunter2\nAPI_TOKEN=hunter2\n", id="variable"),
    pytest.param(".s2i/environment", "9API_TOKEN=hunter2\n", id="bad-name"),
    pytest.param(".s2i/environment", f"PREDICTIVE_UNIT_PARAMETERS=[{PARAMETERS % 'STRING'}\n", id="broken-parameters"),
    pytest.param(".s2i/environment", f"PREDICTIVE_UNIT_PARAMETERS=[{PARAMETERS % 'INT'}]\n", id="parameter-type"),
    pytest.param(".s2i/environment", f"PREDICTIVE_UNIT_PARAMETERS=[{PARAMETERS % 'TEXT'}]\n", id="parameter-kind"),
    pytest.param(".s2i/environment", 'FLASK_SECRET_KEY=hunter2\nFLASK_SECRET_KEY_FALLBACKS=["hunter2"]\n', id="flask"),
    pytest.param(".s2i/environment", "FLASK_SECRET_KEY_FALLBACKS=hunter2\n", id="flask-not-json"),
    pytest.param(".s2i/environment", "SELDON_SPEC__PARAMETERS__API_KEY=hunter2\n", id="our-own-variable"),
    pytest.param(".s2i/environment", "SELDON_SPEC__PORTS__PASSWORD=hunter2\n", id="our-own-variable-misspelt"),
    pytest.param("Dockerfile", 'FROM x\nENV API_TOKEN="hunter2\n', id="open-quote"),
    pytest.param("Dockerfile", "FROM x\nENV API_KEY=hunter2 GUNICORN_WORKERS=many\n", id="same-line"),
    pytest.param("Dockerfile", "FROM x\nENV API_KEY=hunter2\nENV COPY=$API_KEY\n", id="named-again"),
    pytest.param("Dockerfile", "FROM x\nARG API_KEY=hunter2\nENV OTHER_TOKEN=$API_KEY\n", id="argument"),
    pytest.param("Dockerfile", "FROM x\nLABEL api_token=hunter2\n", id="label"),
    pytest.param("Dockerfile", "FROM x\nRUN pip install -i https://me:hunter2@example.com/simple a\n", id="index"),
    pytest.param("Dockerfile", "FROM x\nRUN curl -H hunter2 && hunter2=1 hunter2\n", id="run"),
    pytest.param("Dockerfile", "FROM x\nCMD API_TOKEN=hunter2 seldon-core-microservice MyModel\n", id="assignment"),
    pytest.param("Dockerfile", "FROM x\nCMD seldon-core-microservice MyModel --api-token=hunter2\n", id="unknown-flag"),
    pytest.param("d.yaml", f"{UNIT}      parameters: [{PARAMETERS % 'INT'}]\n", id="graph-parameter-type"),
    pytest.param("d.yaml", f"{UNIT}      parameters: [{PARAMETERS % 'TEXT'}]\n", id="graph-parameter-kind"),
    pytest.param("d.yaml", f"{UNIT}      parameters: [{PARAMETERS % 'INT'}\n", id="broken-flow"),
    pytest.param(
        "d.yaml", f"{UNIT}      parameters:\n      - name: api_token\n        value: 'hunter2\n", id="broken-quote"
    ),
    pytest.param(
        "d.yaml", f"{UNIT}      parameters:\n      - name: api_token\n       value: hunter2\n", id="broken-indent"
    ),
    pytest.param(
        "d.yaml", f"{UNIT}      parameters:\n      - name: api_token\n        value: !x hunter2\n", id="broken-tag"
    ),
    pytest.param("d.yaml", UNIT + CONTAINER, id="named-again-in-the-cluster"),
    pytest.param("d.yaml", UNIT + SIDECAR, id="rest-of-the-pod"),
    pytest.param("d.yaml", DEPLOYMENT % ("COMPONENTS", COMPONENTS), id="component-of-a-graph"),
    pytest.param("d.yaml", DEPLOYMENT % ("ENVIRONMENT", '{"API_TOKEN": "hunter2"}'), id="environment-of-a-manifest"),
    pytest.param("d.yaml", DEPLOYMENT % ("COMPONENTS", COMPONENTS[:-1]), id="broken-components"),
    pytest.param("d.json", '{"kind": "SeldonDeployment", "spec": {"x": {"API_TOKEN": "hunter2"} {', id="broken-json"),
    pytest.param(
        "requirements.txt", "-i https://me:hunter2@example.com/simple\nseldon-core\n", id="index-in-requirements"
    ),
    pytest.param(
        "requirements.txt", "seldon-core\ngit+https://hunter2hunter2@example.com/x\n", id="token-in-requirements"
    ),
]


@pytest.mark.parametrize(("file", "text"), CASES)
@pytest.mark.parametrize("arguments", [[], ["--write"]], ids=["plain", "write"])
def test_a_secret_stays_where_it_is(
    file: str, text: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert run(["migrate", str(tmp_path), *arguments]) in (0, 1)
    captured = capsys.readouterr()
    assert "wrote" in captured.err
    assert SECRET not in captured.out + captured.err
    assert SECRET not in (tmp_path / "seldon.yaml").read_text()
