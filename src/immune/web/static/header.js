// What is always in sight: the mode and what it means, what is degraded, how near the brake is.

import { post, setWho, who } from "./api.js";
import { h, place } from "./dom.js";
import { count, percent, span, words } from "./format.js";
import { badge, choice, field, line } from "./widgets.js";

const MEANS = {
  observe: "It only says what it would have done.",
  ask: "It fences sick agents and asks a person before any healing.",
  enforce: "It fences and heals sick agents; it asks a person in severe cases.",
};

const ORDER = [
  "awaiting_approval", "exhausted", "rejected", "contained", "healing", "probation", "held",
  "observed", "suspected", "learning", "healthy",
];

/** @param {any} status */
function modeBox(status) {
  const types = Object.entries(status.modes_by_type);
  const would = status.would_have;
  return h(
    "div",
    { class: "mode" },
    h("strong", { class: `mode-${status.mode}` }, status.mode),
    h("span", {}, MEANS[status.mode] ?? ""),
    ...types.map(([type, mode]) => h("span", { class: "quiet" }, `${type}: ${mode}`)),
    status.mode === "observe" &&
      h(
        "span",
        { class: "quiet" },
        `So far it would have quarantined ${count(would.quarantined, "agent")} ` +
          `and asked about ${would.asked}.`,
      ),
  );
}

/** @param {any} status */
function brakeBox(status) {
  const brake = status.brake;
  const limit = brake.fenced + Math.max(brake.room, 0);
  const off = brake.share >= 1;
  return h(
    "div",
    { class: brake.holding ? "brake alarm" : "brake" },
    h("span", {}, brake.holding ? `The brake holds: ${brake.holding}.` : "Fenced by the system "),
    !brake.holding && h("strong", {}, brake.fenced),
    !brake.holding &&
      h("span", {}, ` of ${brake.active} active; ${off ? "the brake is off" : `the brake holds at ${limit} (${percent(brake.share)})`}.`),
  );
}

/** @param {any} status */
function counts(status) {
  const known = ORDER.filter((state) => status.by_state[state]);
  return h(
    "div",
    { class: "counts" },
    h("strong", {}, count(status.agents, "agent")),
    ...known.map((state) => h("span", {}, badge(state), ` ${status.by_state[state]}`)),
  );
}

/** @param {any} status */
export function showHeader(status) {
  const degraded = status.degraded.map((/** @type {any} */ task) =>
    h("div", { class: "alarm" }, `Degraded: ${task.name}. ${task.last_error}`),
  );
  place("header").replaceChildren(
    h("h1", {}, "Immune"),
    modeBox(status),
    counts(status),
    brakeBox(status),
    ...degraded,
  );
  place("run").textContent =
    `Run ${status.run_id}, version ${status.version}, up ${span(status.now - status.started_at)}; ` +
    `${count(status.accepted, "vital")} accepted, ${status.queued} waiting to be scored.`;
}

/**
 * The footer: who decides, and the mode's switch.
 * @param {() => void} changed
 */
export function showFooter(changed) {
  const name = line("operator");
  name.value = who() === "operator" ? "" : who();
  name.addEventListener("change", () => setWho(name.value));
  const mode = choice(["observe", "ask", "enforce"], "change the mode…");
  mode.addEventListener("change", async () => {
    const wanted = mode.value;
    mode.value = "";
    if (!wanted || !confirm(`Mode ${wanted} for all agents?\n\n${MEANS[wanted]}`)) return;
    try {
      await post("/api/mode", { mode: wanted });
      changed();
    } catch (error) {
      alert(error instanceof Error ? error.message : words(String(error)));
    }
  });
  place("footer").replaceChildren(
    field("Your name, for the record", name),
    field("Mode", mode),
    h("p", { id: "run", class: "quiet" }),
    h("p", { class: "quiet" }, h("a", { href: "/api/openapi.json" }, "API")),
  );
}
