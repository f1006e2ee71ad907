"""What the help of each command shows besides its options: examples and a page of the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Group(str, Enum):
    """The headings of the list of commands, in its order."""

    CREATE = "Create"
    CHECK = "Check"
    RUN = "Run"
    DEPLOY = "Package and deploy"


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """The end of a command's help.

    Attributes:
        page: of the documentation, as a path in the source tree.
        examples: what each one does, and its command line.
    """

    page: str
    examples: tuple[tuple[str, str], ...]


MAIN_PAGE = "docs/commands.md"

COMMAND_HELP: Mapping[str, CommandHelp] = {
    "init": CommandHelp(
        "docs/quickstart.md",
        (
            ("a class with its test, in the folder iris", "seldon-spec init iris"),
            ("serve a model file without a class", "seldon-spec init iris --model model.joblib"),
            ("a graph of two new components", "seldon-spec init pair --graph scaler=TRANSFORMER iris=MODEL"),
        ),
    ),
    "migrate": CommandHelp(
        "docs/migration.md",
        (
            ("read .s2i/environment, Dockerfile and manifests of a folder", "seldon-spec migrate old-image"),
            ("replace seldon.yaml, and update the requirements", "seldon-spec migrate old-image --force --write"),
        ),
    ),
    "validate": CommandHelp(
        "docs/commands.md#validate",
        (
            ("the current folder", "seldon-spec validate"),
            ("every seldon.yaml below a folder", "seldon-spec validate models"),
            ("annotations in a workflow of GitHub", "seldon-spec validate models --strict --format github"),
        ),
    ),
    "test": CommandHelp(
        "docs/testing.md",
        (
            ("the model of the current folder, in this process", "seldon-spec test"),
            ("a running server", "seldon-spec test --at http://localhost:9000 --at grpc://localhost:5000"),
            ("a report for continuous integration", "seldon-spec test --format junit > report.xml"),
        ),
    ),
    "show": CommandHelp(
        "docs/commands.md#show",
        (
            ("only what differs from the defaults", "seldon-spec show --changed"),
            ("one section, with a flag applied", "seldon-spec show --only server --set server.workers=4"),
            ("a drawing of a graph for a Markdown file", "seldon-spec show models/pair --format mermaid"),
        ),
    ),
    "explain": CommandHelp(
        "docs/diagnostics.md",
        (
            ("every code with its meaning", "seldon-spec explain"),
            ("one code, with a wrong and a right example", "seldon-spec explain port-clash"),
        ),
    ),
    "schema": CommandHelp(
        "docs/reference.md",
        (("for an editor", "seldon-spec schema > seldon.schema.json"),),
    ),
    "serve": CommandHelp(
        "docs/operations.md",
        (
            ("replace the workers after each change of a file", "seldon-spec serve --reload"),
            ("another folder, port and number of workers", "seldon-spec serve models/iris --port 8080 --workers 2"),
            ("any key of the file", "seldon-spec serve --set ports.grpc=5001 --set server.log.level=DEBUG"),
        ),
    ),
    "predict": CommandHelp(
        "docs/commands.md#predict",
        (
            ("rows, with the model of the current folder", "seldon-spec predict '[[5.1, 3.5, 1.4, 0.2]]'"),
            ("a request in a file", "seldon-spec predict @request.json --at models/iris"),
            ("text, on a running server", 'seldon-spec predict \'{"strData": "text"}\' --at http://localhost:9000'),
        ),
    ),
    "batch": CommandHelp(
        "docs/batch.md",
        (
            ("with the model of the current folder", "seldon-spec batch rows.csv --output predictions.csv"),
            (
                "another format, with the model of a folder",
                "seldon-spec batch rows.csv -o rows.jsonl --path models/iris",
            ),
            ("continue an interrupted run", "seldon-spec batch rows.csv --output predictions.csv --resume"),
        ),
    ),
    "health": CommandHelp(
        "docs/operations.md",
        (
            ("the server of the current folder", "seldon-spec health"),
            ("a server on another port", "seldon-spec health --set ports.http=8080"),
        ),
    ),
    "ray": CommandHelp(
        "docs/ray.md",
        (("a cluster of this machine, or that of RAY_ADDRESS", "seldon-spec ray models/iris --port 8000"),),
    ),
    "dockerfile": CommandHelp(
        "docs/image.md",
        (
            ("write the file", "seldon-spec dockerfile --output Dockerfile"),
            ("fail if the committed file is out of date", "seldon-spec dockerfile --check Dockerfile"),
        ),
    ),
    "build": CommandHelp(
        "docs/image.md",
        (
            ("with the first builder that is installed", "seldon-spec build --tag iris:1.0"),
            ("for two platforms, and push it", "seldon-spec build --platform linux/amd64,linux/arm64 --push"),
        ),
    ),
    "manifest": CommandHelp(
        "docs/kubernetes.md",
        (
            ("apply it to a cluster", "seldon-spec manifest --for kubernetes | kubectl apply -f -"),
            ("fail if a committed file differs", "seldon-spec manifest --for kubernetes --check manifest.yaml"),
        ),
    ),
}
"""By the name of the command; a test runs the examples, or parses those that need a server or a builder."""
