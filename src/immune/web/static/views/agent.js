// One agent: who it is, how it is, what can be done to it, and its vitals as they come.

import { useEffect, useMemo, useState } from "preact/hooks";
import { agentPath } from "../api.js";
import { count, measure, metricName, percent, plural, sentence, span, words, zone } from "../format.js";
import { html } from "../html.js";
import { Badge, FenceNote, Severity } from "../parts/badge.js";
import { Chart } from "../parts/chart.js";
import { Empty, Failed, Loading } from "../parts/empty.js";
import { Icon } from "../parts/icon.js";
import { Attempt } from "../parts/ladder.js";
import { Ago, Clock } from "../parts/time.js";
import { useResource } from "../resource.js";
import { go, href } from "../route.js";
import { agentNews, fleet, fleetChanges, moves } from "../state.js";
import { useStore } from "../store.js";
import { ACTIONS, causeName, MODES, STATES } from "../words.js";
import { AgentOrders } from "./agent-orders.js";

/**
 * @typedef {import("../records.js").AgentDetail} AgentDetail
 * @typedef {import("../records.js").Vital} Vital
 * @typedef {import("../resource.js").Resource<any>} Resource
 */

const METRICS = ["latency_ms", "input_tokens", "output_tokens", "cost_usd", "tool_calls", "retries", "errors"];
const STEPS_KEPT = 600;

/** @param {{id: string}} props */
export function AgentView({ id }) {
  if (!id) {
    go("fleet");
    return null;
  }
  return html`<${One} key=${id} id=${id} />`;
}

/** @param {{id: string}} props */
function One({ id }) {
  const place = useStore(fleetChanges, () => fleet.places.get(id));
  const state = useStore(fleetChanges, () => `${fleet.state[place ?? -1]}/${fleet.flags[place ?? -1]}/${fleet.cases.get(place ?? -1) ?? ""}`);
  const moved = useStore(moves, (all) => all.find((move) => move.case?.name === id)?.seq ?? 0);
  const { data, error, again } = /** @type {import("../resource.js").Resource<AgentDetail>} */ (useResource(agentPath(id), `${state}/${moved}`));
  if (error) return html`<${Failed} message=${error} again=${again} />`;
  if (!data) return html`<${Loading} rows=${8} />`;
  const { agent } = data;
  const holds = data.fences.filter((fence) => fence.incident_id === null);
  return html`<div class="view agent-view"><a class="crumb" href="#/"><${Icon} name="back" />Fleet</a>
    <header class="stack tight">
      <div class="view-head"><h1>${agent.agent_id}</h1><${Badge} state=${agent.state} />${agent.severity > 0 && html`<${Severity} value=${agent.severity} />`}
        <${FenceNote} fenced=${agent.fenced} enforced=${agent.enforced} />
        <${AgentOrders} detail=${data} again=${again} /></div>
      <p class="facts">
        <span>type <b>${agent.agent_type || "–"}</b></span><span>model <b>${agent.model || "–"}</b></span><span>provider <b>${agent.provider || "–"}</b></span>
        <span>recognised by <b>${words(data.identified_by)}</b></span><span>mode <b>${MODES[agent.mode]?.label}</b></span>
        <span>last step <b><${Ago} at=${agent.last_seen_at} /></b></span><span>first seen <b><${Ago} at=${agent.first_seen_at} /></b></span></p>
      <p class="quiet">${STATES[agent.state]?.means}${agent.incident_id && html` ${" "}<a href=${href("incidents", agent.incident_id)}>Open incident ${agent.incident_id}</a>`}</p>
    </header>
    ${holds.map((fence) => html`<p key=${fence.id} class="notice warn"><span><b>Held by ${fence.by}</b> <${Ago} at=${fence.ordered_at} />: ${fence.reason}. Only a person lifts it.</span></p>`)}
    <${Live} detail=${data} />
    <div class="two"><${Abilities} detail=${data} /><${Memory} tried=${data.tried} /></div>
    <${Past} incidents=${data.incidents} />
  </div>`;
}

