// All open incidents of single agents; suspicions are hidden until asked for. One of them in full.

import { useState } from "preact/hooks";
import { sentence } from "../format.js";
import { html } from "../html.js";
import { Badge, Severity } from "../parts/badge.js";
import { Empty } from "../parts/empty.js";
import { Ago } from "../parts/time.js";
import { go, href } from "../route.js";
import { cases } from "../state.js";
import { useStore } from "../store.js";
import { causeName, URGENCY } from "../words.js";
import { IncidentView } from "./incident.js";

/** @param {{id: string}} props */
export function IncidentsView({ id }) {
  return id ? html`<${IncidentView} key=${id} id=${id} />` : html`<${Open} />`;
}

const QUIET = new Set(["suspected"]);

function Open() {
  const all = useStore(cases);
  const [suspected, setSuspected] = useState(false);
  const own = [...all.values()].filter((one) => one.kind === "agent");
  const hidden = own.filter((one) => QUIET.has(one.state)).length;
  const shown = own.filter((one) => suspected || !QUIET.has(one.state))
    .sort((a, b) => URGENCY.indexOf(a.state) - URGENCY.indexOf(b.state) || b.severity - a.severity || a.opened_at - b.opened_at);
  return html`<div class="view"><div class="view-head"><h1>Open incidents</h1>
      ${hidden > 0 && html`<label class="check buttons"><input type="checkbox" checked=${suspected} onChange=${() => setSuspected(!suspected)} />Show ${hidden} suspected</label>`}</div>
    ${shown.length === 0
      ? html`<${Empty} title="No incident is open">${hidden > 0 ? `${hidden} suspicions are being watched; nothing is done about them yet.` : "Every agent is within its own normal."}<//>`
      : html`<div class="panel scroll"><table class="list"><thead><tr><th>Agent</th><th>State</th><th>Severity</th><th>Likely cause</th><th class="wide">Evidence</th><th>Opened</th></tr></thead>
        <tbody>${shown.map((one) => html`<tr key=${one.id} class="link" onClick=${(/** @type {MouseEvent} */ e) => !(e.target instanceof HTMLAnchorElement) && go("incidents", one.id)}>
          <td><a class="strong" href=${href("incidents", one.id)}>${one.name}</a><div class="quiet">${one.id}</div></td>
          <td><${Badge} state=${one.state} />${one.braked && html`<div class="tag loud">held back by the brake</div>`}${one.stale && html`<div class="tag loud">no fresh vitals</div>`}</td>
          <td><${Severity} value=${one.severity} /></td><td>${one.cause ? causeName(one.cause) : html`<span class="quiet">–</span>`}</td>
          <td class="wide">${one.reason ? sentence(one.reason) : html`<span class="quiet">–</span>`}</td><td><${Ago} at=${one.opened_at} /></td></tr>`)}</tbody></table></div>`}
    <p class="quiet">Closed ones are found on the page of their agent, and among the <a href=${href("healings")}>healings</a>.</p>
  </div>`;
}
