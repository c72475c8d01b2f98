// What waits for a person: a list on one side, the evidence and the decision on the other.

import { useEffect, useState } from "preact/hooks";
import { incidentPath } from "../api.js";
import { plural } from "../format.js";
import { html } from "../html.js";
import { useKeys } from "../keys.js";
import { Severity } from "../parts/badge.js";
import { Empty, Failed, Loading } from "../parts/empty.js";
import { Icon } from "../parts/icon.js";
import { Deadline, Ago } from "../parts/time.js";
import { useResource } from "../resource.js";
import { go, stay } from "../route.js";
import { cases, now, waiting } from "../state.js";
import { useStore } from "../store.js";
import { causeName } from "../words.js";
import { Bulk } from "./bulk.js";
import { Case, useVersion } from "./incident.js";

/** @typedef {import("../records.js").Case} Waiting */

const GROUPS = [
  { state: "awaiting_approval", title: "Awaiting approval" },
  { state: "exhausted", title: "Exhausted: name an action, or release" },
  { state: "rejected", title: "Rejected: fenced until you heal or release" },
];

/** @param {{id: string}} props the case that is shown */
export function QueueView({ id }) {
  const open = useStore(cases);
  const queue = GROUPS.flatMap(({ state }) => waiting(open).filter((one) => one.state === state));
  const [chosen, choose] = useState(/** @type {ReadonlySet<string>} */ (new Set()));
  const [bulk, setBulk] = useState(/** @type {{verb: "approve" | "reject" | "heal-now", cases: Waiting[]} | null} */ (null));
  const [last, setLast] = useState(0);
  const [orders, setOrders] = useState(0);
  const place = queue.findIndex((one) => one.id === id);
  const wide = useWide();
  const current = place >= 0 ? queue[place] : undefined;
  // what is shown stays until the person moves on: a decided case shows what became of it
  const next = current ? undefined : queue[Math.min(last, queue.length - 1)];
  useEffect(() => {
    if (place >= 0) setLast(place);
  }, [place]);
  useEffect(() => {
    if (wide && !id && queue[0]) stay("queue", queue[0].id);
  }, [wide, id, queue.length]);
  const show = (/** @type {Waiting | undefined} */ one) => {
    if (!one) return;
    go("queue", one.id);
    requestAnimationFrame(() => document.getElementById(`case-${one.id}`)?.scrollIntoView({ block: "nearest" }));
  };
  const step = (/** @type {number} */ by) => show(current ? queue[Math.max(0, Math.min(queue.length - 1, place + by))] : next);
  const toggle = (/** @type {string} */ one) => {
    const picks = new Set(chosen);
    if (!picks.delete(one)) picks.add(one);
    choose(picks);
  };
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    x: () => current && toggle(current.id),
    o: () => id && go("incidents", id),
  });
  const picked = queue.filter((one) => chosen.has(one.id));
  const asked = queue.filter((one) => one.state === "awaiting_approval");
  const rejected = queue.filter((one) => one.state === "rejected");
  const from = (/** @type {Waiting[]} */ all) => (picked.length ? all.filter((one) => chosen.has(one.id)) : all);
  const label = picked.length ? "selected" : "all";
  const late = asked.filter((one) => one.overdue || (one.approval_deadline_at ?? Infinity) < now()).length;

  if (!queue.length && !id) {
    return html`<div class="view"><div class="view-head"><h1>Decisions</h1></div>
      <${Empty} title="Nothing waits for you">Severe cases come here, fenced, with what speaks for them and what would be done.<//></div>`;
  }
  return html`<div class=${`view queue-view ${id ? "chosen" : ""}`}>
    <div class="view-head"><h1>Decisions</h1><span class="quiet">${plural(queue.length, "case")}${late ? html`, <b class="over">${late} overdue</b>` : ""}</span>
      <div class="buttons">
        ${from(asked).length > 0 && html`<button type="button" onClick=${() => setBulk({ verb: "approve", cases: from(asked) })}>Approve ${label} (${from(asked).length})…</button>
          <button type="button" class="danger" onClick=${() => setBulk({ verb: "reject", cases: from(asked) })}>Reject ${label} (${from(asked).length})…</button>`}
        ${from(rejected).length > 0 && html`<button type="button" onClick=${() => setBulk({ verb: "heal-now", cases: from(rejected) })}>Heal ${label} rejected (${from(rejected).length})…</button>`}
      </div></div>
    <div class=${`split ${id ? "one" : ""}`}>
      <div class="queue" role="group" aria-label="Cases by severity and age">
        ${GROUPS.map(({ state, title }) => {
          const mine = queue.filter((one) => one.state === state);
          if (!mine.length) return null;
          return html`<section key=${state}><h2>${title}</h2><ul>${mine.map((one) => html`<li key=${one.id} id=${`case-${one.id}`} class=${one === current ? "current" : ""}>
            <input type="checkbox" aria-label=${`Select ${one.name}`} checked=${chosen.has(one.id)} onChange=${() => toggle(one.id)} />
            <a href=${`#/queue/${encodeURIComponent(one.id)}`} aria-current=${one === current ? "true" : undefined}>
              <span class="line"><b>${one.name}</b><${Severity} value=${one.severity} /></span>
              <span class="line quiet"><span>${one.overdue ? html`<b class="over">Overdue</b> · ` : ""}${causeName(one.cause)}</span>
                ${state === "awaiting_approval" && one.approval_deadline_at ? html`<${Deadline} at=${one.approval_deadline_at} overdue=${one.overdue} />` : html`<${Ago} at=${one.opened_at} />`}</span>
            </a></li>`)}</ul></section>`;
        })}
        <p class="quiet hints"><kbd>j</kbd> <kbd>k</kbd> move · <kbd>a</kbd> <kbd>Enter</kbd> approve · <kbd>r</kbd> <kbd>Enter</kbd> reject · <kbd>x</kbd> select · <kbd>?</kbd> all</p>
      </div>
      <div class="shown">${id && html`<a class="crumb only-narrow" href="#/queue"><${Icon} name="back" />All decisions</a>
        ${!current && html`<${Gone} next=${next} show=${show} />`}<${Shown} key=${`${id}/${orders}`} id=${id} />`}</div>
    </div>
    ${bulk && html`<${Bulk} verb=${bulk.verb} cases=${bulk.cases} close=${() => { setBulk(null); choose(new Set()); setOrders(orders + 1); }} />`}
  </div>`;
}

/**
 * The case below no longer waits for anybody; the next one comes when it is asked for.
 * @param {{next: Waiting | undefined, show: (one: Waiting) => void}} props
 */
function Gone({ next, show }) {
  return html`<div class="notice gone" role="status"><p><b>This case no longer waits for a person.</b> Below is what became of it.${next ? "" : " Nothing waits for you now."}</p>
    ${next && html`<button type="button" onClick=${() => show(next)}>Next case: ${next.name} <kbd aria-hidden="true">j</kbd></button>`}</div>`;
}

/** @param {{id: string}} props */
function Shown({ id }) {
  const { data, error, again } = /** @type {import("../resource.js").Resource<import("../records.js").IncidentDetail>} */ (useResource(incidentPath(id), useVersion(id)));
  if (error) return html`<${Failed} message=${error} again=${again} />`;
  if (!data) return html`<${Loading} rows=${5} />`;
  return html`<${Case} detail=${data} again=${again} />`;
}

function useWide() {
  const [wide, setWide] = useState(() => matchMedia("(min-width: 62.01rem)").matches);
  useEffect(() => {
    const query = matchMedia("(min-width: 62.01rem)");
    const look = () => setWide(query.matches);
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, []);
  return wide;
}

