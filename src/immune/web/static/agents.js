// The agents as a table: coloured and labelled by state, with evidence against its tiers.

import { h, list, place } from "./dom.js";
import { badge, line, time } from "./widgets.js";
import { openAgent } from "./agent.js";

const MOST = 500;
const COLUMNS = ["Agent", "State", "Evidence", "Severity", "Fence", "Seen"];

/** @type {any[]} */
let known = [];
/** @type {() => void} */
let changed = () => {};

/** @param {any} agent */
export function fence(agent) {
  if (!agent.fenced) return "";
  return agent.enforced ? "enforced" : "ordered, not enforced";
}

/** @param {any} agent */
function evidence(agent) {
  const full = agent.quarantine_at;
  if (!(full > 0)) return h("span", { class: "quiet" }, "none yet");
  const text = `${agent.evidence.toFixed(1)} of ${full.toFixed(1)}`;
  const level =
    agent.evidence >= full ? "high" : agent.evidence >= agent.suspicion_at ? "middle" : "low";
  const value = Math.max(0, Math.min(agent.evidence, full));
  return h(
    "span",
    { class: "evidence", title: `suspected at ${agent.suspicion_at.toFixed(1)} nats` },
    h("progress", { class: level, max: full, value, "aria-label": `evidence ${text} nats` }),
    h("span", {}, text),
  );
}

/** @param {any} agent */
function row(agent) {
  const name = h("button", { type: "button", class: "link" }, agent.agent_id);
  name.addEventListener("click", () => openAgent(agent.agent_id, changed));
  const facts = [agent.agent_type, agent.model].filter(Boolean).join(", ");
  return h(
    "tr",
    {},
    h("td", { "data-label": COLUMNS[0] }, name, h("div", { class: "quiet" }, facts)),
    h("td", { "data-label": COLUMNS[1] }, badge(agent.state)),
    h("td", { "data-label": COLUMNS[2] }, evidence(agent)),
    h("td", { "data-label": COLUMNS[3] }, agent.severity ? agent.severity.toFixed(1) : "—"),
    h("td", { "data-label": COLUMNS[4], class: agent.fenced && !agent.enforced ? "alarm" : "" },
      fence(agent) || "—"),
    h("td", { "data-label": COLUMNS[5] }, time(agent.last_seen_at)),
  );
}

function build() {
  const where = place("agents");
  if (where.firstElementChild) return;
  const search = line("search by id, type, model or provider");
  search.id = "search";
  search.setAttribute("aria-label", "Search agents");
  search.addEventListener("input", show);
  where.append(
    h("h2", {}, "Agents"),
    search,
    h("p", { class: "empty", id: "agents-note" }),
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...COLUMNS.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", { id: "agents-body" }),
    ),
  );
}

function show() {
  const search = place("search");
  const text = search instanceof HTMLInputElement ? search.value.toLowerCase() : "";
  const found = known.filter((agent) =>
    `${agent.agent_id} ${agent.agent_type} ${agent.model} ${agent.provider} ${agent.state}`
      .toLowerCase()
      .includes(text),
  );
  const note = place("agents-note");
  note.textContent =
    found.length > MOST
      ? `The first ${MOST} of ${found.length}: search for the others.`
      : known.length
        ? "None matches."
        : "No agent has reported yet: it appears with its first vital.";
  note.hidden = found.length > 0 && found.length <= MOST;
  const rows = found.slice(0, MOST);
  list(place("agents-body"), rows, (agent) => agent.agent_id, (agent) => agent, row);
}

/** @param {any[]} agents @param {() => void} whenChanged */
export function showAgents(agents, whenChanged) {
  known = agents;
  changed = whenChanged;
  build();
  show();
}
