// What the whole page knows: one store for each thing that changes by itself.

import { Fleet } from "./fleet.js";
import { Store } from "./store.js";

/**
 * @typedef {import("./records.js").Status} Status
 * @typedef {import("./records.js").Case} Case
 */

/** "connecting" until the first answer, then "live", and "stale" once the stream is lost. */
export const link = new Store(
  /** @type {{state: "connecting" | "live" | "stale", heard: number, error?: string}} */ ({
    state: "connecting",
    heard: Date.now(),
  }),
);

export const status = new Store(/** @type {Status | null} */ (null));
export const tally = new Store(/** @type {import("./records.js").Tally | null} */ (null));
export const capabilities = new Store(
  /** @type {import("./records.js").Capabilities | null} */ (null),
);
export const table = new Store(/** @type {import("./records.js").StateRow[]} */ ([]));

/** The open incidents by id; a new map for each change. */
export const cases = new Store(/** @type {ReadonlyMap<string, Case>} */ (new Map()));

/** The last steps of incidents, newest first. */
export const moves = new Store(/** @type {import("./records.js").Move[]} */ ([]));

/** The fleet is changed in place; the store holds how often. */
export const fleet = new Fleet();
export const fleetChanges = new Store(0);

/** What the stream tells of the one thing that is watched closely. */
export const agentNews = new Store(
  /** @type {{agent_id: string, at: number, evidence: number, vitals: import("./records.js").Vital[]} | null} */ (null),
);
export const trialNews = new Store(
  /** @type {{incident_id: string, trial: import("./records.js").Trial | null} | null} */ (null),
);

/** Short notices: what an order came to. */
export const toasts = new Store(/** @type {{id: number, text: string, tone: string}[]} */ ([]));
let toastId = 0;

/** @param {string} text @param {"good" | "bad"} [tone] */
export function toast(text, tone = "good") {
  const id = (toastId += 1);
  toasts.update((all) => [...all.slice(-3), { id, text, tone }]);
  setTimeout(() => toasts.update((all) => all.filter((one) => one.id !== id)), tone === "bad" ? 12_000 : 6000);
}

/** Who decides, as it will stand in the record. */
export const who = new Store(localStorage.getItem("immune.who") || "operator");
who.subscribe(() => localStorage.setItem("immune.who", who.value));

/** "" follows the system. */
export const theme = new Store(localStorage.getItem("immune.theme") ?? "");
function showTheme() {
  document.documentElement.dataset.theme = theme.value;
  localStorage.setItem("immune.theme", theme.value);
}
theme.subscribe(showTheme);
showTheme();

/** Seconds by which this clock is behind the server's. */
let skew = 0;

/** @param {number} serverNow epoch seconds */
export function noteServerTime(serverNow) {
  skew = serverNow - Date.now() / 1000;
}

/** The server's time now, epoch seconds. */
export function now() {
  return Date.now() / 1000 + skew;
}

/** Moves on every second, for what shows how long ago something was. */
export const second = new Store(0);
setInterval(() => second.update((n) => n + 1), 1000);

/** What was told of cases while all of them were being read. @type {Map<string, Case>} */
const meanwhile = new Map();

/** All cases are about to be read. */
export function expectCases() {
  meanwhile.clear();
}

/** Take all open cases; what was told meanwhile is newer than what was read. @param {Case[]} all */
export function takeCases(all) {
  const next = new Map(all.map((one) => [one.id, one]));
  for (const one of meanwhile.values()) {
    if ((next.get(one.id)?.version ?? -1) >= one.version) continue;
    if (one.is_open === false) next.delete(one.id);
    else next.set(one.id, one);
  }
  cases.set(next);
}

/** @param {Case} one */
export function takeCase(one) {
  const known = cases.value.get(one.id);
  if (known && known.version > one.version) return;
  meanwhile.set(one.id, one);
  const next = new Map(cases.value);
  if (one.is_open === false) next.delete(one.id);
  else next.set(one.id, one);
  cases.set(next);
}

/** What waits for a person, the most urgent first: severity, then age. */
export function waiting(/** @type {ReadonlyMap<string, Case>} */ all) {
  const found = [...all.values()].filter((one) => one.kind === "agent" && NEEDS.has(one.state));
  return found.sort((a, b) => b.severity - a.severity || a.opened_at - b.opened_at);
}

const NEEDS = new Set(["awaiting_approval", "exhausted", "rejected"]);
