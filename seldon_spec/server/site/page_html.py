"""The HTML of the page. All text of the model is escaped; URLs are relative, so that the page works below any path."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from urllib.parse import quote

from seldon_spec import __version__
from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import ServiceType, Spec
from seldon_spec.diagram.build import describe
from seldon_spec.inference.contract.examples import ContractKind, kind_of, list_columns
from seldon_spec.inference.datatypes import find_datatype
from seldon_spec.server.site.graph_html import fill_tensors, render_graph
from seldon_spec.server.site.page_facts import FieldInfo, collect_facts, list_fields, show_value

_DOCUMENT = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<script src="page.js" defer></script>
</head>
<body>
{body}
</body>
</html>
"""

_LOGIN = """\
<main class="login">
<h1>Model server</h1>
<form id="login" class="card">
<label for="token">Token</label>
<p class="hint" id="token-hint">This server requires a bearer token. It is kept until you close this tab.</p>
<input id="token" type="password" autocomplete="off" required aria-describedby="token-hint token-error">
<p class="error" id="token-error" role="alert"></p>
<div class="actions"><button class="primary">Continue</button></div>
</form>
</main>"""

_PAGE = """\
<header>
<div class="title"><h1>{name}</h1>{version}<span class="chip">{service_type}</span>
<span class="state" id="state" role="status">checking</span></div>
<nav aria-label="Documents">{links}</nav>
</header>
<main>
{graph}<div class="work">
{request}
<section class="card" id="response" aria-labelledby="response-title" hidden>
<h2 id="response-title">Response</h2>
<div id="result"></div>
<details id="raw"><summary>JSON</summary>
<pre id="response-text" tabindex="0" role="region" aria-label="JSON of the response"></pre></details>
</section>
<section class="card" aria-labelledby="code-title">
<h2 id="code-title">The same request as code</h2>
<div class="toolbar"><label for="language">Language</label><select id="language"></select>
<button type="button" id="copy">Copy</button><span id="copied" role="status"></span></div>
<pre id="code" tabindex="0" role="region" aria-label="Code"></pre>
</section>
</div>
<div class="side">
<section class="card" aria-labelledby="live-title">
<h2 id="live-title">Live</h2>
<dl class="live">
<div><dt>Requests</dt><dd id="live-rate">–</dd></div>
<div><dt>Latency</dt><dd id="live-latency">–</dd></div>
<div><dt>In the queue</dt><dd id="live-queue">–</dd></div>
<div><dt>Errors</dt><dd id="live-errors">–</dd></div>
</dl>
<svg id="sparkline" viewBox="0 0 120 30" preserveAspectRatio="none" role="img" aria-label="Requests per second">
<polyline points=""></polyline></svg>
<p class="hint">Of the last 10 seconds. The line shows requests per second.</p>
</section>
<div class="side" id="contract">{contract}</div>
</div>
</main>
<footer>Served by seldon-spec {program}</footer>
<dialog id="document" aria-labelledby="document-title"><form method="dialog"><h2 id="document-title"></h2>
<button>Close</button></form><pre tabindex="0" role="region" aria-label="Document"></pre></dialog>
{facts}"""

_REQUEST = """\
<section class="card" id="request-card" aria-labelledby="request-title">
{title}
<div class="toolbar" id="switches">{switches}</div>
<form id="request" novalidate autocomplete="off">
{form}
{table}
<div id="json-view" class="view"{json_hidden}>
<label for="message">Message (JSON)</label>
<textarea id="message" rows="12" spellcheck="false" class="code" aria-describedby="message-error"></textarea>
<p class="error" id="message-error"></p>
</div>
<div class="actions"><button class="primary" id="send">Send</button>
<button type="button" id="restore">Reset</button></div>
</form>
<p id="status" class="status" role="status"></p>
<div id="recent" hidden><h3>Recent requests</h3><ol id="recent-list"></ol></div>
</section>"""

_COMPONENT_TITLE = """\
<div class="toolbar"><h2 id="request-title" tabindex="-1">Request to {name}</h2><span class="chip">{detail}</span>
<button type="button" id="whole">Back to the whole graph</button></div>
<p class="hint">Only this component is called.</p>"""

_TABLE = """\
<div id="table-view" class="view" hidden>
<p class="hint">Type values, paste rows from a spreadsheet into a cell, or drop a CSV file here.</p>
<div class="toolbar"><label class="file">Open a CSV file<input id="csv" type="file" accept=".csv,.tsv,text/csv"></label>
<button type="button" id="add-row">Add a row</button>
<button type="button" id="download" hidden>Download as CSV</button></div>
<div class="scroll" tabindex="0" role="region" aria-label="Rows"><table id="rows"></table></div>
<p class="hint" id="more-rows"></p>
</div>"""


