// The brake on ourselves: how many agents the system may fence by itself, how many it has, and why.

import { useState } from "preact/hooks";
import { count, plural } from "../format.js";
import { html } from "../html.js";
import { Dialog } from "../parts/dialog.js";

/** @typedef {import("../records.js").Bound} Bound */

/** @param {Bound} bound */
function words({ used, limit, span }) {
  return `${count(used)} of ${count(limit)} ${span}`;
}

/** @param {{brake: import("../records.js").Brake}} props */
export function Brake({ brake }) {
  const [asked, ask] = useState(false);
  const off = brake.share >= 1;
  // the rule that is nearer to its limit is the one that counts
  const near = brake.bounds.reduce((one, other) => (other.limit - other.used < one.limit - one.used ? other : one));
  const used = off ? brake.fenced / Math.max(brake.active, 1) : near.limit ? near.used / near.limit : 1;
  const label = brake.holding ? "Brake holds" : off ? "Brake off" : "Brake";
  return html`<button type="button" class=${`sign brake ${brake.holding ? "alarm" : used > 0.7 && !off ? "warn" : ""}`}
      title="How many agents the system may fence by itself" onClick=${() => ask(true)}>
    <span>${label}</span><span class="meter" aria-hidden="true"><i style=${{ width: `${100 * Math.min(used, 1)}%` }}></i></span>
    <b>${off ? `${count(brake.fenced)} fenced` : words(near)}</b></button>
    ${asked && html`<${Dialog} title="The brake" close=${() => ask(false)}><${Rules} brake=${brake} off=${off} /><//>`}`;
}

/** @param {{brake: import("../records.js").Brake, off: boolean}} props */
function Rules({ brake, off }) {
  return html`<p>The system fences only so many agents by itself, so that a fault of ours, or one cause that many share, cannot stop your fleet.
      ${" "}Holds by persons and hard limits are not counted.</p>
    ${off
      ? html`<p><b>It is off here:</b> the system may fence all of the ${plural(brake.active, "active agent")}. It has fenced ${count(brake.fenced)}.</p>`
      : html`<ul class="bounds">${brake.bounds.map((bound) => html`<li key=${bound.span}><b>${words(bound)}</b><span class="quiet">at most ${count(bound.limit)}: ${bound.why}</span></li>`)}</ul>
        <p>${brake.holding ? html`<b class="over">It holds: ${brake.holding}.</b>` : html`The system may fence <b>${count(brake.room)} more</b> now.`}
        ${" "}Beyond that a sick agent stays suspected, a fleet incident opens and a person is told; when a place is free, the most severe goes first.</p>`}`;
}
