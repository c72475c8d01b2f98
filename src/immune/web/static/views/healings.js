// What was done and what came of it, and what the fleet has learned: cause by action.

import { useState } from "preact/hooks";
import { count, percent, plural, sentence, words } from "../format.js";
import { html } from "../html.js";
import { Empty, Failed, Loading } from "../parts/empty.js";
import { Attempt } from "../parts/ladder.js";
import { Ago } from "../parts/time.js";
import { useResource } from "../resource.js";
import { href } from "../route.js";
import { capabilities, moves } from "../state.js";
import { useStore } from "../store.js";
import { causeName } from "../words.js";

/** @typedef {import("../records.js").Healing} Healing */

const SETTLES = new Set(["healing", "applied", "verified", "relapsed", "failed", "unreachable", "approved", "heal_now", "diagnosed", "released", "absorbed"]);
const SHOWN = 50;

export function HealingsView() {
  const moved = useStore(moves, (all) => all.find((move) => SETTLES.has(move.event))?.seq ?? 0);
  const healings = /** @type {import("../resource.js").Resource<Healing[]>} */ (useResource("/api/healings?limit=300", moved));
  const stats = /** @type {import("../resource.js").Resource<{memory: import("../records.js").Cell[]}>} */ (useResource("/api/stats", moved));
  const [all, setAll] = useState(false);
  if (healings.error) return html`<${Failed} message=${healings.error} again=${healings.again} />`;
  if (!healings.data || !stats.data) return html`<${Loading} rows=${7} />`;
  const rows = all ? healings.data : healings.data.slice(0, SHOWN);
  return html`<div class="view"><div class="view-head"><h1>Healings and memory</h1></div>
    <${Matrix} cells=${stats.data.memory} />
    <section class="panel"><header><h2>Recent actions</h2><span class="quiet">newest first</span></header>
      ${rows.length === 0 ? html`<${Empty} title="Nothing was healed yet">Each action shows up here, with what it changed and whether fresh vitals proved the cure.<//>`
        : html`<div class="scroll"><table class="list healings"><thead><tr><th>Agent</th><th>Action</th><th>Cause</th><th>Outcome and what changed</th><th>Ordered</th></tr></thead>
        <tbody>${rows.map((one) => html`<tr key=${one.key}><td><a class="strong" href=${href("agents", one.agent_id)}>${one.agent_id}</a><div><a href=${href("incidents", one.incident_id)}>${one.incident_id}</a></div></td>
          <td>${sentence(words(one.action))}<div class="quiet">${one.trigger === "auto" ? "by itself" : one.trigger === "approval" ? "approved" : "heal now"}</div></td><td>${causeName(one.cause)}</td>
          <td><${Attempt} attempt=${one} /></td><td><${Ago} at=${one.ordered_at} /></td></tr>`)}</tbody></table></div>
        ${rows.length < healings.data.length && html`<button type="button" class="plain" onClick=${() => setAll(true)}>Show all ${healings.data.length}</button>`}`}</section></div>`;
}

/** @param {{cells: import("../records.js").Cell[]}} props */
function Matrix({ cells }) {
  const can = useStore(capabilities);
  const causes = (can?.causes ?? []).filter((cause) => cells.some((cell) => cell.cause === cause && cell.tried));
  const actions = (can?.actions ?? []).filter((action) => cells.some((cell) => cell.action === action && cell.tried));
  return html`<section class="panel"><header><h2>What works against what</h2><span class="quiet">cured of tried, proved on fresh vitals; this orders the next ladder</span></header>
    ${causes.length === 0 ? html`<${Empty} icon="learning" title="Nothing is proved yet">As soon as a cure is proved or a relapse shows, it is counted here.<//>` : html`<div class="scroll" tabindex="0" role="region" aria-label="Causes and actions"><table class="matrix">
      <thead><tr><th scope="col">Cause</th>${actions.map((action) => html`<th scope="col" key=${action}>${sentence(words(action))}</th>`)}</tr></thead>
      <tbody>${causes.map((cause) => html`<tr key=${cause}><th scope="row">${causeName(cause)}</th>${actions.map((action) => {
        const cell = cells.find((one) => one.cause === cause && one.action === action);
        if (!cell?.tried) return html`<td key=${action} class="none"><span class="sr">never tried</span></td>`;
        const share = cell.cured / cell.tried;
        return html`<td key=${action} data-label=${sentence(words(action))} title=${`${sentence(words(action))} against ${causeName(cause).toLowerCase()}: ${plural(cell.tried, "attempt")}, ${count(cell.cured)} cured`}>
          <span><b>${count(cell.cured)}</b><span class="quiet"> of ${count(cell.tried)}</span></span><i aria-hidden="true"><i style=${{ width: `${100 * share}%` }}></i></i><span class="quiet">${percent(share)}</span></td>`;
      })}</tr>`)}</tbody></table></div>`}</section>`;
}
