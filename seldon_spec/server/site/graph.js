"use strict";

/** What sends requests to the whole graph, whose name is "", and to each component that was chosen. */
const cards = new Map();
let wanted = "";

// --- sending requests to one component ---

function keepCard() {
  const parts = { card: $("request-card"), contract: $("contract") };
  cards.set(facts.component, { ...parts, facts, images, drafts, rows, predictions, cellErrors });
}

async function loadCard(name) {
  const response = await request(`graph/forms/${name}`);
  if (!response.ok) throw new Error(`Error ${response.status}: the form of ${name} cannot be loaded`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function putCard({ card, contract }) {
  $("request-card").replaceWith(card);
  $("contract").replaceWith(contract);
}

async function showCard(name) {
  const isNew = !cards.has(name);
  const loaded = isNew ? await loadCard(name) : null;
  if (wanted !== name || isSending) return;
  keepCard();
  if (isNew) {
    const find = (id) => document.adoptNode(loaded.getElementById(id));
    putCard({ card: find("request-card"), contract: find("contract") });
    [rows, predictions, cellErrors] = [[], null, new Map()];
    startRequest(loaded);
    on("whole", "click", () => choose(""));
  } else {
    const kept = cards.get(name);
    ({ facts, images, drafts, rows, predictions, cellErrors } = kept);
    putCard(kept);
  }
  $("response").hidden = true;
  setStatus("");
  showView();
  for (const button of document.querySelectorAll("#graph [role=button]")) {
    button.setAttribute("aria-pressed", String(button.dataset.component === name));
  }
  $("chosen").textContent = name ? `Requests go to ${name} alone.` : "Requests go to the whole graph.";
}

async function choose(name) {
  if (isSending) return;
  wanted = name === facts.component ? "" : name;
  if (wanted === facts.component) return;
  try {
    await showCard(wanted);
    $("request-title").scrollIntoView({ block: "nearest" });
  } catch (error) {
    setStatus(error.message, true);
  }
}

function findButton(event) {
  return event.target.closest("[role=button]");
}

function startButtons() {
  on("graph", "click", (event) => {
    const button = findButton(event);
    if (button) choose(button.dataset.component);
  });
  on("graph", "keydown", (event) => {
    const button = findButton(event);
    if (!button || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    choose(button.dataset.component);
  });
}

// --- the branches of the last response ---

function readRouting(message) {
  if (message?.meta?.routing) return message.meta.routing;
  try {
    return JSON.parse(message.parameters.routing);
  } catch {
    return null;
  }
}

const BRANCHES = { "-1": "all branches", "-2": "no branch" };

function showRouting({ detail }) {
  const routing = facts.component === "" && detail !== undefined ? readRouting(detail) ?? {} : null;
  const isTaken = (path) => path.every(([step, branch]) => routing[step] === branch || routing[step] === -1);
  for (const element of document.querySelectorAll("#graph [data-path]")) {
    const isShadow = element.closest(".shadow") !== null;
    element.classList.toggle("taken", routing !== null && !isShadow && isTaken(JSON.parse(element.dataset.path)));
  }
  const texts = Object.entries(routing ?? {}).map(([step, branch]) => `${step}: ${BRANCHES[branch] ?? `branch ${branch}`}`);
  $("routing").textContent = texts.length ? `Branches: ${texts.join(", ")}` : "";
}

// --- live values ---

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const showCount = (count, noun) => `${count < 10000 ? count : compact.format(count)} ${noun}${count === 1 ? "" : "s"}`;
const showSeconds = (total) => (total.count ? `${((1000 * total.sum) / total.count).toPrecision(3)} ms` : "–");

function setText(element, selector, text) {
  const target = element.querySelector(selector);
  if (target && target.textContent !== text) target.textContent = text;
}

function showCalls(calls) {
  for (const element of document.querySelectorAll("[data-component]")) {
    const { component, operation: method, shadow } = element.dataset;
    const isShadow = shadow !== undefined;
    const found = calls.filter((each) => each.component === component && each.method === method && each.shadow === isShadow);
    const total = { count: 0, sum: 0, error: 0 };
    for (const { outcome, count, sum } of found) {
      total.count += count;
      total.sum += sum;
      if (outcome !== "success") total.error += count;
    }
    const mean = showSeconds(total);
    setText(element, "text.count", total.count ? `${showCount(total.count, "call")}, ${mean}` : "no calls");
    setText(element, "text.failed", total.error ? showCount(total.error, "error") : "");
    setText(element, ".calls", String(total.count));
    setText(element, ".mean", mean);
    setText(element, ".errors", String(total.error));
  }
}

/** A branch also gets the requests that go to all branches. */
function showBranches(branches) {
  for (const element of document.querySelectorAll("[data-branch]")) {
    const own = branches.filter((each) => each.step === element.dataset.step);
    const index = Number(element.dataset.branch);
    const sum = (all, { count }) => all + count;
    const count = own.filter(({ branch }) => branch === index || (branch === -1 && index >= 0)).reduce(sum, 0);
    const total = own.reduce(sum, 0);
    setText(element, ".count", String(count));
    setText(element, ".share", total ? `${Number(((100 * count) / total).toPrecision(3))} %` : "");
  }
}

async function pollCounts() {
  if (!document.hidden) {
    try {
      const { calls, branches } = await (await request("graph/counts")).json();
      showCalls(calls);
      showBranches(branches);
    } catch {
      /* the header shows that the server is not reachable */
    }
  }
  setTimeout(pollCounts, POLL_MILLISECONDS);
}

// --- start ---

startButtons();
$("result").before(make("p", { id: "routing" }));
document.addEventListener("response", showRouting);
pollCounts();
