"use strict";

const MAX_SHOWN_ROWS = 200;
const ROWS_PER_REQUEST = 1000;
const MAX_CODE = 100000;
const MAX_TEXT = 200000;
const MAX_RECENT = 10;
const MAX_RECENT_TEXT = 20000;
const POLL_MILLISECONDS = 2000;
/** The live values are means of the time between the first and the last of them. */
const SAMPLES = 6;
const SPARKLINE_POINTS = 60;

const $ = (id) => document.getElementById(id);
const on = (id, event, handle) => $(id).addEventListener(event, handle);

/** The facts of the model, from the data block of the page. */
let facts = null;
let token = "";
let isSending = false;
/** The base64 text of the selected image of each field, by its index. */
let images = new Map();
/** The rows of the table as texts, and their predictions. */
let rows = [];
let predictions = null;
let cellErrors = new Map();
/** The text of the editor for each protocol and operation. */
let drafts = new Map();

// --- small parts ---

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// A browser can refuse storage, or be out of it.
const store = {
  get(key) {
    try {
      return sessionStorage.getItem(location.pathname + key);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      sessionStorage.setItem(location.pathname + key, value);
    } catch {
      /* the page works without it */
    }
  },
};

// Integers beyond 2^53 keep their digits where the browser can do so; a number beyond a double is sent as text, not null.
function exactNumber(text) {
  const value = Number(text);
  if (!Number.isFinite(value)) return text;
  const isExact = !/^[-+]?\d+$/.test(text) || Number.isSafeInteger(value) || !JSON.rawJSON;
  return isExact ? value : JSON.rawJSON(text.replace(/^\+/, "").replace(/^(-?)0+(?=\d)/, "$1"));
}

function parseJson(text) {
  return JSON.parse(text, (_key, value, context) =>
    typeof value === "number" && context?.source ? exactNumber(context.source) : value,
  );
}

const countRows = (count, more = "") => `${count} ${more}row${count === 1 ? "" : "s"}`;

const isNested = (value) => value !== null && typeof value === "object" && !JSON.isRawJSON?.(value);

function formatJson(value, indent = "") {
  if (!isNested(value)) return JSON.stringify(value);
  const isList = Array.isArray(value);
  const entries = isList
    ? value.map((each) => ["", each])
    : Object.entries(value).map(([key, each]) => [`${JSON.stringify(key)}: `, each]);
  const [open, close] = isList ? "[]" : "{}";
  if (!entries.some(([, each]) => isNested(each))) {
    return open + entries.map(([key, each]) => key + JSON.stringify(each)).join(", ") + close;
  }
  const deeper = `${indent}  `;
  return `${open}\n${entries.map(([key, each]) => deeper + key + formatJson(each, deeper)).join(",\n")}\n${indent}${close}`;
}

function showValue(value) {
  if (typeof value === "string") return value;
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(7)));
  return value === undefined ? "" : JSON.stringify(value);
}

const shorten = (text, length = MAX_TEXT) => (text.length > length ? `${text.slice(0, length)} …` : text);

const selected = (name) => document.querySelector(`#switches input[name="${name}"]:checked`)?.value;
const protocol = () => selected("protocol");
const view = () => selected("view") ?? "json";
const operation = () => facts.operations[Number(selected("operation") ?? 0)];

function request(path, options = {}) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  return fetch(path, { cache: "no-store", ...options, headers });
}

// --- the message of a request ---

function readCell(field, text) {
  const trimmed = text.trim();
  if (field.datatype === "BYTES") return text === "" && field.optional ? null : text;
  if (trimmed === "") return null;
  if (field.datatype === "BOOL") {
    if (/^(true|1|yes)$/i.test(trimmed)) return true;
    return /^(false|0|no)$/i.test(trimmed) ? false : trimmed;
  }
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed) ? exactNumber(trimmed) : trimmed;
}

function shapeOf(value) {
  return Array.isArray(value) ? [value.length, ...shapeOf(value[0])] : [];
}

const wrap = (value, depth) => (depth > 0 ? [wrap(value, depth - 1)] : value);

/** The message of rows of texts, for inputs that are columns. */
function buildRows(texts) {
  const values = texts.map((row) => facts.fields.map((field, index) => readCell(field, row[index] ?? "")));
  const isSent = facts.fields.map(
    (field, index) => facts.kind === "columns" || !field.optional || values.some((row) => row[index] !== null),
  );
  const kept = facts.fields.filter((_field, index) => isSent[index]);
  const table = values.map((row) => row.filter((_value, index) => isSent[index]));
  if (protocol() === "v1") return { data: { names: kept.map((field) => field.name), ndarray: table } };
  if (facts.kind === "columns") {
    const { name, datatype } = facts.input;
    return { inputs: [{ name, datatype, shape: [table.length, kept.length], data: table.flat() }] };
  }
  const inputs = kept.map((field, index) => ({
    name: field.name,
    datatype: field.datatype,
    shape: field.rank > 1 ? [table.length, 1] : [table.length],
    data: table.map((row) => row[index]),
  }));
  return { inputs };
}

