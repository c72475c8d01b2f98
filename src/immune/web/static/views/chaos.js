// The demo's other side: make a simulated agent sick, and see how well that was noticed and healed.

import { useState } from "preact/hooks";
import { post } from "../api.js";
import { percent, plural, sentence, span, words } from "../format.js";
import { html } from "../html.js";
import { Empty, Failed, Loading } from "../parts/empty.js";
import { OrderButton, Refusal, useOrder } from "../parts/order.js";
import { useResource } from "../resource.js";
import { href } from "../route.js";
import { capabilities, fleet, moves, toast } from "../state.js";
import { useStore } from "../store.js";
import { causeName } from "../words.js";

/**
 * @typedef {{agent_id: string, infection: string, strain: string, at_s: number,
 *   steps_to_suspect: number | null, steps_to_contain: number | null, severity: number | null,
 *   diagnosis: string | null, asked_human: boolean, resolved_at_s: number | null,
 *   actions: {action: string, verified: boolean | null}[]}} Injection
 * @typedef {{seconds: number, injections: Injection[], summary: {injected: number,
 *   contained: number, median_steps_to_contain: number | null, false_suspicions: number,
 *   false_quarantines: number, resolved: number, resolved_while_sick: number,
 *   right_diagnosis: number | null, availability: number | null}}} Score
 */

export function ChaosView() {
  const can = useStore(capabilities);
  const [given, setGiven] = useState(0);
  const moved = useStore(moves, (all) => all[0]?.seq ?? 0);
  const score = /** @type {import("../resource.js").Resource<Score>} */ (useResource(can?.simulated ? "/api/score" : "", `${moved}/${given}`));
  if (!can?.simulated) return html`<${Empty} icon="chaos" title="There is no simulated fleet here">Real agents are not infected.<//>`;
  return html`<div class="view"><div class="view-head"><h1>Chaos</h1><span class="quiet">only where the fleet is simulated</span></div>
    <${Infect} infections=${can.infections} given=${() => setGiven((n) => n + 1)} />
    ${score.error ? html`<${Failed} message=${score.error} again=${score.again} />` : score.data ? html`<${Board} score=${score.data} />` : html`<${Loading} />`}</div>`;
}

/** @param {{infections: Record<string, string[]>, given: () => void}} props */
function Infect({ infections, given }) {
  const [agent, setAgent] = useState("");
  const [infection, setInfection] = useState(Object.keys(infections)[0] ?? "");
  const [strain, setStrain] = useState("");
  const order = useOrder();
  const strains = infections[infection] ?? [];
  const give = () => order.give(async () => {
    const done = await post("/api/chaos", { agent_id: agent, infection, ...(strain ? { strain } : {}) });
    toast(`${done.agent_id} has ${words(done.infection)} (${words(done.strain)}) now.`);
    given();
  });
  const ids = fleet.ids.toSorted();
  return html`<section class="panel"><header><h2>Infect an agent</h2></header><div class="panel-body"><div class="buttons align-end">
    <div class="field"><label for="chaos-agent">Agent</label><input id="chaos-agent" list="chaos-agents" value=${agent} autocomplete="off" placeholder="agent's id" onInput=${(/** @type {any} */ e) => setAgent(e.currentTarget.value)} />
      <datalist id="chaos-agents">${ids.slice(0, 500).map((id) => html`<option key=${id} value=${id} />`)}</datalist></div>
    <div class="field"><label for="chaos-infection">Infection</label><select id="chaos-infection" value=${infection} onChange=${(/** @type {any} */ e) => { setInfection(e.currentTarget.value); setStrain(""); }}>
      ${Object.keys(infections).map((one) => html`<option key=${one} value=${one}>${sentence(words(one))}</option>`)}</select></div>
    <div class="field"><label for="chaos-strain">Strain</label><select id="chaos-strain" value=${strain} onChange=${(/** @type {any} */ e) => setStrain(e.currentTarget.value)}>
      <option value="">Drawn by chance</option>${strains.map((one) => html`<option key=${one} value=${one}>${sentence(words(one))}</option>`)}</select></div>
    <${OrderButton} kind="primary" busy=${order.busy} disabled=${!agent.trim()} onClick=${give}>Infect<//></div>
    ${order.refusal && html`<${Refusal} text=${order.refusal} />`}
    <p class="quiet">Detection, diagnosis and healing never learn of it; only the scoreboard below knows the truth.</p></div></section>`;
}

/** @param {{score: Score}} props */
function Board({ score }) {
  const { summary } = score;
  const cards = [
    ["Injected", String(summary.injected), "sicknesses of single agents"],
    ["Contained", `${summary.contained}`, summary.median_steps_to_contain === null ? "fenced while sick" : `after ${summary.median_steps_to_contain} steps in the median`],
    ["Resolved", `${summary.resolved}`, `${summary.resolved_while_sick} of them while still sick`],
    ["Right diagnosis", summary.right_diagnosis === null ? "–" : percent(summary.right_diagnosis), "of those contained"],
    ["False quarantines", String(summary.false_quarantines), `${plural(summary.false_suspicions, "false suspicion")}`],
    ["Availability", summary.availability === null ? "–" : percent(summary.availability, 1), "steps let through, of those tried"],
  ];
  const rows = score.injections.toReversed();
  return html`<dl class="cards" aria-label="Score">${cards.map(([label, value, what]) => html`<div key=${label} class="card"><dt>${label}</dt><dd><b>${value}</b><span>${what}</span></dd></div>`)}</dl>
    <section class="panel"><header><h2>Every infection</h2><span class="quiet">newest first</span></header>
      ${rows.length === 0 ? html`<${Empty} title="Nobody was infected yet">The demo's waves begin within half a minute; or infect one above.<//>` : html`<div class="scroll"><table class="list infections"><thead><tr><th>Agent</th><th>Infection</th><th>Contained</th><th class="wide">Diagnosis</th><th class="wide">Actions</th><th>Resolved</th></tr></thead>
      <tbody>${rows.map((one, n) => html`<tr key=${rows.length - n}><td><a class="strong" href=${href("agents", one.agent_id)}>${one.agent_id}</a><div class="quiet">at ${span(one.at_s)}</div></td>
        <td data-label="Infection">${sentence(words(one.infection))}<div class="quiet">${words(one.strain)}</div></td>
        <td data-label="Contained">${one.steps_to_contain === null ? html`<span class="quiet">not yet</span>` : `after ${plural(one.steps_to_contain, "step")}`}</td>
        <td class="wide" data-label="Diagnosis">${one.diagnosis ? causeName(one.diagnosis) : html`<span class="quiet">–</span>`}</td>
        <td class="wide" data-label="Actions">${one.actions.map((action) => words(action.action)).join(", ") || html`<span class="quiet">–</span>`}${one.asked_human && html`<div class="quiet">a person was asked</div>`}</td>
        <td data-label="Resolved">${one.resolved_at_s === null ? html`<span class="quiet">not yet</span>` : `after ${span(one.resolved_at_s - one.at_s)}`}</td></tr>`)}</tbody></table></div>`}</section>`;
}
