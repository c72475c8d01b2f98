// One agent, in a dialog: what is known of it, and the hand's own fence.

import { agentPath, get, post, who } from "./api.js";
import { h, place } from "./dom.js";
import { number, percent, words } from "./format.js";
import { badge, field, line, order, time } from "./widgets.js";

const UNITS = { latency_ms: "ms", cost_usd: "USD", interval_s: "s" };

/** @param {any} profile */
function baseline(profile) {
  const rows = profile.metrics.map((/** @type {any} */ metric) => {
    const rare = metric.metric === "retries" || metric.metric === "errors";
    const unit = UNITS[metric.metric] ?? "";
    const normal = rare
      ? `${percent(metric.rate)} of steps`
      : `${number(metric.median)} ${unit} (${number(metric.low)} to ${number(metric.high)})`;
    return h("tr", {}, h("th", { scope: "row" }, words(metric.metric)), h("td", {}, normal));
  });
  const ready = profile.ready ? (profile.can_fence ? "" : ", too young to fence on") : ", learning";
  return h(
    "div",
    {},
    h("h3", {}, `Normal of its ${profile.kind}s`),
    h("p", { class: "quiet" }, `${number(profile.samples)} samples${ready}; median, 1st to 99th percentile`),
    h("table", { class: "small" }, h("tbody", {}, ...rows)),
  );
}

/** @param {any} detail */
function lines(detail) {
  const fences = detail.fences.map((/** @type {any} */ fence) =>
    h("li", {}, `Fenced by ${fence.by}: ${fence.reason} `,
      h("em", {}, fence.enforced_at ? "(enforced)" : "(ordered, not enforced)")),
  );
  const treatments = detail.treatments.map((/** @type {any} */ treatment) =>
    h("li", {}, `${words(treatment.action)} ${words(treatment.state)}: `,
      treatment.changes.map((/** @type {any} */ c) => `${c.what} ${c.before} → ${c.after}`).join(", ")),
  );
  const tried = detail.tried.map((/** @type {any} */ healing) =>
    h("li", {}, `${words(healing.action)} for ${words(healing.cause)}: ${words(healing.outcome)} `,
      time(healing.ordered_at)),
  );
  return h("ul", {}, ...fences, ...treatments, ...tried);
}

/**
 * @param {any} detail
 * @param {() => void} done
 */
function hand(detail, done) {
  const id = detail.agent.agent_id;
  const why = line("why");
  /** @param {string} verb */
  const give = (verb) => async () => {
    await post(agentPath(id, verb), { who: who(), why: why.value });
    done();
  };
  const held = detail.fences.some((/** @type {any} */ fence) => fence.incident_id === null);
  return h(
    "div",
    { class: "orders" },
    field("Reason", why),
    order("Quarantine", give("quarantine"), "danger"),
    held && order("Lift people's holds", give("release"), "primary"),
  );
}

/**
 * Show an agent.
 * @param {string} id
 * @param {() => void} changed
 */
export async function openAgent(id, changed) {
  const dialog = /** @type {HTMLDialogElement} */ (place("dialog"));
  const close = h("button", { type: "button", on: { click: () => dialog.close() } }, "Close");
  const done = () => {
    dialog.close();
    changed();
  };
  const title = h("h2", { id: "dialog-title" }, id);
  dialog.replaceChildren(title, h("p", { class: "quiet" }, "…"), close);
  dialog.showModal();
  try {
    const detail = await get(agentPath(id));
    const { agent, capabilities } = detail;
    dialog.replaceChildren(
      title,
      h("p", {}, badge(agent.state), ` mode ${agent.mode}; `,
        [agent.agent_type, agent.model, agent.provider].filter(Boolean).join(", ")),
      h("p", {}, capabilities.length
        ? `We can: ${capabilities.map(words).join(", ")}.`
        : "Not linked: we can do nothing to it."),
      lines(detail),
      ...detail.baselines.map(baseline),
      hand(detail, done),
      close,
    );
  } catch (error) {
    dialog.replaceChildren(title, h("p", {}, error instanceof Error ? error.message : ""), close);
  }
}
