// The orders that a case allows, each for exactly the version that is shown.

import { useEffect, useState } from "preact/hooks";
import { incidentPath, post, Refused } from "../api.js";
import { percent, plural, sentence, words } from "../format.js";
import { html } from "../html.js";
import { useKeys } from "../keys.js";
import { capabilities, now, takeCase, toast, who } from "../state.js";
import { useStore } from "../store.js";
import { ACTIONS, causeName, VERDICTS } from "../words.js";
import { Dialog } from "./dialog.js";
import { OrderButton, Refusal, useOrder, Why } from "./order.js";
import { recordOf } from "./record.js";
import { Deadline } from "./time.js";
import { Timeline } from "./timeline.js";

/**
 * @typedef {{detail: import("../records.js").IncidentDetail, again: () => void, keys?: boolean,
 *   abilities?: string[] | null}} Decidable
 * @param {Decidable} props
 */
export function Decide({ detail, again, keys = true, abilities = null }) {
  const { incident } = detail;
  const [seen, setSeen] = useState(incident.version);
  const [why, setWhy] = useState("");
  const [action, setAction] = useState("");
  const [verdict, setVerdict] = useState("");
  const [asking, setAsking] = useState(/** @type {"" | "approve" | "reject"} */ (""));
  const can = useStore(capabilities);
  const order = useOrder();
  const asks = incident.state === "awaiting_approval";
  const stuck = incident.state === "rejected" || incident.state === "exhausted";
  const changed = incident.version !== seen && (asks || stuck);
  // what does not wait for a decision may move on under the reader's eyes
  useEffect(() => {
    if (!asks && !stuck) setSeen(incident.version);
  }, [incident.version, asks, stuck]);

  const give = async (/** @type {string} */ verb, /** @type {Record<string, unknown>} */ more, /** @type {string} */ done) => {
    const ordered = await order.give(async () => {
      try {
        const moved = await post(incidentPath(incident.id, verb), { version: incident.version, who: who.value, why, ...more });
        takeCase(summaryOf(moved));
        setSeen(moved.version);
        toast(done);
        setWhy("");
      } catch (error) {
        if (error instanceof Refused && error.status === 409) setSeen((was) => Math.min(was, incident.version));
        throw error;
      } finally {
        again();
      }
    });
    return ordered;
  };
  const name = incident.subject.name;
  const cause = incident.diagnosis?.ranked[0]?.cause;
  const free = !changed && !order.busy;
  const approvable = free && asks && detail.plan.length > 0;
  const approve = () => approvable && give("approve", {}, `Approved: ${name} is being healed.`);
  const reject = () => free && asks && give("reject", {}, `Rejected: ${name} stays fenced.`);
  // a key alone decides nothing: it asks first, and Enter confirms
  useKeys(keys ? { a: () => approvable && setAsking("approve"), r: () => free && asks && setAsking("reject") } : {});

  if (incident.closed_at) return null;
  const possible = abilities ?? can?.actions ?? [];
  return html`<section class=${`panel decide ${asks ? "loud" : ""}`} aria-label="Decision">
    <header><h2>${asks ? "Your decision" : stuck ? "What now?" : "Orders"}</h2>
      <span class="quiet">on version ${incident.version}</span>
      ${asks && incident.approval_deadline_at && html`<span class="tag ${incident.overdue ? "loud" : ""}"><${Deadline} at=${incident.approval_deadline_at} overdue=${incident.overdue} /></span>`}</header>
    <div class="panel-body">
      ${asks && html`<p><b>${sentence(incident.asks || "a person must decide")}.</b> ${incident.overdue ? ` Nobody answered ${plural(incident.overdue, "call")} so far; it stays fenced until somebody does.` : " It stays fenced until somebody decides."}</p>`}
      ${asks && incident.diagnosis && html`<p class="gist"><b>${causeName(cause)}${cause === "unknown" ? " fits" : ""}</b> (${percent(incident.diagnosis.ranked[0]?.confidence ?? 0)} sure): ${incident.diagnosis.reasons.slice(0, 3).join("; ") || "no single sign stands out"}.</p>`}
      ${asks && detail.plan.length > 0 && html`<div><p>Approving covers these, in this order, each only if the one before did not cure it.<span class="roomy"> First comes what promises a cure for the least disruption; beside each stands its record against this cause. Anything else asks again.</span></p>
        <ol class="covers">${detail.plan.map((one) => html`<li key=${one}><b>${sentence(words(one))}</b> <span class="quiet">${recordOf(detail.record, one)}</span></li>`)}</ol></div>`}
      ${asks && !detail.plan.length && html`<p>No action is left in the plan. Release it with a verdict, or reject and heal with an action of your choice.</p>`}
      ${incident.state === "rejected" && html`<p>A person said no to healing. ${name} stays fenced until you heal or release it.</p>`}
      ${incident.state === "exhausted" && html`<p>Nothing of the ladder is left. ${name} stays fenced until you name an action or release it.</p>`}
      ${changed && html`<div class="notice alarm conflict" role="alert"><p><b>This case has moved on since you read it</b> (version ${seen} → ${incident.version}). What happened meanwhile:</p>
        <${Timeline} lines=${detail.events} since=${seen} />
        <button type="button" onClick=${() => setSeen(incident.version)}>I have read it: decide on version ${incident.version}</button></div>`}
      <${Why} value=${why} set=${setWhy} hint="Stands in the record beside your name" />
      ${asks && html`<div class="buttons">
        <${OrderButton} kind="primary" hotkey=${keys ? "a" : undefined} busy=${order.busy} disabled=${changed || !detail.plan.length} onClick=${approve}>Approve this plan<//>
        <${OrderButton} kind="danger" hotkey=${keys ? "r" : undefined} busy=${order.busy} disabled=${changed} onClick=${reject}>Reject<//></div>`}
      ${stuck && html`<div class="buttons align-end">
        <div class="field"><label for="heal-action">Action</label><select id="heal-action" value=${action} onChange=${(/** @type {any} */ e) => setAction(e.currentTarget.value)}>
          <option value="">${incident.state === "exhausted" ? "Choose one…" : "As planned"}</option>
          ${possible.map((one) => html`<option key=${one} value=${one}>${sentence(words(one))}</option>`)}</select></div>
        <${OrderButton} kind="primary" busy=${order.busy} disabled=${changed || (incident.state === "exhausted" && !action) || (incident.state === "rejected" && !action && !detail.plan.length)}
          onClick=${() => give("heal-now", action ? { action } : {}, `Healing of ${name} is ordered.`)}>Heal now<//></div>
        ${action && html`<p class="quiet">${ACTIONS[action]} Against this cause: ${recordOf(detail.record, action)}. This overrides what memory says against it, once.</p>`}`}
      <details class="release"><summary>Release ${name} with a verdict</summary>
        <fieldset class="choices"><legend class="sr">Verdict</legend>${Object.entries(VERDICTS).map(([key, { label, means }]) => html`<label class="choice" key=${key}>
          <input type="radio" name=${`verdict-${incident.id}`} value=${key} checked=${verdict === key} onChange=${() => setVerdict(key)} /><span><b>${label}</b><br />${means}</span></label>`)}</fieldset>
        <${OrderButton} busy=${order.busy} disabled=${!verdict || changed} onClick=${() => give("release", { verdict }, `${name} is released: ${VERDICTS[verdict]?.label.toLowerCase()}.`)}>Release<//>
      </details>
      ${order.refusal && html`<${Refusal} text=${order.refusal} />`}
    </div>
    ${asking && html`<${Sure} verb=${asking} detail=${detail} ready=${asking === "approve" ? approvable : free && asks}
      confirm=${() => { setAsking(""); (asking === "approve" ? approve : reject)(); }} close=${() => setAsking("")} />`}</section>`;
}

/**
 * What a key is about to decide, in short: Enter confirms, Escape leaves it undecided.
 * @param {{verb: "approve" | "reject", detail: import("../records.js").IncidentDetail, ready: boolean,
 *   confirm: () => void, close: () => void}} props
 */
function Sure({ verb, detail, ready, confirm, close }) {
  const { incident, plan } = detail;
  const name = incident.subject.name;
  const approves = verb === "approve";
  return html`<${Dialog} title=${`${sentence(verb)} ${name}?`} close=${close}>
    <p>${incident.id}, version ${incident.version}. ${approves ? html`Covers, in this order: <b>${plan.map(words).join(", then ")}</b>.` : "It stays fenced until you heal or release it."}</p>
    ${!ready && html`<p class="notice alarm" role="alert">The case has moved on meanwhile: close this and read it again.</p>`}
    <footer><button type="button" onClick=${close}>Not yet <kbd aria-hidden="true">Esc</kbd></button>
      <${OrderButton} first=${true} kind=${approves ? "primary" : "danger solid"} disabled=${!ready} onClick=${confirm}>${sentence(verb)} <kbd aria-hidden="true">Enter</kbd><//></footer><//>`;
}

/** What lists show, from the whole. @param {import("../records.js").Incident} one @returns {import("../records.js").Case} */
export function summaryOf(one) {
  const top = one.diagnosis?.ranked[0];
  return {
    id: one.id, kind: one.subject.kind, name: one.subject.name, state: one.state, version: one.version,
    severity: Math.round(one.severity * 10) / 10, opened_at: one.opened_at, updated_at: one.updated_at || now(),
    onset_at: one.onset_at, agent_type: one.agent_type, cause: top?.cause, confidence: top?.confidence,
    reason: one.diagnosis?.reasons[0], summary: one.summary, members: one.members.length, asks: one.asks,
    plan: one.ladder.slice(one.next_rung).filter((rung) => !rung.skipped).map((rung) => rung.action),
    current: one.current ?? undefined, approval_deadline_at: one.approval_deadline_at ?? undefined,
    overdue: one.overdue, braked: one.braked, stale: one.probation?.stale, is_open: !one.closed_at,
    verdict: one.verdict, acknowledged_by: one.acknowledged_by,
  };
}