function readInput(field, index) {
  if (field.widget === "json") {
    const text = $(`field-${index}`).value;
    if (text.trim() === "" && field.optional) return undefined;
    try {
      return parseJson(text);
    } catch (error) {
      setFieldError(index, text.trim() === "" ? "a value is missing" : `this is not JSON: ${error.message}`);
      throw new Error("the form is not complete");
    }
  }
  const text = fieldText(field, index);
  return text === "" && field.optional ? undefined : wrap(text, field.rank);
}

/** The message of whole inputs. */
function buildInputs() {
  const values = facts.fields.map(readInput);
  const given = facts.fields.map((field, index) => [field, values[index]]).filter(([, value]) => value !== undefined);
  if (protocol() === "v2") {
    const inputs = given.map(([{ name, datatype }, value]) => ({
      name,
      datatype,
      shape: shapeOf(value),
      data: [value].flat(Infinity),
    }));
    return { inputs };
  }
  if (facts.fields.length > 1) {
    return { jsonData: Object.fromEntries(given.map(([field, value]) => [field.name, value])) };
  }
  if (given.length === 0) return { data: { ndarray: [] } };
  const [[field, value]] = given;
  if (field.widget === "image") return { binData: [value].flat(Infinity)[0] };
  if (field.widget === "text") return { strData: [value].flat(Infinity)[0] };
  return Array.isArray(value) ? { data: { ndarray: value } } : { jsonData: value };
}

function fieldText(field, index) {
  if (field.widget === "image") return images.get(index) ?? "";
  const element = $(`field-${index}`);
  return field.widget === "checkbox" ? String(element.checked) : element.value;
}

const readFormRow = () => facts.fields.map(fieldText);

function buildMessage() {
  if (view() === "table") return buildRows(rows);
  return facts.kind === "tensors" ? buildInputs() : buildRows([readFormRow()]);
}

/** The text of the request as the current view has it. */
const currentText = () => (view() === "json" ? $("message").value : JSON.stringify(buildMessage()));

// --- responses ---

const EMPTY = { columns: [], rows: [], others: [] };

function findColumn(name, index, count) {
  const [first] = facts.outputs;
  if (first?.columns && facts.outputs.length === 1) {
    return first.columns.find((column) => column.name === name) ?? (first.columns.length === count && first.columns[index]);
  }
  const named = facts.outputs.find((output) => output.name === name);
  return named ?? (facts.outputs.length === 1 ? first : undefined);
}

function toColumns(names, table) {
  const count = Math.max(0, ...table.map((row) => row.length));
  const columns = Array.from({ length: count }, (_value, index) => {
    const declared = findColumn(names[index], index, count);
    const name = names[index] ?? (count === 1 && declared ? declared.name : `output ${index}`);
    return { ...declared, name: facts.outputs[0]?.columns && declared ? declared.name : name };
  });
  return { ...EMPTY, columns, rows: table };
}

function nest(values, shape) {
  if (shape.length < 2) return values;
  const size = shape.slice(1).reduce((product, each) => product * each, 1);
  return Array.from({ length: shape[0] }, (_value, index) =>
    nest(values.slice(index * size, (index + 1) * size), shape.slice(1)),
  );
}

function readV1(message) {
  const [first] = facts.outputs;
  const names = message.data?.names ?? [];
  const { tensor } = message.data ?? {};
  const array = tensor ? nest(tensor.values ?? [], tensor.shape ?? []) : message.data?.ndarray;
  if (Array.isArray(array)) {
    const table = array.map((row) => (Array.isArray(row) ? row : [row]));
    if (!table.some((row) => row.some(isNested))) return toColumns(names, table);
    return { ...EMPTY, others: [{ ...first, name: first?.name ?? "output", value: array }] };
  }
  if (message.jsonData !== undefined) return readMembers(message.jsonData);
  for (const key of ["strData", "binData"]) {
    if (message[key] !== undefined) return { ...EMPTY, others: [{ ...first, name: first?.name ?? key, value: message[key] }] };
  }
  return EMPTY;
}

/** Members of an object that are lists of one length are columns; those that are declared come first, in their order. */
function readMembers(value) {
  if (!isNested(value) || Array.isArray(value)) return { ...EMPTY, others: [{ name: "jsonData", value }] };
  const declared = facts.outputs.map((output) => output.name).filter((name) => name in value);
  const names = new Set([...declared, ...Object.keys(value)]);
  return joinColumns([...names].flatMap((name) => splitColumns({ ...findColumn(name), name, value: value[name] })));
}

function joinColumns(entries) {
  const isColumn = (entry) => Array.isArray(entry.value) && entry.value.length > 0 && !entry.value.some(isNested);
  const columns = entries.filter(isColumn);
  const count = columns[0]?.value.length ?? 0;
  if (columns.some((entry) => entry.value.length !== count)) return { ...EMPTY, others: entries };
  const table = Array.from({ length: count }, (_value, row) => columns.map((entry) => entry.value[row]));
  return { columns, rows: table, others: entries.filter((entry) => !isColumn(entry)) };
}

