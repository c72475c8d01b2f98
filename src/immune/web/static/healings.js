// What was tried, and what came of it. Only what was proved on fresh vitals is called cured.

import { h, list, place } from "./dom.js";
import { words } from "./format.js";
import { time } from "./widgets.js";

const OUTCOMES = {
  pending: "on trial",
  cured: "cured",
  relapsed: "relapsed",
  failed: "failed",
  unreachable: "unreachable",
  superseded: "not proved",
};

/** @param {any} healing */
function item(healing) {
  const proof =
    healing.outcome === "cured" || healing.outcome === "relapsed"
      ? ` on ${healing.fresh_steps} fresh steps`
      : "";
  return h(
    "li",
    {},
    h("span", { class: `badge ${healing.outcome}` }, OUTCOMES[healing.outcome] ?? healing.outcome),
    h("strong", {}, ` ${healing.agent_id}`),
    ` ${words(healing.action)} for ${words(healing.cause)}${proof} `,
    healing.note && h("span", { class: "quiet" }, `${healing.note} `),
    h("span", { class: "quiet" }, time(healing.ended_at ?? healing.ordered_at)),
  );
}

/** @param {any[]} healings */
export function showHealings(healings) {
  const where = place("healings");
  if (!where.firstElementChild) {
    where.append(
      h("h2", {}, "Recent healings"),
      h("p", { class: "empty" }, "Nothing was tried yet."),
      h("ul", { class: "plain" }),
    );
  }
  const [empty, items] = [where.querySelector(".empty"), where.querySelector("ul")];
  if (empty instanceof HTMLElement) empty.hidden = healings.length > 0;
  if (items) list(items, healings, (one) => one.key, (one) => one, item);
}

/** @param {any} stats */
export function showStats(stats) {
  const rate = stats.success_rate === null ? "—" : `${Math.round(100 * stats.success_rate)} %`;
  const decided = stats.cured + stats.relapsed + stats.failed;
  /** @type {[string, string | number, string][]} */
  const figures = [
    ["Agents", stats.agents, "that ever reported"],
    ["Vitals", stats.vitals.toLocaleString(), "steps stored in this run"],
    ["Incidents", stats.incidents, "opened, suspicions included"],
    ["Quarantined", stats.quarantined_now, "agents fenced right now"],
    ["Cured", stats.cured, "proved on fresh vitals"],
    ["Success rate", rate, `${stats.cured} of ${decided} attempts that were decided`],
  ];
  place("stats").replaceChildren(
    h("h2", {}, "The run in numbers"),
    h(
      "dl",
      { class: "figures" },
      ...figures.map(([name, value, says]) =>
        h("div", {}, h("dt", {}, name), h("dd", {}, h("strong", {}, value), h("span", { class: "quiet" }, says))),
      ),
    ),
  );
}