/** The charts and the last steps, as they come. @param {{detail: AgentDetail}} props */
function Live({ detail }) {
  const id = detail.agent.agent_id;
  const first = /** @type {import("../resource.js").Resource<Vital[]>} */ (useResource(agentPath(id, "vitals?limit=300")));
  const trail = /** @type {import("../resource.js").Resource<import("../records.js").Trail>} */ (useResource(agentPath(id, "evidence")));
  const news = useStore(agentNews);
  const [vitals, setVitals] = useState(/** @type {Vital[]} */ ([]));
  const [evidence, setEvidence] = useState(/** @type {{times: number[], values: number[]}} */ ({ times: [], values: [] }));
  const { quarantine_at: quarantine, suspicion_at: suspicion } = detail.agent;

  useEffect(() => {
    if (first.data) setVitals(first.data);
  }, [first.data]);
  useEffect(() => {
    if (!trail.data) return;
    const { until, step_s: step, share } = trail.data;
    setEvidence({ times: share.map((_, n) => until - (share.length - 1 - n) * step), values: share.map((one) => one * quarantine) });
  }, [trail.data]);
  useEffect(() => {
    if (!news || news.agent_id !== id) return;
    setVitals((known) => {
      const last = known.at(-1)?.at ?? 0;
      const fresh = news.vitals.filter((vital) => vital.at > last);
      return fresh.length ? [...known, ...fresh].slice(-STEPS_KEPT) : known;
    });
    setEvidence(({ times, values }) => (news.at <= (times.at(-1) ?? 0) ? { times, values } : {
      times: [...times, news.at].slice(-900), values: [...values, news.evidence].slice(-900),
    }));
  }, [news]);

  const kinds = [...new Set(vitals.map((vital) => vital.kind ?? "run"))];
  const [kind, setKind] = useState("");
  const shown = kinds.includes(kind) ? kind : kinds[0] ?? "run";
  const mine = useMemo(() => vitals.filter((vital) => (vital.kind ?? "run") === shown), [vitals, shown]);
  const baseline = detail.baselines.find((one) => one.kind === shown);
  const marks = useMemo(() => marksOf(detail), [detail]);
  const times = useMemo(() => mine.map((vital) => vital.at), [mine]);
  const from = Math.min(times[0] ?? Infinity, evidence.times[0] ?? Infinity);
  const now = evidence.values.at(-1) ?? detail.agent.evidence;

  if (first.error) return html`<${Failed} message=${first.error} again=${first.again} />`;
  if (!first.data) return html`<${Loading} rows=${4} />`;
  return html`
    <section class="panel"><header><h2>Evidence</h2><span class="quiet">${now.toFixed(1)} nats now: ${percent(quarantine ? now / quarantine : 0)} of what quarantines it · times in ${zone()}</span></header>
      <div class="panel-body"><${Chart} times=${evidence.times} values=${evidence.values} height=${170} marks=${marks} from=${Number.isFinite(from) ? from : undefined}
        show=${(/** @type {number} */ value) => `${value.toFixed(value < 10 && value % 1 ? 1 : 0)} nats`}
        levels=${[{ value: suspicion, label: "suspects", tone: "watch" }, { value: quarantine, label: "quarantines", tone: "ask" }]}
        label=${`Evidence over the last ${span((evidence.times.at(-1) ?? 0) - (evidence.times[0] ?? 0))}: ${now.toFixed(1)} nats now; it suspects from ${suspicion.toFixed(1)} and quarantines from ${quarantine.toFixed(1)} on.`} />
        ${marks.length > 0 && html`<${Legend} marks=${marks} />`}</div></section>
    <section class="stack tight"><div class="view-head"><h2>Vitals</h2>
        <span class="quiet">${baseline ? html`green: its normal (1st to 99th percentile, dotted: median), learned from ${count(baseline.samples)} steps${baseline.can_fence ? "" : "; too young to fence on"}` : "no baseline yet"}</span>
        ${kinds.length > 1 && html`<div class="segmented buttons" role="group" aria-label="Kind of step">${kinds.map((one) => html`<button type="button" key=${one} aria-pressed=${one === shown} onClick=${() => setKind(one)}>${one}</button>`)}</div>`}</div>
      ${mine.length === 0 ? html`<${Empty} icon="learning" title="No steps are stored">They may be older than what is kept.<//>` : html`<div class="charts">
        ${METRICS.filter((metric) => mine.some((vital) => value(vital, metric) !== null)).map((metric) => html`<${VitalChart} key=${metric} metric=${metric} vitals=${mine} times=${times} marks=${marks}
          from=${Number.isFinite(from) ? from : undefined} profile=${baseline?.metrics.find((one) => one.metric === metric)} />`)}</div>`}</section>
    <${Steps} vitals=${mine} />`;
}