function readV2(message) {
  const entries = (message.outputs ?? []).flatMap(({ name, data, shape, parameters }) => {
    const declared = facts.outputs.find((each) => each.name === name) ?? (facts.outputs.length === 1 ? facts.outputs[0] : {});
    const value = nest((data ?? []).flat(Infinity), shape ?? []);
    return splitColumns({ ...declared, name, value }, readNames(parameters?.names));
  });
  return joinColumns(entries);
}

/** The columns of an output of rows; any other output is itself. */
function splitColumns(entry, names = []) {
  const { value } = entry;
  const isRow = (row) => Array.isArray(row) && row.length === value[0].length && !row.some(isNested);
  if (!Array.isArray(value) || value.length === 0 || !value.every(isRow)) return [entry];
  const name = value[0].length === 1 ? () => entry.name : (index) => `${entry.name} ${index}`;
  return value[0].map((_value, index) => ({
    ...entry,
    ...entry.columns?.[index],
    name: entry.columns?.[index]?.name ?? names[index] ?? name(index),
    value: value.map((row) => row[index]),
  }));
}

function readNames(names) {
  try {
    const list = typeof names === "string" ? JSON.parse(names) : names;
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

function readResponse(message) {
  if (!isNested(message) || Array.isArray(message)) return EMPTY;
  return message.outputs ? readV2(message) : readV1(message);
}

function renderValue(value, column) {
  if (column.imageType && typeof value === "string") {
    return make("img", { src: `data:${column.imageType};base64,${value}`, alt: column.name });
  }
  const text = make("span", { class: typeof value === "string" ? "value" : "value number" }, shorten(showValue(value), 2000));
  if (!column.isProbability || typeof value !== "number") return text;
  const fill = make("span");
  fill.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
  return make("span", { class: "probability" }, make("span", { class: "bar", "aria-hidden": "true" }, fill), text);
}

const region = (name) => ({ tabindex: "0", role: "region", "aria-label": name });

function renderOther(entry) {
  if (entry.imageType || !isNested(entry.value)) {
    const value = Array.isArray(entry.value) ? entry.value[0] : entry.value;
    return renderValue(value, entry);
  }
  const text = shorten(formatJson(entry.value), 20000);
  return make("pre", region(entry.name), text);
}

function showResult({ columns, rows: table, others }) {
  const pairs = [
    ...(table.length === 1 ? columns.map((column, index) => [column.name, renderValue(table[0][index], column)]) : []),
    ...others.map((entry) => [entry.name, renderOther(entry)]),
  ];
  const parts = [];
  if (pairs.length) {
    parts.push(make("dl", { class: "result" }, ...pairs.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))));
  }
  if (table.length > 1) {
    const head = make("tr", {}, make("th", { scope: "col" }, "row"), ...columns.map(headCell));
    const lines = table.slice(0, MAX_SHOWN_ROWS).map((row, index) =>
      make("tr", {}, make("th", { scope: "row" }, String(index)), ...columns.map((column, at) => make("td", {}, renderValue(row[at], column)))),
    );
    const whole = make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines));
    parts.push(make("div", { class: "scroll", ...region("Rows of the response") }, whole));
    if (table.length > MAX_SHOWN_ROWS) parts.push(make("p", { class: "hint" }, countRows(table.length - MAX_SHOWN_ROWS, "more ")));
  }
  $("result").replaceChildren(...parts);
  $("raw").open = parts.length === 0;
}

const headCell = (column) => make("th", { scope: "col", class: "output" }, column.name);

function showResponse(result, outcome) {
  showResult(result);
  const text = outcome.value === undefined ? outcome.body : formatJson(outcome.value);
  $("response-text").textContent = shorten(text);
  $("response").hidden = false;
}

// --- errors ---

function setStatus(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("failed", isError);
}

function setFieldError(index, text) {
  $(`field-${index}-error`).textContent = text;
  if (text) $(`field-${index}`).setAttribute("aria-invalid", "true");
  else $(`field-${index}`).removeAttribute("aria-invalid");
}

function clearErrors() {
  if (facts.kind) facts.fields.forEach((_field, index) => setFieldError(index, ""));
  $("message-error").textContent = "";
  cellErrors = new Map();
}

const escapePattern = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The problems in the text of an error: their rows, fields and texts. */
function readProblems(text) {
  const body = /^invalid request(?: \(\d+ problems\))?: ([^]*)$/.exec(text)?.[1];
  if (body === undefined || !facts.fields.length) return [];
  const names = facts.fields.map((field) => escapePattern(field.name)).sort((a, b) => b.length - a.length);
  const start = `(?:row (\\d+), |input )(${names.join("|")}): `;
  const end = "(?=; (?:row \\d+, |input |missing |unknown |and \\d+ more)|$)";
  return [...body.matchAll(new RegExp(`(?:^|; )(?:${start}([^]*?)|[^]*?)${end}`, "g"))].map(([all, row, name, problem]) => ({
    row: Number(row ?? 0),
    field: facts.fields.findIndex((field) => field.name === name),
    text: problem ?? all.replace(/^; /, ""),
  }));
}

