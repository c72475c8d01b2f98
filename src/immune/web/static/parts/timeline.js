// Everything that happened to a case, with who and why; the newest first.

import { percent, plural, sentence, span, words } from "../format.js";
import { html } from "../html.js";
import { EVENTS, STATES, VERDICTS } from "../words.js";
import { Icon } from "./icon.js";
import { Changes } from "./ladder.js";
import { Clock } from "./time.js";

/** @param {{lines: import("../records.js").Line[], since?: number}} props `since` is a version: later ones only */
export function Timeline({ lines, since = 0 }) {
  const first = lines[0]?.event.at ?? 0;
  const shown = lines.filter((line) => line.version > since).toReversed();
  return html`<ol class="timeline">${shown.map((line, n) => {
    const { event } = line;
    const before = lines.findLast((one) => one.version < line.version);
    const moved = !before || before.state !== line.state;
    return html`<li key=${line.seq} class=${`tone-${STATES[line.state]?.tone} ${n === 0 ? "newest" : ""}`}>
      <${Icon} name=${moved ? line.state : "dismissed"} />
      <div><p><b>${EVENTS[event.type] ?? sentence(words(event.type))}</b>${event.action ? html`: ${words(event.action)}` : ""}
        ${event.verdict ? html` as ${VERDICTS[event.verdict]?.label.toLowerCase()}` : ""}
        ${event.who && event.who !== "system" ? html` by <b>${event.who}</b>` : ""}
        ${moved ? html` → ${STATES[line.state]?.label}` : ""}</p>
        ${event.why && html`<p class="why">“${event.why}”</p>`}
        ${details(event).map((text, i) => html`<p class="quiet" key=${i}>${text}</p>`)}
        <${Changes} changes=${event.changes} />
        <p class="quiet when"><${Clock} at=${event.at} /> · +${span(event.at - first)} · version ${line.version}</p></div></li>`;
  })}</ol>`;
}

/** @param {import("../records.js").Line["event"]} event */
function details(event) {
  const said = [];
  if (event.finding) {
    const { finding } = event;
    said.push(finding.threshold
      ? `Evidence ${finding.evidence.toFixed(1)} of ${finding.threshold.toFixed(1)} nats (${percent(finding.evidence / finding.threshold)} of the ${finding.tier} tier), severity ${finding.severity.toFixed(1)}.`
      : `By ${words(finding.source)}, severity ${finding.severity.toFixed(1)}.`);
    if (finding.why_not) said.push(`Not enough to fence: ${finding.why_not}.`);
  }
  if (event.type === "confirmed" && event.enforce === false) said.push("Only observed: the mode or the agent's baseline does not allow a fence.");
  if (event.asks) said.push(`A person must decide: ${event.asks}.`);
  if (event.plan?.length) said.push(`Plan: ${event.plan.map(words).join(", then ")}, as shown at version ${event.version}.`);
  if (event.fresh_steps) said.push(`${plural(event.fresh_steps, "fresh step")}.`);
  if (event.contact) said.push(`Contact ${event.contact} was called.`);
  if (event.type === "absorbed" && event.by) said.push(`Part of ${event.by}.`);
  return said;
}