def render_login() -> str:
    """Return the page of a client without a valid token; it contains nothing of the model."""
    return _DOCUMENT.format(title="Model server", body=_LOGIN)


def render_page(spec: Spec) -> str:
    """Return the page of a model or a graph."""
    spec = fill_tensors(spec)
    request, facts = _render_request(spec, '<h2 id="request-title">Request</h2>')
    body = _PAGE.format(
        name=escape(spec.name),
        version="" if spec.version is None else f'<span class="chip">version {escape(spec.version)}</span>',
        service_type=spec.service_type.value if spec.graph is None else "graph",
        links=_render_links(spec),
        graph="" if spec.graph is None else render_graph(spec),
        request=request,
        contract=_render_contract(spec),
        program=escape(__version__),
        facts=facts,
    )
    title = spec.name if spec.version is None else f"{spec.name} {spec.version}"
    return _DOCUMENT.format(title=escape(title), body=body)


def render_component(spec: Spec, name: str) -> str:
    """Return the parts of the page that send requests to one component of a graph alone."""
    component = spec.components[name]
    alone = component.spec or Spec(None, spec.folder, name)
    alone = replace(alone, name=name, service_type=component.service_type, ports=spec.ports, server=spec.server)
    alone = fill_tensors(alone)
    title = _COMPONENT_TITLE.format(name=escape(name), detail=escape(describe(component)))
    request, facts = _render_request(alone, title, name)
    return f'{request}\n<div class="side" id="contract">{_render_contract(alone)}</div>\n{facts}'


def _render_request(spec: Spec, title: str, component: str | None = None) -> tuple[str, str]:
    """Return the card that makes requests, and the data block of the script."""
    kind = None if spec.service_type is ServiceType.COMBINER else kind_of(spec.inputs)
    fields = list_fields(spec.inputs) if kind else []
    facts = {**collect_facts(spec, fields, component), "kind": kind and kind.value}
    card = _REQUEST.format(
        title=title,
        switches=_render_switches(kind, [str(each["label"]) for each in facts["operations"]]),
        form=_render_form(fields) if kind else "",
        table=_TABLE if kind in (ContractKind.COLUMNS, ContractKind.TABLE) else "",
        json_hidden=" hidden" if kind else "",
    )
    text = json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c")
    return card, f'<script type="application/json" id="facts">{text}</script>'


def _render_contract(spec: Spec) -> str:
    return _render_tensors("Inputs", spec.inputs) + _render_tensors("Outputs", spec.outputs)


def _render_links(spec: Spec) -> str:
    links = {"openapi.json": "OpenAPI", "metadata": "Metadata V1", f"v2/models/{quote(spec.name)}": "Metadata V2"}
    return "".join(f'<a href="{escape(path)}">{text}</a>' for path, text in links.items())


def _render_switches(kind: ContractKind | None, operations: Sequence[str]) -> str:
    views = {"form": "Form", "table": "Table", "json": "JSON"}
    if kind is ContractKind.TENSORS:
        del views["table"]
    switches = [_render_switch("protocol", "Protocol", {"v1": "V1", "v2": "V2"})]
    if kind:
        switches.append(_render_switch("view", "Enter values as", views))
    if len(operations) > 1:
        labels = {str(index): label for index, label in enumerate(operations)}
        switches.append(_render_switch("operation", "Operation", labels))
    return "".join(switches)


def _render_switch(name: str, legend: str, options: dict[str, str]) -> str:
    radios = "".join(
        f'<label><input type="radio" name="{name}" value="{value}"{" checked" if index == 0 else ""}>'
        f"<span>{escape(text)}</span></label>"
        for index, (value, text) in enumerate(options.items())
    )
    return f'<fieldset class="switch"><legend>{legend}</legend><div>{radios}</div></fieldset>'


def _render_form(fields: Iterable[FieldInfo]) -> str:
    rendered = "".join(_render_field(index, field) for index, field in enumerate(fields))
    return f'<div id="form-view" class="view fields">{rendered}</div>'