/** Show an error at its fields; what belongs to none is the text of the status. */
function showError(outcome, firstRow = 0) {
  const text = outcome.value?.error ?? outcome.value?.status?.info ?? (outcome.body.slice(0, 500) || "no response");
  const message = `Error ${outcome.status}: ${text}`;
  const problems = view() === "json" ? [] : readProblems(String(text));
  const placed = problems.filter(({ field }) => field >= 0);
  for (const { row, field, text: problem } of placed) {
    if (view() === "table") cellErrors.set(`${firstRow + row},${field}`, problem);
    else setFieldError(field, problem);
  }
  const others = problems.filter(({ field }) => field < 0).map((problem) => problem.text);
  if (!placed.length) return setStatus(message, true);
  const count = placed.length === 1 ? "one value is not valid" : `${placed.length} values are not valid`;
  setStatus([`Error ${outcome.status}: ${count}`, ...others].join("; "), true);
  if (view() === "form") $(`field-${placed[0].field}`).focus();
}

// --- sending ---

async function call(text) {
  const start = performance.now();
  const headers = { "Content-Type": "application/json" };
  const response = await request(operation()[protocol()].path, { method: "POST", headers, body: text });
  const body = await response.text();
  let value;
  try {
    value = parseJson(body);
  } catch {
    value = undefined;
  }
  document.dispatchEvent(new CustomEvent("response", { detail: response.ok ? value : undefined }));
  return { isOk: response.ok, status: response.status, body, value, milliseconds: performance.now() - start };
}

async function submit(event) {
  event.preventDefault();
  if (isSending) return;
  isSending = true;
  clearErrors();
  setStatus("Sending …");
  try {
    if (view() === "table") await submitTable();
    else await submitMessage(currentText());
  } catch (error) {
    setStatus(`Error: ${error.message}`, true);
  } finally {
    isSending = false;
    if (view() === "table") renderTable();
  }
}

async function submitMessage(text) {
  const outcome = await call(text);
  if (view() === "json") remember(text, outcome);
  if (outcome.isOk) {
    setStatus(`${outcome.status} OK, ${Math.round(outcome.milliseconds)} ms`);
    showResponse(readResponse(outcome.value), outcome);
  } else {
    $("response").hidden = true;
    showError(outcome);
  }
}

async function submitTable() {
  const start = performance.now();
  predictions = null;
  let columns = [];
  const results = [];
  for (let first = 0; first < rows.length; first += ROWS_PER_REQUEST) {
    const part = rows.slice(first, first + ROWS_PER_REQUEST);
    const outcome = await call(JSON.stringify(buildRows(part)));
    if (!outcome.isOk) return showError(outcome, first);
    const result = readResponse(outcome.value);
    if (result.rows.length !== part.length) {
      setStatus(`The response has no row for each of the ${countRows(part.length)}`, true);
      return showResponse(result, outcome);
    }
    columns = result.columns;
    results.push(...result.rows);
    setStatus(`${results.length} of ${countRows(rows.length)}`);
  }
  predictions = { columns, rows: results };
  $("response").hidden = true;
  setStatus(`${countRows(results.length)}, ${Math.round(performance.now() - start)} ms`);
}

// --- the table ---

function renderTable() {
  const outputs = predictions?.columns ?? [];
  const head = make(
    "tr",
    {},
    make("th", { scope: "col" }, "row"),
    ...facts.fields.map((field) => make("th", { scope: "col" }, field.name)),
    ...outputs.map(headCell),
    make("td"),
  );
  const lines = rows.slice(0, MAX_SHOWN_ROWS).map((row, index) => renderRow(row, index, outputs));
  $("rows").replaceChildren(make("thead", {}, head), make("tbody", {}, ...lines));
  const hidden = rows.length - lines.length;
  $("more-rows").textContent = hidden > 0 ? `${hidden} more rows are not shown; they are sent too.` : "";
  $("download").hidden = predictions === null;
}

function renderRow(row, index, outputs) {
  const cells = facts.fields.map((field, at) => {
    const problem = cellErrors.get(`${index},${at}`);
    const id = `cell-${index}-${at}`;
    const input = make("input", {
      value: row[at] ?? "",
      "data-row": index,
      "data-column": at,
      "aria-label": `${field.name}, row ${index}`,
      "aria-invalid": problem ? "true" : null,
      "aria-describedby": problem ? id : null,
      size: "8",
    });
    return make("td", {}, input, ...(problem ? [make("p", { class: "error", id }, problem)] : []));
  });
  const results = outputs.map((column, at) => make("td", { class: "output" }, renderValue(predictions.rows[index]?.[at], column)));
  const remove = make("button", { type: "button", class: "plain", "data-remove": index, "aria-label": `Remove row ${index}` }, "×");
  return make("tr", {}, make("th", { scope: "row" }, String(index)), ...cells, ...results, make("td", {}, remove));
}

