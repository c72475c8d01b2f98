// The watched return: how far the proof is, metric by metric.

import { metricName, plural, sentence } from "../format.js";
import { html } from "../html.js";

const CURE = Math.log(1e-4);
const RELAPSE = Math.log(1e2);

/** Log odds as people say them. @param {number} nats */
function odds(nats) {
  if (Math.abs(nats) < 0.05) return "even";
  const times = Math.exp(Math.abs(nats));
  const said = times >= 10_000 ? "over 10,000" : times >= 100 ? Math.round(times).toLocaleString("en") : times.toPrecision(2);
  return nats < 0 ? `${said} to 1 well` : `${said} to 1 sick`;
}

/**
 * @param {{trial: import("../records.js").Trial | null, stale: boolean,
 *   holds: import("../records.js").Fence[]}} props `holds` are persons' fences around the agent
 */
export function Probation({ trial, stale, holds }) {
  return html`<section class="panel"><header><h2>Is it cured?</h2>${trial && html`<span class="quiet">${plural(trial.fresh_steps, "fresh step")} so far</span>`}</header>
    <div class="panel-body">
      ${holds.length > 0 && html`<p class="notice warn"><span><b>Held by ${holds.map((fence) => fence.by).join(", ")}.</b> Its calls are refused, so no fresh vitals come: the proof waits until the hold is lifted.</span></p>`}
      ${stale && !holds.length && html`<p class="notice warn">No fresh vitals come. Nothing is proved until they do: missing data is never success.</p>`}
      ${trial ? html`<p>${sentence(trial.reason)}.</p>
        <ul class="trial">${trial.metrics.map((one) => {
          const toward = one.log_odds < 0 ? Math.min(one.log_odds / CURE, 1) : Math.min(one.log_odds / RELAPSE, 1);
          const said = one.clear ? "proved normal" : one.samples ? odds(one.log_odds) : "not reported yet";
          return html`<li key=${one.metric}><span>${metricName(one.metric)}</span>
            <i class=${`odds ${one.log_odds < 0 ? "well" : "sick"}`} aria-hidden="true"><i style=${one.log_odds < 0 ? { right: "50%", width: `${50 * toward}%` } : { left: "50%", width: `${50 * toward}%` }}></i></i>
            <b>${said}</b></li>`;
        })}</ul>
        <p class="quiet">Cured when each stands at 10,000 to 1 for well, at least 5 fresh steps; still sick when one stands at about 100 to 1 against.</p>`
      : html`<p class="quiet">Waiting for the first step that began after the action was acknowledged.</p>`}
    </div></section>`;
}
