// A state in its colour, its shape and in words.

import { html } from "../html.js";
import { STATES } from "../words.js";
import { words } from "../format.js";
import { Icon } from "./icon.js";

/** @param {{state: string}} props */
export function Badge({ state }) {
  const known = STATES[state];
  return html`<span class=${`badge tone-${known?.tone ?? "idle"}`} title=${known?.means ?? ""}>
    <${Icon} name=${state} />${known?.label ?? words(state)}
  </span>`;
}

/**
 * How far a fence is really in force.
 * @param {{fenced: boolean, enforced: boolean}} props
 */
export function FenceNote({ fenced, enforced }) {
  if (!fenced) return null;
  return enforced
    ? html`<span class="fence-note" title="An enforcement point confirmed that its calls are refused."
        ><${Icon} name="lock" />fenced</span>`
    : html`<span class="fence-note loose"
        title="No enforcement point has confirmed the fence: its calls may still go through."
        ><${Icon} name="suspected" />ordered, not enforced</span>`;
}

/** Harm from 0 to 10, in a bar and a number. @param {{value: number}} props */
export function Severity({ value }) {
  const tone = value >= 7 ? "high" : value >= 4 ? "middle" : "low";
  return html`<span class=${`severity ${tone}`} title="Severity: harm since the onset, 0 to 10. From 7 on a person is asked."
    ><i style=${{ width: `${Math.min(value, 10) * 10}%` }}></i><b>${value.toFixed(1)}</b
    ><span class="sr"> of 10</span></span>`;
}
