// Fleet incidents: what many agents share. They fence nobody; a person accepts or closes them.

import { useState } from "preact/hooks";
import { incidentPath, post } from "../api.js";
import { metricName, percent, plural, sentence, subjectName, words } from "../format.js";
import { html } from "../html.js";
import { Badge } from "../parts/badge.js";
import { summaryOf } from "../parts/decide.js";
import { Empty } from "../parts/empty.js";
import { Icon } from "../parts/icon.js";
import { OrderButton, Refusal, useOrder, Why } from "../parts/order.js";
import { Ago, Clock } from "../parts/time.js";
import { Timeline } from "../parts/timeline.js";
import { go, href } from "../route.js";
import { cases, fleet, fleetChanges, takeCase, toast, who } from "../state.js";
import { useStore } from "../store.js";
import { FLEET_KINDS } from "../words.js";

export function TogetherView() {
  const all = useStore(cases);
  const open = [...all.values()].filter((one) => one.kind !== "agent").sort((a, b) => b.opened_at - a.opened_at);
  return html`<div class="view"><div class="view-head"><h1>Fleet incidents</h1></div>
    ${open.length === 0
      ? html`<${Empty} title="Nothing is shared by many agents">An outage of a provider, a release, or a gap in telemetry shows up here as one incident, instead of one for each agent.<//>`
      : html`<div class="stack">${open.map((one) => html`<article key=${one.id} class="panel fleet-case link" onClick=${(/** @type {MouseEvent} */ e) => !(e.target instanceof HTMLAnchorElement) && go("incidents", one.id)}>
        <header><${Icon} name="together" /><h2><a class="strong" href=${href("incidents", one.id)}>${FLEET_KINDS[one.kind] ?? sentence(words(one.kind))}: ${subjectName(one.name)}</a></h2>
          ${one.acknowledged_by && html`<span class="tag">acknowledged by ${one.acknowledged_by}</span>`}<${Badge} state=${one.state} /></header>
        <div class="panel-body"><p>${one.summary ? sentence(one.summary) : ""}</p><p class="quiet">${plural(one.members ?? 0, "agent")} · opened <${Ago} at=${one.opened_at} /> · ${one.id}</p></div></article>`)}</div>`}
  </div>`;
}

/** What each verdict means for many. */
const ENDS = [
  { verdict: "new_normal", label: "Accept as new normal", kind: "primary", done: "Accepted", means: "The change is for good and fine: every member learns it anew." },
  { verdict: "fixed_by_hand", label: "It is over: close", kind: "", done: "Closed", means: "The cause is gone; what was held back meanwhile is forgotten." },
  { verdict: "false_alarm", label: "False alarm", kind: "", done: "Closed as false alarm", means: "It was well all along: what was held back is learned." },
];

/** @param {{detail: import("../records.js").IncidentDetail, again: () => void}} props */
export function Together({ detail, again }) {
  const { incident } = detail;
  useStore(fleetChanges);
  const [why, setWhy] = useState("");
  const [all, setAll] = useState(false);
  const order = useOrder();
  const give = (/** @type {string} */ verb, /** @type {object} */ more, /** @type {string} */ done) => order.give(async () => {
    try {
      takeCase(summaryOf(await post(incidentPath(incident.id, verb), { version: incident.version, who: who.value, why, ...more })));
      toast(`${done}.`);
      setWhy("");
    } finally {
      again();
    }
  });
  const shared = incident.fleet;
  const members = all ? incident.members : incident.members.slice(0, 60);
  return html`<div class="view"><a class="crumb" href=${href("together")}><${Icon} name="back" />Fleet incidents</a>
    <header class="stack tight"><div class="view-head"><h1>${FLEET_KINDS[incident.subject.kind] ?? sentence(words(incident.subject.kind))}: ${subjectName(incident.subject.name)}</h1><${Badge} state=${incident.state} />
      ${incident.acknowledged_by && html`<span class="tag">acknowledged by ${incident.acknowledged_by}</span>`}</div>
      <p class="facts"><span>${incident.id}</span>${incident.onset_at > 0 && html`<span>onset <b><${Clock} at=${incident.onset_at} /></b></span>`}<span>opened <b><${Ago} at=${incident.opened_at} /></b></span>
        ${shared && shared.share > 0 && html`<span><b>${percent(shared.share)}</b> of the active agents of ${subjectName(`${shared.dimension} ${shared.name}`)}</span>`}
        ${shared && shared.metrics.length > 0 && html`<span>left normal: <b>${shared.metrics.map(metricName).join(", ")}</b></span>`}
        ${shared?.fact && html`<span>new ${words(shared.fact)} <b>${shared.value}</b></span>`}</p></header>
    ${incident.summary && html`<p class="notice">${sentence(incident.summary)}</p>`}
    <div class="two uneven"><div class="stack">
      ${!incident.closed_at && html`<section class="panel decide" aria-label="Decision"><header><h2>Your decision</h2><span class="quiet">on version ${incident.version}</span></header><div class="panel-body">
        <p>Nobody is fenced for it. Findings of its members that it explains open no case of their own.</p>
        <${Why} value=${why} set=${setWhy} />
        <div class="buttons">
          <${OrderButton} busy=${order.busy} disabled=${Boolean(incident.acknowledged_by)} onClick=${() => give("acknowledge", {}, "Acknowledged")} hint="Says that somebody is looking at it; changes nothing else.">Acknowledge<//>
          ${ENDS.map((end) => html`<${OrderButton} key=${end.verdict} kind=${end.kind} busy=${order.busy} hint=${end.means} onClick=${() => give("release", { verdict: end.verdict }, end.done)}>${end.label}<//>`)}</div>
        <dl class="meanings">${ENDS.map((end) => html`<div key=${end.verdict}><dt>${end.label}</dt><dd>${end.means}</dd></div>`)}</dl>
        ${order.refusal && html`<${Refusal} text=${order.refusal} />`}</div></section>`}
      <section class="panel"><header><h2>Agents</h2><span class="quiet">${plural(incident.members.length, "agent")}</span></header><div class="panel-body">
        ${members.length ? html`<ul class="members">${members.map((id) => {
          const place = fleet.places.get(id);
          const state = place === undefined ? "" : fleet.states[fleet.state[place] ?? 0] ?? "";
          return html`<li key=${id}><a href=${href("agents", id)}>${id}</a>${state && html`<${Badge} state=${state} />`}</li>`;
        })}</ul>` : html`<p class="quiet">It names no agents.</p>`}
        ${members.length < incident.members.length && html`<button type="button" class="plain" onClick=${() => setAll(true)}>Show all ${incident.members.length}</button>`}</div></section></div>
      <section class="panel"><header><h2>Timeline</h2></header><div class="panel-body"><${Timeline} lines=${detail.events} /></div></section>
    </div></div>`;
}