def _render_field(index: int, field: FieldInfo) -> str:
    tensor, name = field.tensor, f"field-{index}"
    facts = [tensor.datatype, *([_show_shape(tensor)] if field.widget == "json" else []), *_describe_rules(tensor)]
    described = f'id="{name}" data-field="{index}" aria-describedby="{name}-hint {name}-error"'
    hint = " ".join(part for part in (_join(facts), tensor.description) if part)
    is_wide = field.widget in ("json", "image") or (field.widget == "text" and tensor.shape != (-1,))
    return (
        f'<div class="field{" wide" if is_wide else ""}"><label for="{name}">{escape(tensor.name)}</label>'
        f"{_render_widget(field, described)}"
        f'<p class="hint" id="{name}-hint">{escape(hint)}</p><p class="error" id="{name}-error"></p></div>'
    )


def _render_widget(field: FieldInfo, attributes: str) -> str:
    tensor = field.tensor
    if field.widget == "select":
        choices = ["true", "false"] if tensor.datatype == "BOOL" else list(map(show_value, tensor.choices))
        options = [*choices, *([""] if tensor.optional else [])]
        shown = "".join(_render_option(each, is_selected=each == field.example) for each in options)
        return f"<select {attributes}>{shown}</select>"
    if field.widget == "checkbox":
        return f'<input type="checkbox" {attributes}{" checked" if field.example == "true" else ""}>'
    if field.widget == "number":
        return f'<input type="number" {attributes} value="{escape(field.example)}"{_bounds(tensor)}>'
    if field.widget == "image":
        accept = escape(tensor.content_type or "image/*")
        return (
            f'<div class="drop"><input type="file" {attributes} accept="{accept}">'
            '<img alt="The selected image" hidden></div>'
        )
    if field.widget == "json":
        rows = 3 if field.example else 6
        return (
            f'<textarea {attributes} rows="{rows}" spellcheck="false" class="code">{escape(field.example)}</textarea>'
        )
    if tensor.shape == (-1,) and tensor.content_type != "str":
        return f'<input type="text" {attributes} value="{escape(field.example)}">'
    return f'<textarea {attributes} rows="2">{escape(field.example)}</textarea>'


def _render_option(value: str, *, is_selected: bool) -> str:
    selected = " selected" if is_selected else ""
    return f'<option value="{escape(value)}"{selected}>{escape(value or "(missing)")}</option>'


def _bounds(tensor: TensorSpec) -> str:
    limits = find_datatype(tensor.datatype).limits
    low, high = tensor.minimum, tensor.maximum
    if limits is not None:
        low = limits[0] if low is None else math.ceil(low)
        high = limits[1] if high is None else math.floor(high)
    found = {"min": low, "max": high, "step": "any" if limits is None else 1}
    return "".join(f' {name}="{show_value(value)}"' for name, value in found.items() if value is not None)


def _render_tensors(title: str, tensors: Sequence[TensorSpec]) -> str:
    if not tensors:
        return ""
    rows = "".join(_render_tensor(tensor) for tensor in tensors)
    return (
        f'<section class="card" aria-labelledby="{title.lower()}-title"><h2 id="{title.lower()}-title">{title}</h2>'
        f'<dl class="contract">{rows}</dl></section>'
    )


def _render_tensor(tensor: TensorSpec) -> str:
    facts = [f"{tensor.datatype} {_show_shape(tensor)}"]
    if tensor.content_type is not None:
        facts.append(tensor.content_type)
    facts += _describe_rules(tensor)
    entry = _render_entry(tensor.name, facts, tensor.description)
    columns = list_columns([tensor]) if tensor.columns else ()
    return entry + "".join(
        _render_entry(each.name, _describe_rules(each), each.description, " column") for each in columns
    )


def _render_entry(name: str, facts: Sequence[str], description: str | None, style: str = "") -> str:
    text = " ".join(part for part in (_join(facts), description) if part)
    return f'<div class="entry{style}"><dt>{escape(name)}</dt><dd class="hint">{escape(text)}</dd></div>'


def _describe_rules(tensor: TensorSpec) -> list[str]:
    rules = []
    low, high = tensor.minimum, tensor.maximum
    if low is not None and high is not None:
        rules.append(f"{show_value(low)} to {show_value(high)}")
    elif low is not None:
        rules.append(f"at least {show_value(low)}")
    elif high is not None:
        rules.append(f"at most {show_value(high)}")
    if tensor.choices:
        rules.append("one of " + ", ".join(map(show_value, tensor.choices)))
    if tensor.optional:
        rules.append("optional")
    return rules


def _join(facts: Iterable[str]) -> str:
    joined = ", ".join(facts)
    return f"{joined}." if joined else ""


def _show_shape(tensor: TensorSpec) -> str:
    return json.dumps(list(tensor.shape))