/** Split delimited text into rows of texts; a field in quotes can contain delimiters, line breaks and doubled quotes. */
function splitTable(text) {
  const [line] = text.split(/\r?\n/, 1);
  const delimiter = ["\t", ",", ";"].find((each) => line.includes(each)) ?? ",";
  const table = [[]];
  const pattern = new RegExp(`(?:"((?:[^"]|"")*)"|([^${delimiter}\\r\\n]*))(${delimiter}|\\r?\\n|\\r|$)`, "y");
  const source = text.replace(/^\ufeff/, "").replace(/(\r?\n)+$/, "");
  while (pattern.lastIndex <= source.length) {
    const match = pattern.exec(source);
    if (!match) throw new Error(`line ${table.length} has text after a closing quote`);
    table.at(-1).push(match[1] === undefined ? match[2] : match[1].replaceAll('""', '"'));
    if (match[3] === "") break;
    if (match[3] !== delimiter) table.push([]);
  }
  return table;
}

/** Put the columns of a table with a header in order; return null if the first row is no header. */
function orderColumns(table) {
  const header = table[0].map((name) => name.trim());
  const places = facts.fields.map((field) => header.indexOf(field.name));
  if (places.every((place) => place < 0)) return null;
  const ignored = header.filter((name) => !facts.fields.some((field) => field.name === name));
  const missing = facts.fields.filter((field, index) => places[index] < 0 && !field.optional).map((field) => field.name);
  const ordered = table.slice(1).map((row) => places.map((place) => (place < 0 ? "" : row[place] ?? "")));
  return { ordered, ignored, missing };
}

function takeTable(text, row, column, isWhole) {
  const table = splitTable(text);
  const named = orderColumns(table);
  const added = named ? named.ordered : table;
  const width = named ? 0 : column;
  if (isWhole) rows = [];
  added.forEach((line, index) => {
    const target = (rows[row + index] ??= facts.fields.map(() => ""));
    line.forEach((text_, at) => {
      if (width + at < facts.fields.length) target[width + at] = text_;
    });
  });
  predictions = null;
  clearErrors();
  renderTable();
  const notes = [countRows(added.length)];
  if (named?.ignored.length) notes.push(`ignored columns: ${named.ignored.join(", ")}`);
  if (named?.missing.length) notes.push(`missing columns: ${named.missing.join(", ")}`);
  setStatus(notes.join("; "), Boolean(named?.missing.length));
  updateCode();
}

async function takeFile(file) {
  try {
    takeTable(await file.text(), 0, 0, true);
  } catch (error) {
    setStatus(`${file.name}: ${error.message}`, true);
  }
}

function pasteCells(event) {
  const text = event.clipboardData.getData("text/plain");
  const { row, column } = event.target.dataset;
  if (row === undefined || !/[\t\n]/.test(text.replace(/\r?\n$/, ""))) return;
  event.preventDefault();
  try {
    takeTable(text, Number(row), Number(column), false);
  } catch (error) {
    setStatus(error.message, true);
  }
}

function downloadTable() {
  const quote = (value) => {
    const text = value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const names = [...facts.fields, ...predictions.columns].map((column) => column.name);
  const lines = [names, ...rows.map((row, index) => [...row, ...(predictions.rows[index] ?? [])])];
  const blob = new Blob([lines.map((line) => line.map(quote).join(",")).join("\r\n"), "\r\n"], { type: "text/csv" });
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: `${facts.model}.csv` }).click();
  URL.revokeObjectURL(url);
}

const exampleRow = () => facts.fields.map((field) => field.example);

function resetTable() {
  rows = [exampleRow()];
  predictions = null;
  renderTable();
}

function startTable() {
  on("rows", "input", ({ target }) => {
    rows[target.dataset.row][target.dataset.column] = target.value;
    updateCode();
  });
  on("rows", "paste", pasteCells);
  on("rows", "click", ({ target }) => {
    if (target.dataset.remove === undefined) return;
    rows.splice(Number(target.dataset.remove), 1);
    predictions?.rows.splice(Number(target.dataset.remove), 1);
    clearErrors();
    renderTable();
    updateCode();
  });
  on("add-row", "click", () => {
    rows.push(exampleRow());
    renderTable();
    updateCode();
  });
  on("download", "click", downloadTable);
  on("csv", "change", ({ target }) => {
    if (target.files.length) takeFile(target.files[0]);
    target.value = "";
  });
  acceptDrop($("table-view"), takeFile);
  resetTable();
}

