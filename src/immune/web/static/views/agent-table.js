// The table of agents: only the rows in sight are drawn, so ten thousand scroll as well as ten.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, money, percent, plural } from "../format.js";
import { ENFORCED, FENCED, SHARED } from "../fleet.js";
import { html } from "../html.js";
import { Badge, FenceNote, Severity } from "../parts/badge.js";
import { Empty } from "../parts/empty.js";
import { Icon } from "../parts/icon.js";
import { go, href } from "../route.js";
import { fleet, fleetChanges } from "../state.js";
import { useStore } from "../store.js";
import { URGENCY } from "../words.js";

const SPARE = 8;

/** @typedef {"state" | "evidence" | "severity" | "cost" | "name"} Order */

/** @type {{order: Order, label: string, hint: string}[]} */
const SORTS = [
  { order: "state", label: "Urgency", hint: "what needs a person first, then severity and evidence" },
  { order: "evidence", label: "Evidence", hint: "how near it is to being quarantined" },
  { order: "severity", label: "Severity", hint: "harm since the onset" },
  { order: "cost", label: "Cost", hint: "USD an hour over its last steps" },
  { order: "name", label: "Name", hint: "by the agent's id" },
];

/** @param {{text: string, type: string, model: string, provider: string, states: ReadonlySet<string>}} wanted */
function matching({ text, type, model, provider, states }) {
  const search = text.trim().toLowerCase();
  /** @type {number[]} */
  const found = [];
  for (let i = 0; i < fleet.size; i += 1) {
    if (states.size && !states.has(fleet.states[fleet.state[i] ?? 0] ?? "")) continue;
    if (type && fleet.types[i] !== type) continue;
    if (model && fleet.models[i] !== model) continue;
    if (provider && fleet.providers[i] !== provider) continue;
    if (search && !`${fleet.ids[i]} ${fleet.types[i]} ${fleet.models[i]} ${fleet.providers[i]}`.toLowerCase().includes(search)) continue;
    found.push(i);
  }
  return found;
}

/** @param {number[]} places @param {Order} order */
function sorted(places, order) {
  const rank = fleet.states.map((state) => URGENCY.indexOf(state));
  const { state, evidence, severity, flags, cost, ids } = fleet;
  /** @type {Record<Order, (i: number) => number>} */
  const keys = {
    state: (i) => -1e6 * (rank[state[i] ?? 0] ?? 0) + 1e3 * (severity[i] ?? 0) + (evidence[i] ?? 0),
    evidence: (i) => evidence[i] ?? 0,
    severity: (i) => severity[i] ?? 0,
    cost: (i) => (isStopped(flags[i] ?? 0) ? -1 : cost[i] ?? 0),
    name: () => 0,
  };
  const key = keys[order];
  const weight = new Map(places.map((i) => [i, key(i)]));
  return places.sort((a, b) => {
    const by = (weight.get(b) ?? 0) - (weight.get(a) ?? 0);
    return by || (/** @type {string} */ (ids[a]) < /** @type {string} */ (ids[b]) ? -1 : 1);
  });
}

/** @param {string[]} column */
function distinct(column) {
  return [...new Set(column)].filter(Boolean).sort();
}