/** @param {Vital} vital @param {string} metric */
function value(vital, metric) {
  const found = /** @type {any} */ (vital)[metric];
  return typeof found === "number" ? found : null;
}

/**
 * @param {{metric: string, vitals: Vital[], times: number[], marks: import("../parts/chart.js").Mark[], from?: number,
 *   profile?: import("../records.js").MetricProfile}} props
 */
function VitalChart({ metric, vitals, times, marks, from, profile }) {
  const values = useMemo(() => vitals.map((vital) => value(vital, metric)), [vitals]);
  const rare = metric === "retries" || metric === "errors";
  const last = values.findLast((one) => one !== null);
  const recent = values.slice(-20).filter((one) => one !== null);
  const hit = recent.filter((one) => one > 0).length;
  const band = useMemo(() => (profile && !rare ? { low: profile.low, high: profile.high, median: profile.median } : null), [profile]);
  const out = !rare && profile && last !== undefined && last !== null && last > profile.high;
  const reading = rare ? `${percent(recent.length ? hit / recent.length : 0)} of the last ${recent.length}` : last === undefined || last === null ? "not reported" : measure(metric, last);
  const normal = !profile ? "normal not known yet" : rare ? `normally ${percent(profile.rate)} of steps` : `normal ${measure(metric, profile.low)} to ${measure(metric, profile.high)}`;
  return html`<figure class="panel vital"><figcaption><b>${metricName(metric)}</b><span class=${out ? "over" : ""}>${reading}</span><span class="quiet">${normal}</span></figcaption>
    <${Chart} times=${times} values=${values} band=${band} marks=${marks} points=${rare} height=${120} from=${from}
      show=${(/** @type {number} */ one) => measure(metric, one)} label=${`${metricName(metric)}, ${plural(values.length, "step")}: ${reading}; ${normal}.`} /></figure>`;
}

/** What happened to it, as marks: onsets, cases, actions. @param {AgentDetail} detail @returns {import("../parts/chart.js").Mark[]} */
function marksOf({ incidents, tried }) {
  return [
    ...incidents.map((one) => ({ at: one.onset_at, label: `onset of ${one.id}`, tone: "watch", dashed: true })),
    ...incidents.map((one) => ({ at: one.opened_at, label: `${one.id} opened`, tone: "fenced" })),
    ...incidents.filter((one) => one.closed_at).map((one) => ({ at: one.closed_at ?? 0, label: `${one.id} ${one.state}`, tone: "well" })),
    ...tried.filter((one) => one.applied_at).map((one) => ({ at: one.applied_at ?? 0, label: words(one.action), tone: "busy" })),
  ].sort((a, b) => a.at - b.at);
}

/** @param {{marks: import("../parts/chart.js").Mark[]}} props */
function Legend({ marks }) {
  return html`<details class="legend"><summary>${plural(marks.length, "mark")}: <i class="tone-watch dashed"></i>onset <i class="tone-fenced"></i>case opened <i class="tone-busy"></i>action <i class="tone-well"></i>closed</summary>
    <ul>${marks.toReversed().slice(0, 30).map((mark, n) => html`<li key=${n}><i class=${`tone-${mark.tone} ${mark.dashed ? "dashed" : ""}`}></i><${Clock} at=${mark.at} /> ${mark.label}</li>`)}</ul></details>`;
}

