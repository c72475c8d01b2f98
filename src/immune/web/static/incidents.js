// The open incidents, sorted to where a person looks for them.

import { h, list, place } from "./dom.js";
import { card } from "./incident.js";

const SECTIONS = [
  { id: "fleet", title: "Fleet incidents", empty: "" },
  { id: "pending", title: "Waiting for you", empty: "Nothing waits for a decision." },
  { id: "rejected", title: "Rejected: fenced until you heal or release them", empty: "" },
  { id: "open", title: "Open incidents", empty: "No other incident is open." },
];

const QUIET = new Set(["suspected", "observed"]);

/** @param {any} incident */
function section(incident) {
  if (incident.subject.kind !== "agent") return "fleet";
  if (incident.state === "awaiting_approval") return "pending";
  if (incident.state === "rejected") return "rejected";
  return "open";
}

/** @param {any} a @param {any} b */
function urgency(a, b) {
  const quiet = Number(QUIET.has(a.state)) - Number(QUIET.has(b.state));
  return quiet || b.severity - a.severity || a.opened_at - b.opened_at;
}

/**
 * @param {any[]} incidents all open ones
 * @param {{actions: string[], changed: () => void}} context
 */
export function showIncidents(incidents, context) {
  for (const { id, title, empty } of SECTIONS) {
    const mine = incidents.filter((incident) => section(incident) === id).sort(urgency);
    const where = place(id);
    if (!where.firstElementChild) {
      where.append(h("h2", {}, title, " ", h("span", { class: "count" })));
      where.append(h("p", { class: "empty" }, empty), h("div", { class: "cards" }));
    }
    where.hidden = !mine.length && !empty;
    const [counter, note, cards] = [".count", ".empty", ".cards"].map((c) => where.querySelector(c));
    if (counter) counter.textContent = mine.length ? String(mine.length) : "";
    if (note instanceof HTMLElement) note.hidden = mine.length > 0;
    if (cards) {
      const depends = (/** @type {any} */ one) => [one.version, context.actions.length];
      list(cards, mine, (one) => one.id, depends, (one) => card(one, context));
    }
  }
}
