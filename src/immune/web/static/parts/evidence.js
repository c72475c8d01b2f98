// What speaks for the diagnosis: the ranked causes, and each metric against its normal.

import { measure, metricName, percent, sentence } from "../format.js";
import { html } from "../html.js";
import { causeName } from "../words.js";

/** @param {{incident: import("../records.js").Incident}} props */
export function Diagnosis({ incident }) {
  const { diagnosis, finding } = incident;
  if (!diagnosis) return html`<p class="quiet">No diagnosis yet: it is made when the case is contained.</p>`;
  const ranked = diagnosis.ranked.filter((one, n) => n === 0 || one.confidence >= 0.02).slice(0, 4);
  return html`
    <ol class="causes" aria-label="Likely causes">${ranked.map((one, n) => html`<li key=${one.cause} class=${n === 0 ? "first" : ""}>
      <span>${causeName(one.cause)}</span><i aria-hidden="true"><i style=${{ width: `${100 * one.confidence}%` }}></i></i><b>${percent(one.confidence)}</b></li>`)}</ol>
    ${diagnosis.reasons.length > 0 && html`<ul class="reasons">${diagnosis.reasons.map((why, n) => html`<li key=${n}>${sentence(why)}</li>`)}</ul>`}
    ${finding && html`<${Effects} finding=${finding} />`}`;
}

/** @param {{finding: import("../records.js").Finding}} props */
function Effects({ finding }) {
  const rows = finding.effects.filter((one) => one.affected);
  if (!rows.length) return null;
  return html`<div class="scroll"><table class="effects"><thead><tr><th>Metric</th><th>Normal</th><th>Since the onset</th><th>Worse by</th></tr></thead>
    <tbody>${rows.map((one) => {
      const rare = one.metric === "retries" || one.metric === "errors";
      const show = (/** @type {number} */ value) => (rare ? `${percent(value)} of steps` : measure(one.metric, value));
      return html`<tr key=${one.metric}><td>${metricName(one.metric)}</td><td class="number">${show(one.normal)}</td>
        <td class="number"><b>${show(one.now)}</b></td><td class="number">${rare ? `+${percent(one.increase)}` : `× ${one.ratio.toFixed(1)}`}</td></tr>`;
    })}</tbody></table></div>`;
}
