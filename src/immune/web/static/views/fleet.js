// The fleet in five seconds: a verdict, the figures, every agent by state, and the table of them.

import { useMemo, useState } from "preact/hooks";
import { about, count, percent, plural, short } from "../format.js";
import { html } from "../html.js";
import { Empty } from "../parts/empty.js";
import { Icon } from "../parts/icon.js";
import { go } from "../route.js";
import { heldBy } from "../shell/panic.js";
import { cases, fleet, fleetChanges, now as serverNow, status, tally, waiting } from "../state.js";
import { useStore } from "../store.js";
import { STATES, URGENCY } from "../words.js";
import { AgentTable } from "./agent-table.js";
import { FleetMap } from "./fleet-map.js";

/** @typedef {import("../records.js").Lockdown} Lockdown */

const MAP_FROM = 40;

export function FleetView() {
  useStore(fleetChanges);
  const [chosen, choose] = useState(/** @type {ReadonlySet<string>} */ (new Set()));
  const counts = fleet.counts();
  const toggle = (/** @type {string} */ state) => {
    const next = new Set(chosen);
    if (!next.delete(state)) next.add(state);
    choose(next);
  };
  return html`<div class="view fleet-view">
    <h1 class="sr">Fleet</h1>
    <${Verdict} counts=${counts} />
    <${Cards} />
    ${fleet.size === 0
      ? html`<${Empty} icon="learning" title="No agent has reported yet">
          Send steps to <code>POST /api/vitals</code>, or point an OpenTelemetry exporter at <code>/v1/traces</code>. They appear here at once.<//>`
      : html`
        <${Share} counts=${counts} chosen=${chosen} toggle=${toggle} />
        ${fleet.size >= MAP_FROM && html`<${FleetMap} />`}
        <${AgentTable} states=${chosen} />`}
  </div>`;
}

/** One sentence on how the fleet is. @param {{counts: Record<string, number>}} props */
function Verdict({ counts }) {
  const open = useStore(cases);
  const now = useStore(status);
  const needed = waiting(open);
  const asked = needed.filter((one) => one.state === "awaiting_approval");
  const shared = [...open.values()].filter((one) => one.kind !== "agent");
  const fenced = fleet.fenced();
  const busy = (counts.healing ?? 0) + (counts.probation ?? 0) + (counts.contained ?? 0);
  const watched = (counts.suspected ?? 0) + (counts.observed ?? 0);
  let tone = "well";
  let title = fleet.size ? `All ${plural(fleet.size, "agent")} are well` : "Waiting for the first agent";
  /** @type {string[]} */
  const more = [];
  const held = (now?.lockdowns ?? []).reduce((/** @type {Lockdown | null} */ most, one) => (most && most.agents >= one.agents ? most : one), null);
  const silent = now && now.silent_since !== null ? serverNow() - now.silent_since : 0;
  if (held) {
    tone = "ask";
    title = heldBy(held);
    if (needed.length) more.push(`${plural(needed.length, "case waits", "cases wait")} for you`);
  } else if (asked.length) {
    tone = "ask";
    title = `${plural(asked.length, "case waits", "cases wait")} for your decision`;
    more.push(`the most severe is ${asked[0]?.name}, ${asked[0]?.severity.toFixed(1)} of 10`);
  } else if (needed.length) {
    tone = "ask";
    title = `${plural(needed.length, "agent is", "agents are")} fenced until you act`;
  } else if (shared.length) {
    tone = "watch";
    title = `${plural(shared.length, "fleet incident")}: ${shared[0]?.summary || shared[0]?.name}`;
  } else if (busy) {
    tone = "busy";
    title = `${plural(busy, "agent is", "agents are")} being healed`;
  } else if (silent) {
    tone = "watch";
    title = `No vital for ${about(silent)}`;
    more.push("nobody reports, so nothing is known of how they are");
  } else if (counts.held) {
    tone = "watch";
    title = `${plural(counts.held, "agent is", "agents are")} held by a person`;
  } else if (watched) {
    title = now?.mode === "observe" && counts.observed
      ? `${plural(counts.observed, "agent has", "agents have")} left ${counts.observed === 1 ? "its" : "their"} normal`
      : `All is well; ${plural(watched, "agent is", "agents are")} being watched`;
    tone = now?.mode === "observe" && counts.observed ? "watch" : "well";
  }
  if (tone === "well" && counts.learning) {
    tone = "watch";
    title = `${plural(counts.learning, "agent is", "agents are")} still learning what is normal`;
    if (watched) more.push(`${plural(watched, "other is", "others are")} being watched`);
  }
  if (silent && tone !== "watch") more.push(`no vital for ${about(silent)}`);
  if (asked.length && busy) more.push(`${plural(busy, "other is", "others are")} being healed`);
  if (fenced && !held) more.push(`${count(fenced)} of ${count(fleet.size)} fenced`);
  return html`<section class=${`verdict tone-${tone}`} aria-label="Verdict">
    <${Icon} name=${held ? "lock" : tone === "ask" ? "awaiting_approval" : tone === "watch" ? "suspected" : tone === "busy" ? "healing" : "healthy"} />
    <div><p class="verdict-title">${title}</p>${more.length > 0 && html`<p class="quiet">${more.join(" · ")}</p>`}</div>
    ${needed.length > 0 && html`<button type="button" class="primary" onClick=${() => go("queue")}>Decide</button>`}
  </section>`;
}

function Cards() {
  const now = useStore(tally);
  if (!now) return null;
  const rows = [
    ["Agents", short(now.agents), "that ever reported"],
    ["Executions", short(now.executions), "steps reported in this run"],
    ["Infections", short(now.infections), "cases confirmed, or quarantined by a person"],
    ["Healed", short(now.healed), "cures proved on fresh vitals"],
    ["Quarantined", short(now.quarantined), "agents with a fence around them now"],
    ["Success rate", now.success_rate === null ? "–" : percent(now.success_rate),
      now.success_rate === null ? "no attempt is decided yet" : `${count(now.healed)} of ${count(now.healed + now.unhealed)} attempts verified on fresh vitals`],
  ];
  return html`<dl class="cards" aria-label="The run in numbers">${rows.map(([label, value, what]) => html`<div key=${label} class="card">
    <dt>${label}</dt><dd><b>${value}</b><span>${what}</span></dd></div>`)}</dl>`;
}

/**
 * The fleet by state, as shares and as filters, with the fenced part against the brake's limit.
 * @param {{counts: Record<string, number>, chosen: ReadonlySet<string>, toggle: (state: string) => void}} props
 */
function Share({ counts, chosen, toggle }) {
  const brake = useStore(status, (now) => now?.brake);
  const total = fleet.size || 1;
  const present = useMemo(() => URGENCY.filter((state) => counts[state]), [Object.values(counts).join()]);
  const fenced = fleet.fenced();
  return html`<section class="share" aria-label="Agents by state">
    <div class="share-bar" aria-hidden="true">${present.map((state) => html`<i key=${state} class=${`tone-${STATES[state]?.tone} state-${state}`}
      style=${{ flexGrow: counts[state] }} title=${`${STATES[state]?.label}: ${counts[state]}`}></i>`)}</div>
    <div class="chips" role="group" aria-label="Show only these states">
      ${URGENCY.map((state) => {
        const n = counts[state] ?? 0;
        if (!n && !chosen.has(state)) return null;
        return html`<button type="button" key=${state} class=${`chip tone-${STATES[state]?.tone}`} aria-pressed=${chosen.has(state)}
          title=${STATES[state]?.means} onClick=${() => toggle(state)}><${Icon} name=${state} />${STATES[state]?.label}<b>${count(n)}</b></button>`;
      })}
      <span class="share-note">${percent(fenced / total)} fenced${brake && (brake.share >= 1 ? "; the brake is off" : brake.holding ? "; the brake holds" : `; the system may fence ${count(brake.room)} more`)}</span>
    </div>
  </section>`;
}

