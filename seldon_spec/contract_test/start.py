"""Starts a contract test: of the class of a spec in this process, or of a running server."""

from __future__ import annotations

import contextlib
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from seldon_spec.client import Credentials
from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.class_source import read_class
from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.graph import RouteStep, SplitStep, Step, walk_steps
from seldon_spec.config.model import ServiceType, Spec
from seldon_spec.contract_test.contract import Contract
from seldon_spec.contract_test.contract_json import CONTRACT_FILE, BadContract, read_contract
from seldon_spec.contract_test.curl import CurlWriter
from seldon_spec.contract_test.encoders import make_encoders
from seldon_spec.contract_test.report import Report
from seldon_spec.contract_test.run import Clock, ContractTest, Options
from seldon_spec.contract_test.senders import Remote, check_urls, run_model
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.open_inference_v2.grpc_methods import SERVICE
from seldon_spec.protocols.open_inference_v2.proto import message_class

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

_NO_INFERENCE = (ServiceType.ROUTER, ServiceType.COMBINER)


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration such as ``30s``, ``2m`` or ``500ms``; None if it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    return float(found[1]) * _UNITS[found[2]] if found else None


def run_in_process(
    spec: Spec, options: Options, contract_file: Path | None = None, clock: Clock = time.monotonic
) -> Report:
    """Test the class of a spec in this process.

    Args:
        spec: as ``load`` returns it.
        options: limits and choices.
        contract_file: a ``contract.json``; None: that of the folder, if the spec declares no inputs.
        clock: returns seconds.

    Raises:
        BadContract: the spec declares no inputs, and there is no contract.json.
        SpecError: a secret cannot be read, or a required argument has no value.
        ComponentFailed: the class cannot be imported or built.
    """
    contract = None if _is_described(spec, contract_file) else find_contract(spec, contract_file)
    operation = _find_operation(spec)
    encoders = make_encoders(spec.name, has_infer=spec.service_type not in _NO_INFERENCE)
    scheme = "http" if spec.server.tls is None else "https"
    curl = CurlWriter(
        f"{scheme}://localhost:{spec.ports.http}", spec.name, operation, has_token=spec.server.auth is not None
    )
    with run_model(spec, operation, options.budget_seconds) as sender:
        if contract is None:
            contract = find_contract(sender.find_spec(), contract_file)
        title = f"contract test of {spec.name}, in this process"
        return ContractTest(contract, encoders, sender, curl, _adapt(options, spec), title, clock).run()


def run_remote(
    spec: Spec | None,
    urls: Sequence[str],
    credentials: Credentials,
    options: Options,
    contract_file: Path | None = None,
    clock: Clock = time.monotonic,
) -> Report:
    """Test a running server.

    Args:
        spec: of the model; None: the contract is read from the metadata of the server.
        urls: of REST, of gRPC, or one of each.
        credentials: TLS trust and authentication.
        options, contract_file, clock: as for ``run_in_process``.

    Raises:
        BadContract: there is no contract.
        BadData, NoResponse: a file cannot be read, or the metadata of the server.
    """
    check_urls(urls)
    operation = Operation.PREDICT if spec is None else _find_operation(spec)
    with contextlib.ExitStack() as stack:
        remote = Remote(urls, credentials, operation, stack)
        if spec is None:
            remote.model, contract = _read_metadata(remote)
            if contract_file is not None:
                contract = read_contract(contract_file)
        else:
            remote.model, contract = spec.name, find_contract(spec, contract_file)
        encoders = make_encoders(
            remote.model,
            has_rest=remote.rest is not None,
            has_grpc=remote.has_grpc,
            has_infer=spec is None or spec.service_type not in _NO_INFERENCE,
        )
        base = urls[0] if remote.rest is None else remote.rest.geturl()
        files = (("--ca", credentials.ca), ("--token-file", credentials.token_file))
        grpc_options = "".join(f" {option} {shlex.quote(str(file))}" for option, file in files if file is not None)
        has_token = credentials.token_file is not None
        curl = CurlWriter(base.rstrip("/"), remote.model, operation, has_token, grpc_options)
        title = f"contract test of {remote.model} at {', '.join(urls)}"
        options = options if spec is None else _adapt(options, spec)
        return ContractTest(contract, encoders, remote, curl, options, title, clock).run()


def _adapt(options: Options, spec: Spec) -> Options:
    """Return the options without the comparisons that a correct graph may fail: it chooses branches for a request."""
    steps = [*_walk_graph(spec)]
    if any(isinstance(step, SplitStep) for step in steps):
        note = "a step of the graph splits requests at random: results are not compared"
        return replace(options, is_stateful=True, notes=(*options.notes, note))
    if any(isinstance(step, RouteStep) for step in steps):
        return replace(options, has_independent_rows=False)
    return options


