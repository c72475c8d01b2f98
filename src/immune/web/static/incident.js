// One incident as a card: what is known, what would be done, and the buttons that its state allows.

import { get, incidentPath, post, who } from "./api.js";
import { h } from "./dom.js";
import { percent, span, words } from "./format.js";
import { badge, choice, field, line, order, time } from "./widgets.js";

/** @param {any} incident */
export function subject(incident) {
  const { kind, name } = incident.subject;
  return kind === "agent" ? name : `${words(kind)} ${name}`;
}

/** @param {any} incident */
function diagnosis(incident) {
  if (!incident.diagnosis) return null;
  const ranked = incident.diagnosis.ranked
    .filter((/** @type {any} */ r, /** @type {number} */ nth) => nth < 3 && r.confidence >= 0.01)
    .map((/** @type {any} */ r) => `${words(r.cause)} ${percent(r.confidence)}`)
    .join(", ");
  return h(
    "div",
    {},
    h("p", {}, h("strong", {}, "Diagnosis: "), ranked),
    h("ul", {}, ...incident.diagnosis.reasons.map((/** @type {string} */ why) => h("li", {}, why))),
  );
}

/** @param {any} incident */
function plan(incident) {
  const rungs = incident.ladder.slice(incident.next_rung);
  if (!rungs.length) return null;
  return h(
    "div",
    {},
    h("p", {}, h("strong", {}, incident.state === "awaiting_approval" ? "Plan as shown:" : "Plan:")),
    h(
      "ol",
      { class: "plan" },
      ...rungs.map((/** @type {any} */ rung) =>
        h(
          "li",
          { class: rung.skipped ? "skipped" : "" },
          h("strong", {}, words(rung.action)),
          rung.skipped ? ` skipped: ${rung.skipped}` : ` ${rung.expected}`,
          !rung.skipped && rung.asks && h("em", {}, " (always asks)"),
        ),
      ),
    ),
  );
}

/** @param {any} incident */
function note(incident) {
  const notes = [];
  if (incident.summary) notes.push(incident.summary);
  if (incident.asks) notes.push(`A person must decide: ${incident.asks}.`);
  if (incident.braked) notes.push("Held back by the brake: not fenced.");
  if (incident.current) notes.push(`Action: ${words(incident.current)}.`);
  if (incident.probation?.stale) notes.push("No fresh vitals: nothing is proved yet.");
  if (incident.overdue) notes.push(`Overdue: contact ${incident.overdue} was called.`);
  if (incident.members?.length) notes.push(`Agents: ${incident.members.join(", ")}.`);
  return notes.map((text) => h("p", {}, text));
}

/**
 * The buttons that the state allows; each order names the version shown here.
 * @param {any} incident
 * @param {{actions: string[], changed: () => void}} context
 */
function buttons(incident, context) {
  const why = line("reason (optional)");
  /** @param {string} verb @param {Record<string, unknown>} [more] */
  const give = (verb, more = {}) => async () => {
    const said = { version: incident.version, who: who(), why: why.value, ...more };
    try {
      await post(incidentPath(incident.id, verb), said);
    } finally {
      context.changed();
    }
  };
  const made = [];
  if (incident.subject.kind !== "agent") {
    made.push(
      order("Accept as new normal", give("release", { verdict: "new_normal" }), "primary"),
      order("It is over: close", give("release", { verdict: "fixed_by_hand" })),
      order("False alarm", give("release", { verdict: "false_alarm" })),
    );
    return h("div", { class: "orders" }, field("Why", why), ...made);
  }
  if (incident.state === "awaiting_approval") {
    made.push(order("Approve this plan", give("approve"), "primary"));
    made.push(order("Reject", give("reject"), "danger"));
  }
  if (incident.state === "rejected" || incident.state === "exhausted") {
    const exhausted = incident.state === "exhausted";
    const action = choice(context.actions, exhausted ? "choose an action…" : "as planned");
    made.push(field("Action", action));
    const heal = () => give("heal-now", action.value ? { action: action.value } : {})();
    made.push(order("Heal now", heal, "primary"));
  }
  const verdict = choice(["false_alarm", "new_normal", "fixed_by_hand"], "release as…");
  const release = async () => {
    if (!verdict.value) throw new Error("say what it was");
    await give("release", { verdict: verdict.value })();
  };
  return h("div", { class: "orders" }, field("Why", why), ...made, verdict, order("Release", release));
}

/** @param {any} incident */
function timeline(incident) {
  const body = h("div", { class: "timeline" }, "…");
  const details = h("details", {}, h("summary", {}, "Timeline"), body);
  details.addEventListener("toggle", async () => {
    if (!(details instanceof HTMLDetailsElement) || !details.open) return;
    try {
      const detail = await get(incidentPath(incident.id));
      body.replaceChildren(history(detail));
    } catch (error) {
      body.textContent = error instanceof Error ? error.message : String(error);
    }
  });
  return details;
}

/** @param {any} detail */
function history(detail) {
  const first = detail.events[0]?.event.at ?? 0;
  const rows = detail.events.map((/** @type {any} */ line) =>
    h(
      "li",
      {},
      h("span", { class: "quiet", title: new Date(line.event.at * 1000).toLocaleString() },
        `+${span(line.event.at - first)} `),
      h("strong", {}, words(line.event.type)),
      line.event.action && ` ${words(line.event.action)}`,
      line.event.who !== "system" && ` by ${line.event.who}`,
      line.event.why && `: ${line.event.why}`,
      " → ",
      badge(line.state),
      ...(line.event.changes ?? []).map((/** @type {any} */ change) =>
        h("div", { class: "quiet" }, `${change.what}: ${change.before} → ${change.after}`),
      ),
    ),
  );
  return h("ul", {}, ...rows);
}

const DECIDES = new Set(["awaiting_approval", "rejected", "exhausted"]);

/** @param {any} incident */
function cause(incident) {
  const first = incident.diagnosis?.ranked[0];
  return first ? h("span", {}, `${words(first.cause)} ${percent(first.confidence)}`) : null;
}

/**
 * All of a case that a person must decide; of the others what matters, and the rest on demand.
 * @param {any} incident
 * @param {{actions: string[], changed: () => void}} context
 */
export function card(incident, context) {
  const whole = incident.subject.kind !== "agent" || DECIDES.has(incident.state);
  return h(
    "article",
    { class: "card" },
    h(
      "h3",
      {},
      h("span", { class: "name" }, subject(incident)),
      badge(incident.state),
      h("span", { class: incident.severity >= 7 ? "severe" : "" },
        `severity ${incident.severity.toFixed(1)} of 10`),
      !whole && cause(incident),
      h("span", { class: "quiet" }, incident.id, " ", time(incident.opened_at)),
    ),
    ...note(incident),
    ...(whole
      ? [diagnosis(incident), plan(incident), buttons(incident, context), timeline(incident)]
      : [
          h(
            "details",
            { class: "more" },
            h("summary", {}, "Diagnosis, plan, release"),
            diagnosis(incident),
            plan(incident),
            buttons(incident, context),
          ),
          timeline(incident),
        ]),
  );
}