/** @param {{vitals: Vital[]}} props */
function Steps({ vitals }) {
  const last = vitals.slice(-12).toReversed();
  if (!last.length) return null;
  const metrics = METRICS.filter((metric) => last.some((vital) => value(vital, metric) !== null));
  return html`<section class="panel"><header><h2>Last steps</h2></header><div class="scroll" tabindex="0" role="region" aria-label="Last steps"><table class="steps"><thead><tr><th>Ended</th>${metrics.map((metric) => html`<th key=${metric}>${metricName(metric)}</th>`)}<th>Tools</th></tr></thead>
    <tbody>${last.map((vital) => html`<tr key=${vital.at}><td><${Clock} at=${vital.at} /></td>
      ${metrics.map((metric) => {
        const found = value(vital, metric);
        return html`<td key=${metric} class="number">${found === null ? html`<span class="quiet">–</span>` : metric === "errors" ? (found ? html`<span class="over">failed${vital.error_type ? `: ${vital.error_type}` : ""}</span>` : "no") : measure(metric, found)}</td>`;
      })}<td>${tools(vital)}</td></tr>`)}</tbody></table></div></section>`;
}

/** @param {Vital} vital */
function tools(vital) {
  /** @type {Map<string, {n: number, failed: number}>} */
  const found = new Map();
  for (const call of vital.calls ?? (vital.tools ?? []).map((tool) => ({ tool, ok: true }))) {
    const one = found.get(call.tool) ?? { n: 0, failed: 0 };
    one.n += 1;
    one.failed += call.ok === false ? 1 : 0;
    found.set(call.tool, one);
  }
  return [...found].map(([tool, { n, failed }]) => `${tool}${n > 1 ? ` × ${n}` : ""}${failed ? ` (${failed} failed)` : ""}`).join(", ");
}

/** @param {{detail: AgentDetail}} props */
function Abilities({ detail }) {
  const { capabilities: can, treatments } = detail;
  return html`<section class="panel"><header><h2>What can be done to it</h2></header><div class="panel-body">
    ${can.length ? html`<dl class="abilities">${can.map((action) => html`<div key=${action}><dt>${sentence(words(action))}</dt><dd>${ACTIONS[action]}</dd></div>`)}</dl>`
      : html`<p class="quiet">Nothing: no link reaches this agent. It can be fenced, and a fence holds only where an enforcement point asks.</p>`}
    ${treatments.length > 0 && html`<h3>In force on it</h3><ul class="treatments">${treatments.map((one) => html`<li key=${one.id}><b>${sentence(words(one.action))}</b> since <${Clock} at=${one.since} />
      <span class="quiet">${one.state === "kept" ? "kept: lifting it brought the sickness back" : one.state === "lifting" ? "lifted, and being watched" : one.lift_at ? html`lifted at <${Clock} at=${one.lift_at} /> if it stays well` : "until its case is over"}</span></li>`)}</ul>`}
  </div></section>`;
}

/** @param {{tried: import("../records.js").Healing[]}} props */
function Memory({ tried }) {
  return html`<section class="panel"><header><h2>What was tried on it</h2></header><div class="panel-body">
    ${tried.length === 0 ? html`<p class="quiet">Nothing yet.</p>` : html`<ul class="tries">${tried.slice(0, 12).map((one) => html`<li key=${one.key}><p><b>${sentence(words(one.action))}</b> against ${causeName(one.cause).toLowerCase()}
      <span class="quiet"> · <${Ago} at=${one.ordered_at} /> · <a href=${href("incidents", one.incident_id)}>${one.incident_id}</a></span></p><${Attempt} attempt=${one} /></li>`)}</ul>`}</div></section>`;
}

/** @param {{incidents: import("../records.js").Incident[]}} props */
function Past({ incidents }) {
  if (!incidents.length) return null;
  return html`<section class="panel"><header><h2>Its incidents</h2><span class="quiet">${incidents.length}</span></header><div class="scroll"><table class="list"><thead><tr><th>Incident</th><th>State</th><th>Severity</th><th class="wide">Likely cause</th><th>Opened</th></tr></thead>
    <tbody>${incidents.map((one) => html`<tr key=${one.id}><td><a class="strong" href=${href("incidents", one.id)}>${one.id}</a></td><td><${Badge} state=${one.state} /></td><td><${Severity} value=${one.severity} /></td>
      <td class="wide">${one.diagnosis ? causeName(one.diagnosis.ranked[0]?.cause) : "–"}</td><td><${Ago} at=${one.opened_at} /></td></tr>`)}</tbody></table></div></section>`;
}

