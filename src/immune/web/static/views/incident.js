// One incident: where it stands, what speaks for it, what would be done, and the decision.

import { useEffect, useState } from "preact/hooks";
import { agentPath, incidentPath } from "../api.js";
import { percent, zone } from "../format.js";
import { html } from "../html.js";
import { Badge, FenceNote, Severity } from "../parts/badge.js";
import { Decide } from "../parts/decide.js";
import { Failed, Loading } from "../parts/empty.js";
import { Diagnosis } from "../parts/evidence.js";
import { Icon } from "../parts/icon.js";
import { Ladder } from "../parts/ladder.js";
import { Probation } from "../parts/probation.js";
import { Stepper } from "../parts/stepper.js";
import { Ago, Clock } from "../parts/time.js";
import { Timeline } from "../parts/timeline.js";
import { useResource } from "../resource.js";
import { href } from "../route.js";
import { cases, moves, trialNews } from "../state.js";
import { useStore } from "../store.js";
import { Together } from "./together.js";

/** @typedef {import("../records.js").IncidentDetail} IncidentDetail */

/** The incident's version as the stream told it: read again when it moves. @param {string} id */
export function useVersion(id) {
  const open = useStore(cases, (all) => all.get(id)?.version ?? 0);
  const last = useStore(moves, (all) => all.find((move) => move.incident_id === id)?.seq ?? 0);
  return `${open}/${last}`;
}

/** @param {{id: string}} props */
export function IncidentView({ id }) {
  const { data, error, again } = /** @type {import("../resource.js").Resource<IncidentDetail>} */ (useResource(incidentPath(id), useVersion(id)));
  if (error) return html`<${Failed} message=${error} again=${again} />`;
  if (!data) return html`<${Loading} rows=${7} />`;
  if (data.incident.subject.kind !== "agent") return html`<${Together} detail=${data} again=${again} />`;
  return html`<div class="view"><a class="crumb" href=${href("incidents")}><${Icon} name="back" />Incidents</a>
    <${Case} detail=${data} again=${again} /></div>`;
}

/**
 * @param {{detail: IncidentDetail, again: () => void, keys?: boolean}} props
 */
export function Case({ detail, again, keys = true }) {
  const { incident } = detail;
  const standing = detail.fences.filter((fence) => fence.lifted_at === null);
  const holds = standing.filter((fence) => fence.incident_id === null);
  const news = useStore(trialNews);
  const [trial, setTrial] = useState(detail.trial);
  useEffect(() => setTrial(detail.trial), [detail.trial]);
  useEffect(() => {
    if (news?.incident_id === incident.id && news.trial) setTrial(news.trial);
  }, [news]);
  const agent = /** @type {import("../resource.js").Resource<import("../records.js").AgentDetail>} */ (
    useResource(incident.state === "rejected" || incident.state === "exhausted" ? agentPath(incident.subject.name) : ""));
  return html`<article class="stack case">
    <header class="stack tight">
      <div class="view-head"><h1>${incident.subject.name}</h1><${Badge} state=${incident.state} /><${Severity} value=${incident.severity} />
        <${FenceNote} fenced=${standing.length > 0} enforced=${standing.length > 0 && standing.every((fence) => fence.enforced_at !== null)} />
        <a class="buttons" href=${href("agents", incident.subject.name)}>Charts of this agent</a></div>
      <p class="facts"><span>${incident.id}</span>${incident.agent_type && html`<span>type <b>${incident.agent_type}</b></span>`}
        <span>onset <b><${Clock} at=${incident.onset_at} /></b></span><span>opened <b><${Ago} at=${incident.opened_at} /></b></span>
        ${incident.finding && incident.finding.threshold > 0 && html`<span>evidence <b>${incident.finding.evidence.toFixed(1)} nats</b>, ${percent(incident.finding.evidence / incident.finding.threshold)} of its tier</span>`}</p>
      <${Stepper} state=${incident.state} lines=${detail.events} />
    </header>
    ${incident.summary && html`<p class="notice">${incident.summary}</p>`}
    ${incident.braked && html`<p class="notice warn">Held back by the brake: the system has fenced as many as it may. It is not fenced.</p>`}
    ${incident.state !== "probation" && holds.map((fence) => html`<p key=${fence.id} class="notice warn"><span><b>Held by ${fence.by}</b> <${Ago} at=${fence.ordered_at} />: ${fence.reason}. Only a person lifts it.</span></p>`)}
    ${incident.absorbed_by && html`<p class="notice">A fleet incident explains it: <a href=${href("incidents", incident.absorbed_by)}>${incident.absorbed_by}</a>.</p>`}
    <div class="two uneven">
      <div class="stack">
        <${Decide} key=${incident.id} detail=${detail} again=${again} keys=${keys} abilities=${agent.data?.capabilities} />
        ${incident.state === "probation" && html`<${Probation} trial=${trial} stale=${incident.probation?.stale ?? false} holds=${holds} />`}
        <section class="panel"><header><h2>Why we think so</h2></header><div class="panel-body"><${Diagnosis} incident=${incident} /></div></section>
        <section class="panel"><header><h2>What is done about it</h2></header><div class="panel-body"><${Ladder} incident=${incident} attempts=${detail.attempts} /></div></section>
      </div>
      <section class="panel"><header><h2>Timeline</h2><span class="quiet">newest first, times in ${zone()}</span></header><div class="panel-body"><${Timeline} lines=${detail.events} /></div></section>
    </div></article>`;
}

