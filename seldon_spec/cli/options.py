"""The command line: every command with its arguments and options, declared with Typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seldon_spec.cli import commands
from seldon_spec.cli.application import command
from seldon_spec.cli.batch_options import batch
from seldon_spec.cli.command_help import Group
from seldon_spec.cli.image_options import BuilderName, Style
from seldon_spec.cli.init_options import (
    ClassNameOption,
    ComponentsArgument,
    FolderArgument,
    GraphOption,
    InferOption,
    ModelOption,
    ServiceTypeOption,
)
from seldon_spec.cli.manifest_options import (
    CheckOption,
    CommentsOption,
    EverythingOption,
    OnlyOption,
    OutputOption,
    TargetOption,
)
from seldon_spec.cli.output_formats import FindingsFormat, Format
from seldon_spec.cli.serve_options import (
    ApartOption,
    ComponentOption,
    HostOption,
    PortOption,
    ReloadOption,
    ServedOption,
    Transport,
    TransportOption,
    WorkersOption,
    join_flags,
)
from seldon_spec.cli.server_options import (
    BudgetOption,
    CaOption,
    ContractOption,
    ProtocolName,
    ReportFormat,
    ReportOption,
    RequestsOption,
    SeedOption,
    StatefulOption,
    TokenOption,
    UrlsOption,
)
from seldon_spec.cli.show_options import ChangedOption, KeysOption
from seldon_spec.cli.spec_options import PathArgument, SetOption, parse_settings
from seldon_spec.config.model import ServiceType
from seldon_spec.config.schema.lookup import split_path


def _complete_code(incomplete: str) -> list[str]:
    from seldon_spec.cli.explain import load_explanations

    return [code for code in load_explanations() if code.startswith(incomplete)]


@command(Group.CREATE)
def init(
    folder: FolderArgument = Path(),
    components: ComponentsArgument = None,
    *,
    graph: GraphOption = False,
    service_type: ServiceTypeOption = ServiceType.MODEL,
    class_name: ClassNameOption = None,
    infer: InferOption = False,
    model: ModelOption = None,
) -> None:
    """Create a project: seldon.yaml, a class or a graph, and a test."""
    from seldon_spec.cli.init import init_class, init_graph, init_model, init_model_class

    if graph or components:
        is_class = class_name is not None or infer or model is not None or service_type is not ServiceType.MODEL
        if not graph or not components or is_class:
            raise typer.BadParameter(
                "write init DIR --graph COMPONENT..., without options of a class", param_hint="--graph"
            )
        init_graph(folder, components)
        return
    from seldon_spec.cli.scaffold import DEFAULT_NAMES, is_class_name

    name = DEFAULT_NAMES[service_type] if class_name is None else class_name
    if not is_class_name(name):
        raise typer.BadParameter(f'"{name}" is not a valid class name', param_hint="--class-name")
    if infer and service_type is not ServiceType.MODEL:
        raise typer.BadParameter("needs the service type MODEL", param_hint="--infer")
    if model is None:
        init_class(folder, service_type, name, has_infer=infer)
    elif infer or service_type is not ServiceType.MODEL:
        raise typer.BadParameter("needs the service type MODEL, without --infer", param_hint="--model")
    elif class_name is None:
        init_model(folder, model)
    else:
        init_model_class(folder, class_name, model)


@command(Group.CREATE)
def migrate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a Seldon Core image.")],
    *,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="NAME", help="The unit of the SeldonDeployment that the class implements."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing seldon.yaml.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Also update the requirements file.")] = False,
) -> None:
    """Write seldon.yaml from the files of a Seldon Core image.

    Reads .s2i/environment, a Dockerfile, a SeldonDeployment and the settings of MLServer.
    """
    raise typer.Exit(commands.migrate(folder, node, is_forced=force, is_writing=write))


@command(Group.CHECK)
def validate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Folders of seldon.yaml, or the files; default: the current folder."),
    ] = None,
    *,
    settings: SetOption = None,
    format: Annotated[FindingsFormat, typer.Option("--format", help="Output format.")] = FindingsFormat.TEXT,  # noqa: A002
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
) -> None:
    """Report every problem at once, without importing the class.

    In a folder without a seldon.yaml, check each one below it. Exits with 1 if there is an error.
    """
    from seldon_spec.cli.validation import validate as validate_paths

    code = validate_paths(*(paths or [Path()]), flags=parse_settings(settings), format=format.value, is_strict=strict)
    raise typer.Exit(code)


@command(Group.CHECK)
def show(
    path: PathArgument = Path(),
    *,
    settings: SetOption = None,
    changed: ChangedOption = False,
    only: KeysOption = None,
    format: Annotated[Format, typer.Option("--format", help="mermaid: a flowchart.")] = Format.TEXT,  # noqa: A002
) -> None:
    """Print the effective values, each with its origin."""
    if format is Format.MERMAID and (changed or only):
        raise typer.BadParameter("has no values", param_hint="--format mermaid")
    keys = [split_path(key) for key in only or ()]
    commands.show(path, parse_settings(settings), format=format.value, is_changed=changed, keys=keys)


@command(Group.CHECK)
def schema() -> None:
    """Print the JSON Schema of seldon.yaml."""
    commands.schema()


@command(Group.CHECK)
def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="CODE",
            help="The code of a diagnostic, as shown in brackets; default: list every code.",
            autocompletion=_complete_code,
        ),
    ] = None,
) -> None:
    """Print what a diagnostic means and how to fix it."""
    commands.explain(code)


@command(Group.DEPLOY)
def dockerfile(
    path: PathArgument = Path(),
    *,
    settings: SetOption = None,
    style: Annotated[Style, typer.Option("--style", help="classic: one stage, as in the Seldon guide.")] = Style.STAGED,
    dockerignore: Annotated[bool, typer.Option("--dockerignore", help="Print the .dockerignore instead.")] = False,
    output: OutputOption = None,
    check: CheckOption = None,
) -> None:
    """Print the Dockerfile."""
    if output is not None and check is not None:
        raise typer.BadParameter("cannot be combined with --output", param_hint="--check")
    if dockerignore and style is not Style.STAGED:
        raise typer.BadParameter("cannot be combined with --dockerignore", param_hint="--style")
    form = "dockerignore" if dockerignore else "classic" if style is Style.CLASSIC else "dockerfile"
    raise typer.Exit(commands.dockerfile(path, parse_settings(settings), form=form, output=output, compared=check))


@command(Group.DEPLOY)
def manifest(
    path: PathArgument = Path(),
    *,
    target: TargetOption,
    settings: SetOption = None,
    comments: CommentsOption = True,
    only: OnlyOption = None,
    everything: EverythingOption = False,
    output: OutputOption = None,
    check: CheckOption = None,
) -> None:
    """Print the manifest of a deployment.

    Nothing is sent to a cluster.
    """
    from seldon_spec.cli.manifest import ManifestOptions
    from seldon_spec.cli.manifest import manifest as print_manifest

    if output is not None and check is not None:
        raise typer.BadParameter("cannot be combined with --output", param_hint="--check")
    options = ManifestOptions(
        has_comments=comments, kinds=tuple(only or ()), is_complete=everything, output=output, compared=check
    )
    raise typer.Exit(print_manifest(path, parse_settings(settings), target, options))


@command(Group.DEPLOY)
def build(
    path: PathArgument = Path(),
    *,
    settings: SetOption = None,
    tag: Annotated[str | None, typer.Option("--tag", "-t", metavar="NAME", help="Overrides image.tag.")] = None,
    builder: Annotated[
        BuilderName | None, typer.Option("--builder", help="Default: the first of these that is installed.")
    ] = None,
    platforms: Annotated[
        list[str] | None, typer.Option("--platform", metavar="OS/ARCH", help="Overrides image.platforms; repeatable.")
    ] = None,
    secrets: Annotated[
        list[str] | None,
        typer.Option("--secret", metavar="id=ID,src=FILE", help="Pass a build secret, e.g. id=netrc,src=.netrc."),
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Push the image after the build.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Ignore cached layers.")] = False,
    builder_args: Annotated[
        list[str] | None,
        typer.Option("--builder-arg", metavar="ARG", help="Pass an argument to the builder; repeatable."),
    ] = None,
) -> None:
    """Build the image with docker, podman or buildah."""
    from seldon_spec.cli.image import BuildOptions

    options = BuildOptions(
        tag=tag,
        builder=builder.value if builder else None,
        platforms=[word for text in platforms or () for word in text.split(",")],
        secrets=secrets or (),
        is_cached=not no_cache,
        is_pushed=push,
        extra_arguments=builder_args or (),
    )
    commands.build(path, options, parse_settings(settings))


@command(Group.RUN)
def serve(
    path: PathArgument = Path(),
    *,
    settings: SetOption = None,
    port: PortOption = None,
    host: HostOption = None,
    workers: WorkersOption = None,
    reload: ReloadOption = False,
    component: ComponentOption = None,
    apart: ApartOption = False,
    transport: TransportOption = None,
) -> None:
    """Serve over REST and gRPC until SIGTERM.

    SIGHUP reloads the file and the class without interrupting requests.
    """
    if apart and component is not None:
        raise typer.BadParameter("cannot be combined with --apart", param_hint="--component")
    if transport is not None and not apart:
        raise typer.BadParameter("needs --apart", param_hint="--transport")
    flags, names = join_flags(settings, port=port, host=host, workers=workers)
    if apart:
        commands.serve_apart(
            path, flags, flag_names=names, is_watched=reload, transport=(transport or Transport.REST).value
        )
    else:
        commands.serve(path, flags, flag_names=names, is_watched=reload, component=component)


@command(Group.RUN)
def ray(
    path: PathArgument = Path(),
    *,
    settings: SetOption = None,
    port: PortOption = None,
    host: HostOption = None,
) -> None:
    """Serve with Ray Serve until SIGTERM.

    Uses the cluster at RAY_ADDRESS; without it, starts one on this machine and stops it at the end.
    """
    flags, names = join_flags(settings, port=port, host=host)
    commands.serve_on_ray(path, flags, flag_names=names)


@command(Group.RUN)
def predict(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A JSON array, a message, @FILE, or - for stdin.")],
    *,
    at: Annotated[str, typer.Option("--at", metavar="PATH|URL", help="A folder, a file, or a server URL.")] = ".",
    settings: SetOption = None,
    protocol: Annotated[
        ProtocolName | None,
        typer.Option(
            "--protocol", help="v1: Seldon's; v2: Open Inference. Default: v2 for a URL with the path /v2/…, else v1."
        ),
    ] = None,
    ca: CaOption = None,
    token_file: TokenOption = None,
) -> None:
    """Print one prediction, made here or by a running server.

    The URL of a server begins with http://, https://, grpc:// or grpcs://.
    """
    if "://" in at and settings:
        raise typer.BadParameter("cannot be combined with the URL of a running server", param_hint="--set")
    if "://" not in at and (ca or token_file):
        raise typer.BadParameter("needs the URL of a server in --at", param_hint="--ca" if ca else "--token-file")
    name = None if protocol is None else protocol.value
    commands.predict(data, at, parse_settings(settings), protocol=name, ca=ca, token_file=token_file)


command(Group.RUN)(batch)


@command(Group.CHECK, "test")
def check_contract(
    path: PathArgument = Path(),
    *,
    settings: SetOption = None,
    at: UrlsOption = None,
    requests: RequestsOption = 50,
    seed: SeedOption = 0,
    budget: BudgetOption = "30s",
    stateful: StatefulOption = False,
    contract: ContractOption = None,
    format: ReportOption = ReportFormat.TEXT,  # noqa: A002
    ca: CaOption = None,
    token_file: TokenOption = None,
) -> None:
    """Test the model with generated requests over every protocol.

    Sends valid and invalid requests, and checks the responses. Exits with 1 if a check fails.
    """
    from seldon_spec.contract_test.start import parse_duration

    if not at and (ca or token_file):
        raise typer.BadParameter("needs the URL of a server in --at", param_hint="--ca" if ca else "--token-file")
    seconds = parse_duration(budget)
    if not seconds:
        raise typer.BadParameter(f'"{budget}" is not a time such as 30s, 2m or 500ms', param_hint="--budget")
    limits = {"seed": seed, "requests": requests, "budget_seconds": seconds, "is_stateful": stateful}
    credentials = {"ca": ca, "token_file": token_file}
    code = commands.check_contract(
        path,
        parse_settings(settings),
        at or (),
        contract=contract,
        format=format.value,
        limits=limits,
        credentials=credentials,
    )
    raise typer.Exit(code)


@command(Group.RUN)
def health(path: PathArgument = Path(), *, settings: SetOption = None, component: ServedOption = None) -> None:
    """Check that the server of the spec is ready, and print its URL."""
    commands.health(path, parse_settings(settings), component=component)