/** @param {{states: ReadonlySet<string>}} props */
export function AgentTable({ states }) {
  const changes = useStore(fleetChanges);
  const [text, setText] = useState("");
  const [type, setType] = useState("");
  const [model, setModel] = useState("");
  const [provider, setProvider] = useState("");
  const [order, setOrder] = useState(/** @type {Order} */ ("state"));
  const [held, setHeld] = useState(false);
  const [focus, setFocus] = useState(0);
  const body = useRef(/** @type {HTMLElement | null} */ (null));
  const shown = useRef(/** @type {number[]} */ ([]));
  const question = [text, type, model, provider, order, [...states].sort().join(), fleet.size].join("\n");
  const asked = useRef("");
  // rows do not jump about under a pointer or a caret: only what they say changes
  shown.current = useMemo(() => {
    if (held && asked.current === question) return shown.current;
    asked.current = question;
    return sorted(matching({ text, type, model, provider, states }), order);
  }, [question, held ? 0 : changes]);
  const rows = shown.current;
  const { first, last, height } = useWindow(body, rows.length);
  useEffect(() => setFocus(0), [question]);

  const move = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12, Home: -rows.length, End: rows.length }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(rows.length - 1, focus + step));
    setFocus(next);
    const box = body.current;
    if (!box) return;
    const top = box.getBoundingClientRect().top + next * height;
    if (top < 140) scrollBy(0, top - 140);
    else if (top > innerHeight - 2 * height) scrollBy(0, top - innerHeight + 2 * height);
    requestAnimationFrame(() => {
      const row = box.querySelector(`[aria-rowindex="${next + 2}"] a`);
      if (row instanceof HTMLElement) row.focus({ preventScroll: true });
    });
  };
  const some = (/** @type {string} */ label, /** @type {string} */ value, /** @type {(value: string) => void} */ set, /** @type {string[]} */ all) =>
    html`<select aria-label=${label} value=${value} onChange=${(/** @type {any} */ e) => set(e.currentTarget.value)}>
      <option value="">${`Any ${label.toLowerCase()}`}</option>${distinct(all).map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`;

  return html`<section aria-label="Agents">
    <div class="filters">
      <label class="search"><${Icon} name="search" /><span class="sr">Search agents</span>
        <input id="search" type="search" placeholder="Search id, type, model, provider" value=${text}
          onInput=${(/** @type {any} */ e) => setText(e.currentTarget.value)} /><kbd aria-hidden="true">/</kbd></label>
      ${some("Type", type, setType, fleet.types)}
      ${some("Model", model, setModel, fleet.models)}
      ${some("Provider", provider, setProvider, fleet.providers)}
      <label class="sorting"><span>Sort by</span><select value=${order} onChange=${(/** @type {any} */ e) => setOrder(e.currentTarget.value)}>
        ${SORTS.map((one) => html`<option key=${one.order} value=${one.order}>${one.label}</option>`)}</select></label>
      <span class="quiet found" role="status">${rows.length === fleet.size ? plural(rows.length, "agent") : `${count(rows.length)} of ${plural(fleet.size, "agent")}`}</span>
    </div>
    <div class="agents" role="table" aria-label="Agents" aria-rowcount=${rows.length + 1} onKeyDown=${move}>
      <div class="agents-head" role="rowgroup"><div role="row" class="agent-row" aria-rowindex="1">
        ${[["name", "Agent"], ["state", "State"], ["evidence", "Evidence"], ["severity", "Severity"], ["cost", "Cost"]].map(([key, label]) => html`
          <div role="columnheader" key=${key} class=${`c-${key}`} aria-sort=${order === key ? (key === "name" ? "ascending" : "descending") : "none"}>
            <button type="button" class="plain" title=${`Sort: ${SORTS.find((one) => one.order === key)?.hint}`} onClick=${() => setOrder(/** @type {Order} */ (key))}>${label}${order === key && html`<span aria-hidden="true"> ${key === "name" ? "↑" : "↓"}</span>`}</button></div>`)}
        <div role="columnheader" class="c-type">Type</div><div role="columnheader" class="c-model">Model</div><div role="columnheader" class="c-provider">Provider</div>
      </div></div>
      <div class="agents-body" role="rowgroup" ref=${body} style=${{ height: `${rows.length * height}px` }}
        onPointerEnter=${() => setHeld(true)} onPointerLeave=${() => setHeld(false)}
        onFocusIn=${() => setHeld(true)} onFocusOut=${() => setHeld(false)}>
        ${rows.slice(first, last).map((place, n) => html`<${Row} key=${place} place=${place} index=${first + n} height=${height} changes=${changes} tab=${first + n === focus} />`)}
      </div>
    </div>
    ${rows.length === 0 && html`<${Empty} icon="search" title="No agent is like that">Take a filter away, or search for something else.<//>`}
  </section>`;
}

/** @param {{place: number, index: number, height: number, changes: number, tab: boolean}} props */
function Row({ place, index, height, tab }) {
  const state = fleet.states[fleet.state[place] ?? 0] ?? "";
  const flags = fleet.flags[place] ?? 0;
  const evidence = fleet.evidence[place] ?? 0;
  const severity = (fleet.severity[place] ?? 0) / 10;
  const id = /** @type {string} */ (fleet.ids[place]);
  return html`<div role="row" class=${`agent-row state-${state}`} aria-rowindex=${index + 2} style=${{ transform: `translateY(${index * height}px)` }}
      onClick=${(/** @type {MouseEvent} */ event) => !(event.target instanceof HTMLAnchorElement) && go("agents", id)}>
    <div role="cell" class="c-name"><a href=${href("agents", id)} tabindex=${tab ? 0 : -1} title=${id}>${id}</a></div>
    <div role="cell" class="c-state"><${Badge} state=${state} /><${FenceNote} fenced=${Boolean(flags & FENCED && !(flags & ENFORCED))} enforced=${false} />${state === "healthy" && evidence >= 60 && flags & SHARED ? html`<span class="fence-note" title="A fleet incident names it and explains what it shows: it has no case of its own."><${Icon} name="together" />shared</span>` : null}</div>
    <div role="cell" class="c-evidence"><${Evidence} value=${evidence} shared=${Boolean(flags & SHARED)} /></div>
    <div role="cell" class="c-severity">${severity > 0 ? html`<${Severity} value=${severity} />` : html`<span class="quiet">–</span>`}</div>
    <div role="cell" class="c-cost"><${Cost} usd=${fleet.cost[place] ?? -1} stopped=${isStopped(flags)} /></div>
    <div role="cell" class="c-type">${fleet.types[place] || html`<span class="quiet">–</span>`}</div>
    <div role="cell" class="c-model">${fleet.models[place] || html`<span class="quiet">–</span>`}</div>
    <div role="cell" class="c-provider">${fleet.providers[place] || html`<span class="quiet">–</span>`}</div>
  </div>`;
}

/** Whether it spends nothing: its fence is in force. @param {number} flags */
function isStopped(flags) {
  return Boolean(flags & FENCED && flags & ENFORCED);
}

/** @param {{usd: number, stopped: boolean}} props USD an hour over its last steps, -1 where unknown */
function Cost({ usd, stopped }) {
  if (usd < 0) return html`<span class="quiet">–</span>`;
  if (stopped) return html`<span class="quiet" title="Its calls are refused; this is what it spent before.">was ${money(usd)}</span>`;
  return html`${money(usd)}<span class="quiet"> /h</span>`;
}

/** @param {{value: number, shared: boolean}} props percent of what quarantines; `shared` explains it */
function Evidence({ value, shared }) {
  const tone = shared ? "shared" : value >= 100 ? "high" : value >= 60 ? "middle" : "low";
  return html`<span class=${`evidence ${tone}`} title=${`${percent(value / 100)} of the evidence that quarantines it`}>
    <i><i style=${{ width: `${Math.min(value, 100)}%` }}></i></i><b>${value > 200 ? ">200 %" : `${value} %`}</b></span>`;
}

/**
 * Which rows are in sight of the window.
 * @param {{current: HTMLElement | null}} body @param {number} length
 */
function useWindow(body, length) {
  const height = useHeight();
  const [range, setRange] = useState({ first: 0, last: 40 });
  useEffect(() => {
    let waiting = 0;
    const look = () => {
      waiting = 0;
      const box = body.current;
      if (!box) return;
      const above = -box.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(above / height) - SPARE);
      const last = Math.min(length, Math.ceil((above + innerHeight) / height) + SPARE);
      setRange((now) => (now.first === first && now.last === last ? now : { first, last }));
    };
    const soon = () => {
      waiting ||= requestAnimationFrame(look);
    };
    look();
    // whatever stands above the table may grow or shrink
    const watch = new ResizeObserver(soon);
    watch.observe(document.body);
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(waiting);
      watch.disconnect();
      removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
    };
  }, [length, height]);
  return { ...range, height };
}

/** Rows of two lines on a phone. */
function useHeight() {
  const [narrow, setNarrow] = useState(() => matchMedia("(max-width: 46rem)").matches);
  useEffect(() => {
    const query = matchMedia("(max-width: 46rem)");
    const look = () => setNarrow(query.matches);
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, []);
  return narrow ? 72 : 38;
}