def _walk_graph(spec: Spec) -> Iterator[Step]:
    """Yield the steps of a graph and of the graphs in it."""
    if spec.graph is not None:
        yield from walk_steps(spec.graph)
    for component in spec.components.values():
        if component.spec is not None:
            yield from _walk_graph(component.spec)


def _is_described(spec: Spec, contract_file: Path | None) -> bool:
    """Return whether the contract comes from a model file, which has to be loaded."""
    models = (spec, *(each.spec for each in spec.components.values() if each.spec is not None))
    has_model = any(each.model is not None for each in models)
    return has_model and contract_file is None and not spec.inputs and not (spec.folder / CONTRACT_FILE).is_file()


def find_contract(spec: Spec, contract_file: Path | None) -> Contract:
    """Return the contract of a spec.

    Raises:
        BadContract: it declares no inputs, and there is no contract.json.
    """
    if spec.service_type is ServiceType.COMBINER:
        raise BadContract("a COMBINER cannot be tested by its contract: its requests are the responses of other models")
    if contract_file is not None:
        return _for_service(read_contract(contract_file), spec)
    if spec.inputs:
        mode = spec.server.validate_requests
        reason = "" if mode == "reject" else f"server.validate_requests is {mode}"
        is_model_file = spec.model is not None
        contract = Contract(spec.inputs, spec.outputs, lenient_reason=reason, is_model_file=is_model_file)
        return _for_service(contract, spec)
    file = spec.folder / CONTRACT_FILE
    if file.is_file():
        return _for_service(read_contract(file), spec)
    raise BadContract(
        f"{spec.file} declares no inputs, and there is no {CONTRACT_FILE}; declare inputs, e.g. inputs: [age, income]"
    )


def _for_service(contract: Contract, spec: Spec) -> Contract:
    """Return the contract without outputs for a router, whose response is the number of a branch."""
    return replace(contract, outputs=()) if spec.service_type is ServiceType.ROUTER else contract


def _find_operation(spec: Spec) -> Operation:
    """Return the operation of Seldon's protocol for the data of a service type, the same as that of inference in V2."""
    if spec.service_type is ServiceType.ROUTER:
        return Operation.ROUTE
    if spec.service_type is ServiceType.MODEL:
        return Operation.PREDICT
    if spec.model is not None:
        return Operation.TRANSFORM_INPUT
    found = read_class(spec.folder, spec.class_name or "")
    hooks = found.hooks if isinstance(found, ClassSource) else frozenset[str]()

    def has(prefix: str) -> bool:
        return any(hook.startswith(prefix) for hook in hooks)

    if spec.service_type is ServiceType.OUTLIER_DETECTOR:
        return Operation.PREDICT if has("predict") else Operation.TRANSFORM_INPUT
    is_output_only = has("transform_output") and not has("transform_input")
    return Operation.TRANSFORM_OUTPUT if is_output_only else Operation.TRANSFORM_INPUT


def _read_metadata(remote: Remote) -> tuple[str, Contract]:
    """Return the name of the only model of a server, and its contract: names, datatypes and shapes.

    Raises:
        BadContract: the model declares no inputs.
        NoResponse: the server cannot be reached, or has several models.
    """
    if remote.rest is not None:
        models = remote.get("/v2/models").get("models", [])
        if len(models) != 1:
            raise SeldonSpecError(f"the server has {len(models)} models: give the folder of the seldon.yaml of one")
        name = str(models[0])
        metadata = remote.get(f"/v2/models/{name}")
        inputs = [(t["name"], t["datatype"], t["shape"]) for t in metadata.get("inputs", ())]
        outputs = [(t["name"], t["datatype"], t["shape"]) for t in metadata.get("outputs", ())]
    else:
        response = message_class("ModelMetadataResponse")()
        response.ParseFromString(remote.call(f"/{SERVICE}/ModelMetadata", b""))
        name = response.name
        inputs = [(t.name, t.datatype, list(t.shape)) for t in response.inputs]
        outputs = [(t.name, t.datatype, list(t.shape)) for t in response.outputs]
    if not inputs:
        raise BadContract(f"the metadata of {name} have no inputs: give the folder of its seldon.yaml, or --contract")
    reason = "the metadata of the server have no ranges, and do not say whether it validates requests"
    return name, Contract(_make_tensors(inputs), _make_tensors(outputs), lenient_reason=reason)


def _make_tensors(entries: Sequence[tuple[str, str, Sequence[int]]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, datatype, tuple(map(int, shape))) for name, datatype, shape in entries)
