// What a person can order about one agent: hold it, let it go, heal it now.

import { useState } from "preact/hooks";
import { agentPath, incidentPath, post } from "../api.js";
import { sentence, words } from "../format.js";
import { html } from "../html.js";
import { summaryOf } from "../parts/decide.js";
import { Dialog } from "../parts/dialog.js";
import { OrderButton, Refusal, useOrder, Why } from "../parts/order.js";
import { takeCase, toast, who } from "../state.js";
import { ACTIONS, VERDICTS } from "../words.js";

/** @param {{detail: import("../records.js").AgentDetail, again: () => void}} props */
export function AgentOrders({ detail, again }) {
  const [asking, setAsking] = useState("");
  const { agent, incidents, fences } = detail;
  const open = incidents.find((one) => !one.closed_at);
  const held = fences.some((fence) => fence.incident_id === null);
  const healable = open && (open.state === "rejected" || open.state === "exhausted");
  const close = () => {
    setAsking("");
    again();
  };
  return html`<div class="buttons">
    ${healable && html`<${OrderButton} kind="primary" onClick=${() => setAsking("heal")}>Heal now…<//>`}
    ${(open || held) && html`<${OrderButton} onClick=${() => setAsking("release")}>Release…<//>`}
    <${OrderButton} kind="danger" onClick=${() => setAsking("quarantine")}>Quarantine…<//>
    ${asking === "quarantine" && html`<${Hold} id=${agent.agent_id} open=${open} close=${close} />`}
    ${asking === "release" && html`<${Release} detail=${detail} open=${open} held=${held} close=${close} />`}
    ${asking === "heal" && open && html`<${Heal} detail=${detail} open=${open} close=${close} />`}
  </div>`;
}

/** @typedef {import("../records.js").Incident | undefined} Open */

/** @param {{id: string, open: Open, close: () => void}} props */
function Hold({ id, open, close }) {
  const [why, setWhy] = useState("");
  const order = useOrder();
  const give = async () => (await order.give(async () => {
    const made = await post(agentPath(id, "quarantine"), { who: who.value, why });
    if (made.incident) takeCase(summaryOf(made.incident));
    toast(`${id} is quarantined.`);
  })) && close();
  const contained = open && (open.state === "suspected" || open.state === "observed");
  return html`<${Dialog} title=${`Quarantine ${id}`} close=${close}>
    <p>${contained ? `Its open case ${open.id} is confirmed by you: it is fenced, diagnosed and healed like any other.` : "Puts a hold of yours around it: its calls are refused until a person lifts it. The system never does."}</p>
    <${Why} value=${why} set=${setWhy} needed hint="The next person will want to know" />
    ${order.refusal && html`<${Refusal} text=${order.refusal} />`}
    <footer><button type="button" onClick=${close}>Cancel</button><${OrderButton} kind="danger solid" busy=${order.busy} disabled=${!why.trim()} onClick=${give}>Quarantine<//></footer><//>`;
}

/** @param {{detail: import("../records.js").AgentDetail, open: Open, held: boolean, close: () => void}} props */
function Release({ detail, open, held, close }) {
  const id = detail.agent.agent_id;
  const [why, setWhy] = useState("");
  const [verdict, setVerdict] = useState("");
  const order = useOrder();
  const holds = detail.fences.filter((fence) => fence.incident_id === null);
  const give = (/** @type {() => Promise<unknown>} */ work, /** @type {string} */ said) => async () => (await order.give(async () => { await work(); toast(said); })) && close();
  return html`<${Dialog} title=${`Release ${id}`} close=${close}>
    ${held && html`<section class="notice warn"><p>Held by ${holds.map((fence) => `${fence.by}: ${fence.reason}`).join("; ")}.</p>
      <${OrderButton} busy=${order.busy} onClick=${give(() => post(agentPath(id, "release"), { who: who.value, why }), `The hold around ${id} is lifted.`)}>Lift the hold<//></section>`}
    ${open && html`<p>What was the case ${open.id}? Your verdict decides what is learned from it.</p>
      <fieldset class="choices"><legend class="sr">Verdict</legend>${Object.entries(VERDICTS).map(([key, { label, means }]) => html`<label class="choice" key=${key}>
        <input type="radio" name="verdict" value=${key} checked=${verdict === key} onChange=${() => setVerdict(key)} /><span><b>${label}</b><br />${means}</span></label>`)}</fieldset>`}
    <${Why} value=${why} set=${setWhy} />
    ${order.refusal && html`<${Refusal} text=${order.refusal} />`}
    <footer><button type="button" onClick=${close}>Cancel</button>
      ${open && html`<${OrderButton} kind="primary" busy=${order.busy} disabled=${!verdict} onClick=${give(async () => takeCase(summaryOf(await post(incidentPath(open.id, "release"), { version: open.version, who: who.value, why, verdict }))), `${id} is released: ${VERDICTS[verdict]?.label.toLowerCase()}.`)}>Release<//>`}</footer><//>`;
}

/** @param {{detail: import("../records.js").AgentDetail, open: import("../records.js").Incident, close: () => void}} props */
function Heal({ detail, open, close }) {
  const id = detail.agent.agent_id;
  const [why, setWhy] = useState("");
  const [action, setAction] = useState("");
  const order = useOrder();
  const planned = open.state === "rejected";
  const give = async () => (await order.give(async () => {
    takeCase(summaryOf(await post(incidentPath(open.id, "heal-now"), { version: open.version, who: who.value, why, ...(action ? { action } : {}) })));
    toast(`Healing of ${id} is ordered.`);
  })) && close();
  return html`<${Dialog} title=${`Heal ${id} now`} close=${close}>
    <div class="field"><label for="heal-now-action">Action</label><select id="heal-now-action" value=${action} onChange=${(/** @type {any} */ e) => setAction(e.currentTarget.value)}>
      <option value="">${planned ? "As planned" : "Choose one…"}</option>${detail.capabilities.map((one) => html`<option key=${one} value=${one}>${sentence(words(one))}</option>`)}</select></div>
    ${action && html`<p class="quiet">${ACTIONS[action]}</p>`}
    <${Why} value=${why} set=${setWhy} />
    ${order.refusal && html`<${Refusal} text=${order.refusal} />`}
    <footer><button type="button" onClick=${close}>Cancel</button><${OrderButton} kind="primary" busy=${order.busy} disabled=${!planned && !action} onClick=${give}>Heal now<//></footer><//>`;
}
