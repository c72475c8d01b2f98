// Always in sight: the mode and what it means, the brake, what is degraded, what the fleet shares,
// and whether all this is live.

import { useState } from "preact/hooks";
import { plural, span } from "../format.js";
import { html } from "../html.js";
import { Icon } from "../parts/icon.js";
import { href } from "../route.js";
import { cases, fleet, fleetChanges, link, second, status } from "../state.js";
import { useStore } from "../store.js";
import { FLEET_KINDS, MODES } from "../words.js";
import { Brake } from "./brake.js";
import { ModeDialog } from "./mode.js";

export function StatusBar() {
  const now = useStore(status);
  const [asking, setAsking] = useState(false);
  if (!now) return html`<header class="status" aria-label="Status"><${Live} /></header>`;
  const mode = MODES[now.mode];
  const own = Object.keys(now.modes_by_type).length;
  return html`<header class="status" aria-label="Status">
    <button type="button" class=${`mode mode-${now.mode}`} onClick=${() => setAsking(true)} title="Change the mode">
      <span class="sr">Mode: </span>${mode?.label}</button>
    <p class="mode-means">${meaning(now)}
      ${now.mode === "observe" && html` <b>It would have quarantined ${plural(now.would_have.quarantined, "agent")}${now.would_have.asked ? ` and asked a person about ${now.would_have.asked}` : ""}.</b>`}
      ${own > 0 && html` <span class="quiet">${plural(own, "type has a mode", "types have modes")} of their own.</span>`}</p>
    <div class="signs">
      <${Loose} />
      <${Shared} />
      <${Degraded} tasks=${now.degraded} />
      <${Brake} brake=${now.brake} />
      <${Live} />
    </div>
    ${asking && html`<${ModeDialog} now=${now} close=${() => setAsking(false)} />`}
  </header>`;
}

/**
 * What the mode means now; a person's order goes before it.
 * @param {import("../records.js").Status} now
 */
function meaning(now) {
  if (now.lockdowns.length) {
    const n = now.lockdowns.reduce((sum, one) => sum + one.agents, 0);
    const all = now.lockdowns.some((one) => one.agents >= now.agents);
    return html`<b class="over">${all ? "All are held" : "Many are held"}: ${plural(n, "hold")} by ${[...new Set(now.lockdowns.map((one) => one.by))].join(", ")}.</b> Only a person lifts them; the mode does not.`;
  }
  if (now.mode === "observe" && now.held) return `The system fences nothing; ${plural(now.held, "hold")} by a person.`;
  return MODES[now.mode]?.means;
}

/** @param {{tasks: import("../records.js").TaskHealth[]}} props */
function Degraded({ tasks }) {
  if (!tasks.length) return html`<div class="sign good"><${Icon} name="resolved" /><span>All parts work</span></div>`;
  const said = tasks.map((task) => `${task.name}: ${task.last_error}`).join("\n");
  return html`<div class="sign alarm" role="status" title=${said}><${Icon} name="exhausted" />
    <span>Degraded: ${tasks.map((task) => task.name).join(", ")}</span></div>`;
}

function Shared() {
  const all = useStore(cases);
  const open = [...all.values()].filter((one) => one.kind !== "agent");
  if (!open.length) return null;
  const kinds = [...new Set(open.map((one) => FLEET_KINDS[one.kind] ?? one.kind))].join(", ");
  return html`<a class="sign warn" href=${href("together")}><${Icon} name="together" />
    <span>${plural(open.length, "fleet incident")}: ${kinds}</span></a>`;
}

function Loose() {
  const loose = useStore(fleetChanges, () => fleet.unenforced());
  if (!loose) return null;
  return html`<div class="sign warn" title="No enforcement point has confirmed these fences: the agents' calls may still go through.">
    <${Icon} name="suspected" /><span>${plural(loose, "fence")} ordered, not enforced</span></div>`;
}

function Live() {
  const { state, heard } = useStore(link);
  useStore(second);
  if (state === "connecting") return html`<div class="sign live waiting" role="status"><i></i><span>Connecting</span></div>`;
  if (state === "stale") return html`<div class="sign live stale"><i></i><span>Not connected</span></div>`;
  const quiet = (Date.now() - heard) / 1000;
  return html`<div class="sign live" title=${`Last heard ${span(quiet)} ago`}><i></i><span>Connected</span></div>`;
}
