// Where a case stands: the way it took, and what can lead out of where it is, from the state table.

import { words } from "../format.js";
import { html } from "../html.js";
import { table } from "../state.js";
import { useStore } from "../store.js";
import { EVENTS, STATES } from "../words.js";
import { Icon } from "./icon.js";

/** @param {{state: string, lines: import("../records.js").Line[]}} props */
export function Stepper({ state, lines }) {
  const rows = useStore(table);
  /** @type {string[]} */
  const way = [];
  for (const line of lines) if (way.at(-1) !== line.state) way.push(line.state);
  if (way.at(-1) !== state) way.push(state);
  const row = rows.find((one) => one.state === state);
  /** @type {Map<string, string[]>} */
  const next = new Map();
  for (const { event, to } of row?.steps ?? []) {
    for (const target of to) if (target !== state) next.set(target, [...(next.get(target) ?? []), event]);
  }
  return html`<ol class="stepper" aria-label="The way of this case">
    ${way.map((one, n) => html`<li key=${n} class=${`tone-${STATES[one]?.tone} ${n === way.length - 1 ? "now" : "past"}`} aria-current=${n === way.length - 1 ? "step" : undefined} title=${STATES[one]?.means}>
      <span class="pill"><${Icon} name=${one} />${STATES[one]?.label ?? words(one)}</span></li>`)}
    ${next.size > 0 && html`<li class="can"><span class="quiet">can lead to</span>
      ${[...next].map(([target, events]) => html`<span key=${target} class=${`tone-${STATES[target]?.tone} option`} title=${`${events.map((event) => EVENTS[event] ?? words(event)).join(", or ")} → ${STATES[target]?.label}`}>
        <${Icon} name=${target} />${STATES[target]?.label}</span>`)}</li>`}
  </ol>`;
}