function acceptDrop(element, take) {
  const mark = (isOver) => element.classList.toggle("over", isOver);
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  element.addEventListener("dragleave", () => mark(false));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

// --- images ---

function setImage(index, base64) {
  const preview = $(`field-${index}`).parentElement.querySelector("img");
  images.set(index, base64);
  preview.hidden = base64 === "";
  preview.src = base64 ? `data:${facts.fields[index].imageType};base64,${base64}` : "data:,";
}

function takeImage(index, file) {
  const reader = new FileReader();
  reader.addEventListener("load", () => {
    setImage(index, reader.result.slice(reader.result.indexOf(",") + 1));
    updateCode();
  });
  reader.readAsDataURL(file);
}

/** Make an example that is too large for the document; as the default, so that the form can be reset to it. */
function startLarge(index, [shape, value]) {
  const count = shape.reduce((product, size) => product * size, 1);
  $(`field-${index}`).defaultValue = JSON.stringify(nest(Array(count).fill(value), shape));
}

function startImage(index) {
  const chooser = $(`field-${index}`);
  setImage(index, facts.fields[index].example);
  chooser.addEventListener("change", () => chooser.files.length && takeImage(index, chooser.files[0]));
  acceptDrop(chooser.parentElement, (file) => takeImage(index, file));
}

// --- the editor and recent requests ---

const draftKey = () => `${protocol()} ${selected("operation") ?? 0}`;

function showDraft() {
  if (!drafts.has(draftKey())) {
    const { example } = operation()[protocol()];
    let text = "";
    try {
      text = formatJson(example ?? buildMessage());
    } catch {
      /* the form is not complete; its errors are shown there */
    }
    drafts.set(draftKey(), text);
  }
  $("message").value = drafts.get(draftKey());
}

const recentKey = () => `recent${facts.component ?? ""}`;
const readRecent = () => JSON.parse(store.get(recentKey()) ?? "[]");

function remember(text, outcome) {
  if (text.length > MAX_RECENT_TEXT) return;
  const entry = {
    protocol: protocol(),
    operation: Number(selected("operation") ?? 0),
    text,
    status: outcome.status,
    milliseconds: Math.round(outcome.milliseconds),
    time: new Date().toLocaleTimeString(),
  };
  const others = readRecent().filter((each) => each.text !== text || each.protocol !== entry.protocol);
  store.set(recentKey(), JSON.stringify([entry, ...others].slice(0, MAX_RECENT)));
  renderRecent();
}

function renderRecent() {
  const entries = readRecent();
  $("recent").hidden = view() !== "json" || entries.length === 0;
  $("recent-list").replaceChildren(
    ...entries.map((entry) => {
      const summary = `${entry.time} ${entry.protocol.toUpperCase()} ${entry.status}, ${entry.milliseconds} ms`;
      const excerpt = make("code", {}, shorten(entry.text.replace(/\s+/g, " "), 80));
      return make("li", {}, make("button", { type: "button", class: "plain", onclick: () => restore(entry) }, summary, excerpt));
    }),
  );
}

function restore(entry) {
  for (const [name, value] of Object.entries({ protocol: entry.protocol, operation: entry.operation, view: "json" })) {
    const radio = document.querySelector(`#switches input[name="${name}"][value="${value}"]`);
    if (radio) radio.checked = true;
  }
  drafts.set(draftKey(), entry.text);
  showView();
  $("message").focus();
}

function showView() {
  for (const name of ["form", "table", "json"]) {
    const element = $(`${name}-view`);
    if (element) element.hidden = view() !== name;
  }
  if (view() === "json") showDraft();
  renderRecent();
  updateCode();
}

function reset() {
  clearErrors();
  setStatus("");
  drafts.clear();
  $("request").reset();
  if (facts.kind) facts.fields.forEach((field, index) => field.widget === "image" && setImage(index, field.example));
  if ($("rows")) resetTable();
  $("response").hidden = true;
  showView();
}

// --- the request as code ---

const quoteShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function pythonLiteral(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (!isNested(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(", ")}]`;
  return `{${Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${pythonLiteral(each)}`).join(", ")}}`;
}

const url = () => new URL(operation()[protocol()].path, location.href).href;

function writeCurl(text) {
  const auth = facts.hasToken ? ` \\\n  -H "Authorization: Bearer $TOKEN"` : "";
  return `curl -s ${quoteShell(url())} \\\n  -H 'Content-Type: application/json'${auth} \\\n  -d ${quoteShell(text)}`;
}

function writeRequests(text) {
  const auth = facts.hasToken ? `, headers={"Authorization": f"Bearer {os.environ['TOKEN']}"}` : "";
  return `${facts.hasToken ? "import os\n\n" : ""}import requests

message = ${pythonLiteral(parseJson(text))}
response = requests.post(${JSON.stringify(url())}, json=message${auth}, timeout=60)
print(response.json())`;
}

function writeJavaScript(text) {
  const auth = facts.hasToken ? ", Authorization: `Bearer ${token}`" : "";
  return `const message = ${text.trim()};
const response = await fetch(${JSON.stringify(url())}, {
  method: "POST",
  headers: { "Content-Type": "application/json"${auth} },
  body: JSON.stringify(message),
});
console.log(await response.json());`;
}

function toProtobuf(message) {
  if (protocol() === "v1") return message;
  const { id, parameters, inputs = [] } = message;
  const convert = (given = {}) =>
    Object.fromEntries(Object.entries(given).map(([name, value]) => [name, { [parameterField(value)]: value }]));
  const tensors = inputs.map((input) => {
    const field = facts.datatypes[input.datatype]?.contents;
    if (!field) throw new Error(`${input.datatype} has only the raw form on gRPC`);
    const isFile = facts.fields.find((each) => each.name === input.name)?.imageType;
    const data = [input.data].flat(Infinity);
    const values = input.datatype === "BYTES" && !isFile ? data.map(encodeBase64) : data;
    return { name: input.name, datatype: input.datatype, shape: input.shape, parameters: convert(input.parameters), contents: { [field]: values } };
  });
  return { model_name: facts.model, ...(id === undefined ? {} : { id }), parameters: convert(parameters), inputs: tensors };
}

function parameterField(value) {
  if (typeof value === "boolean") return "bool_param";
  if (typeof value === "number") return Number.isInteger(value) ? "int64_param" : "double_param";
  return "string_param";
}

function encodeBase64(text) {
  return btoa(String.fromCodePoint(...new TextEncoder().encode(text)));
}

// The messages come from the server's reflection, so that the code needs no generated module.
function writeGrpc(text) {
  const { path, request: input, response: output } = operation()[protocol()].grpc;
  const target = JSON.stringify(`${location.hostname}:${facts.grpcPort}`);
  const isSecure = location.protocol === "https:";
  const connect = isSecure ? `grpc.secure_channel(${target}, grpc.ssl_channel_credentials())` : `grpc.insecure_channel(${target})`;
  const message = pythonLiteral(JSON.stringify(toProtobuf(parseJson(text))));
  const auth = facts.hasToken
    ? `

class Token(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    def intercept(self, proceed, details, request):
        return proceed(details._replace(metadata=[("authorization", f"Bearer {os.environ['TOKEN']}")]), request)

    intercept_unary_unary = intercept_stream_stream = intercept


channel = grpc.intercept_channel(${connect}, Token())`
    : `
channel = ${connect}`;
  return `${facts.hasToken ? "import os\n\n" : ""}import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
${auth}
pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
request_class, response_class = (
    message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    for name in (${JSON.stringify(input)}, ${JSON.stringify(output)})
)
call = channel.unary_unary(${JSON.stringify(path)}, request_class.SerializeToString, response_class.FromString)
request = json_format.Parse(${message}, request_class())
print(json_format.MessageToJson(call(request, timeout=60)))`;
}

function writeTriton(text) {
  const { inputs = [] } = parseJson(text);
  const root = new URL(".", location.href);
  const isFile = (input) => facts.fields.find((each) => each.name === input.name)?.imageType;
  const lines = inputs.map((input, index) => {
    const type = facts.datatypes[input.datatype]?.numpy;
    if (!type) throw new Error(`numpy has no ${input.datatype}`);
    const data = [input.data].flat(Infinity);
    const values = isFile(input) ? `[${data.map((each) => `base64.b64decode(${pythonLiteral(each)})`).join(", ")}]` : pythonLiteral(data);
    const dtype = type === "object" ? "object" : `np.${type === "bool" ? "bool_" : type}`;
    return `input_${index} = triton.InferInput(${pythonLiteral(input.name)}, ${pythonLiteral(input.shape)}, ${pythonLiteral(input.datatype)})
input_${index}.set_data_from_numpy(np.array(${values}, ${dtype}).reshape(${pythonLiteral(input.shape)}))`;
  });
  const modules = [...(inputs.some(isFile) ? ["import base64"] : []), ...(facts.hasToken ? ["import os"] : [])];
  const secure = root.protocol === "https:" ? ", ssl=True" : "";
  const headers = facts.hasToken ? `, headers={"Authorization": f"Bearer {os.environ['TOKEN']}"}` : "";
  return `${modules.length ? `${modules.join("\n")}\n\n` : ""}import numpy as np
import tritonclient.http as triton

client = triton.InferenceServerClient(${JSON.stringify((root.host + root.pathname).replace(/\/$/, ""))}${secure})
${lines.join("\n")}
result = client.infer(${pythonLiteral(facts.model)}, [${inputs.map((_input, index) => `input_${index}`).join(", ")}]${headers})
for output in result.get_response()["outputs"]:
    print(output["name"], result.as_numpy(output["name"]).tolist())`;
}

function listLanguages() {
  const hasGrpc = facts.grpcPort !== null && operation()[protocol()].grpc !== null;
  const hasTriton = protocol() === "v2" && operation().v2.grpc !== null;
  return {
    curl: writeCurl,
    "Python, requests": writeRequests,
    ...(hasGrpc ? { "Python, gRPC": writeGrpc } : {}),
    ...(hasTriton ? { "Python, tritonclient": writeTriton } : {}),
    JavaScript: writeJavaScript,
  };
}

function updateCode() {
  const languages = listLanguages();
  const current = $("language").value;
  const name = languages[current] ? current : "curl";
  $("language").replaceChildren(...Object.keys(languages).map((each) => make("option", { selected: each === name }, each)));
  $("copied").textContent = "";
  try {
    const text = currentText();
    $("code").textContent =
      text.length > MAX_CODE ? "The message is too large to show. Remove rows, or use seldon-spec predict." : languages[name](text);
  } catch (error) {
    $("code").textContent = `# no code: ${error.message}`;
  }
}

async function copyCode() {
  const range = document.createRange();
  range.selectNodeContents($("code"));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  // The clipboard API exists only over HTTPS and on localhost.
  if (navigator.clipboard) await navigator.clipboard.writeText($("code").textContent);
  else document.execCommand("copy");
  $("copied").textContent = "Copied";
}

// --- live values ---

/** The counts of the last seconds, and the rates that the graph shows. */
let samples = [];
let rates = [];

function readCounts(statistics) {
  const { success, fail, queue } = statistics.model_stats[0].inference_stats;
  return { time: performance.now(), success, fail, queue };
}

const countRequests = (sample) => sample.success.count + sample.fail.count;
const countRate = (now, last, count) => (1000 * (count(now) - count(last))) / (now.time - last.time);
const showRate = (rate) => `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} / s`;

function showMean(now, last) {
  const count = now.count - last.count;
  return count > 0 ? `${((now.ns - last.ns) / count / 1e6).toPrecision(3)} ms` : "–";
}

function showLive() {
  const [first, now] = [samples[0], samples.at(-1)];
  $("live-rate").textContent = showRate(countRate(now, first, countRequests));
  $("live-errors").textContent = showRate(countRate(now, first, (sample) => sample.fail.count));
  $("live-latency").textContent = showMean(now.success, first.success);
  $("live-queue").textContent = showMean(now.queue, first.queue);
  rates = [...rates, countRate(now, samples.at(-2), countRequests)].slice(-SPARKLINE_POINTS);
  const top = Math.max(1, ...rates);
  const points = rates.map((each, index) => `${(120 * index) / (SPARKLINE_POINTS - 1)},${29 - (28 * each) / top}`);
  $("sparkline").querySelector("polyline").setAttribute("points", points.join(" "));
}

async function poll() {
  if (document.hidden) {
    samples = [];
    return;
  }
  try {
    const [statistics, index] = await Promise.all(
      [request("v2/models/stats"), request("v2/repository/index", { method: "POST" })].map(async (each) => (await each).json()),
    );
    samples = [...samples, readCounts(statistics)].slice(-SAMPLES);
    if (samples.length > 1) showLive();
    const { state, reason } = index[0];
    setState(state === "READY" ? "ready" : reason || "not ready", state === "READY");
  } catch {
    samples = [];
    setState("not reachable", false);
  }
}

function setState(text, isReady) {
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").classList.toggle("ready", isReady);
}

async function pollForever() {
  await poll();
  setTimeout(pollForever, POLL_MILLISECONDS);
}

// --- start ---

/** Links do not send the token, so the script gets what they point at. */
async function openDocument(event) {
  event.preventDefault();
  const response = await request(event.target.getAttribute("href"));
  const text = await response.text();
  let shown = text;
  try {
    shown = formatJson(parseJson(text));
  } catch {
    /* shown as it is */
  }
  $("document-title").textContent = event.target.textContent;
  $("document").querySelector("pre").textContent = shown;
  $("document").showModal();
}

/** Start the card that sends requests, with the data block of a document. */
function startRequest(source) {
  facts = JSON.parse(source.getElementById("facts").textContent);
  images = new Map();
  drafts = new Map();
  if (facts.kind) {
    facts.fields.forEach((field, index) => {
      if (field.widget === "image") startImage(index);
      if (field.fill) startLarge(index, field.fill);
    });
  }
  if ($("rows")) startTable();
  on("request", "submit", submit);
  on("switches", "change", ({ target }) => {
    // The editor starts with what the form or the table has.
    if (target.name === "view") drafts.clear();
    showView();
  });
  on("request", "input", ({ target }) => {
    if (target === $("message")) drafts.set(draftKey(), target.value);
    else if (target.dataset.field !== undefined) setFieldError(Number(target.dataset.field), "");
    updateCode();
  });
  on("restore", "click", reset);
}

function startPage() {
  startRequest(document);
  on("language", "change", updateCode);
  on("copy", "click", copyCode);
  if (token) document.querySelectorAll("nav a").forEach((link) => link.addEventListener("click", openDocument));
  if ($("graph")) document.head.append(make("script", { src: "graph.js" }));
  showView();
  pollForever();
}

async function logIn(given) {
  const response = await fetch("./", { cache: "no-store", headers: { Authorization: `Bearer ${given}` } });
  const loaded = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!loaded.getElementById("facts")) return false;
  token = given;
  store.set("token", given);
  document.title = loaded.title;
  document.body.replaceChildren(...loaded.body.childNodes);
  startPage();
  return true;
}

async function startLogin() {
  const fail = (text) => ($("token-error").textContent = text);
  on("login", "submit", async (event) => {
    event.preventDefault();
    fail("");
    try {
      if (!(await logIn($("token").value.trim()))) fail("The server does not accept this token.");
    } catch (error) {
      fail(`The token could not be sent: ${error.message}`);
    }
  });
  const kept = store.get("token");
  if (kept && !(await logIn(kept).catch(() => false))) store.set("token", "");
}

if ($("facts")) startPage();
else startLogin();
