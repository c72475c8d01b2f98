// The ladder of a case: what was done and what came of it, what comes next, and what is left out.

import { plural, sentence, span, words } from "../format.js";
import { html } from "../html.js";
import { ACTIONS, OUTCOMES } from "../words.js";
import { Icon } from "./icon.js";

/**
 * @typedef {import("../records.js").Incident} Incident
 * @typedef {import("../records.js").Healing} Healing
 * @typedef {import("../records.js").Rung} Rung
 */

/**
 * The actions of a case in the order of their turn.
 * @param {Incident} incident @param {Healing[]} attempts newest first, as the server tells them
 * @returns {{done: Healing[], ahead: Rung[], left: Rung[]}} `left` are skipped or passed over
 */
export function arranged({ ladder, next_rung: next, current, state, closed_at: closed }, attempts) {
  const done = attempts.toReversed();
  const tried = new Set(done.map((one) => one.action));
  const running = closed ? done.at(-1)?.action : state === "healing" || state === "probation" ? current : null;
  const ahead = ladder.slice(next).filter((rung, n) => !rung.skipped && !(n === 0 && rung.action === running));
  return { done, ahead, left: ladder.filter((rung) => !ahead.includes(rung) && !tried.has(rung.action)) };
}

/** @param {{incident: Incident, attempts: Healing[]}} props */
export function Ladder({ incident, attempts }) {
  const { done, ahead, left } = arranged(incident, attempts);
  if (!incident.ladder.length && !done.length) return html`<p class="quiet">Nothing is planned: the ladder is ordered when the case is contained.</p>`;
  const what = (/** @type {string} */ action) => sentence(incident.ladder.find((rung) => rung.action === action)?.expected || ACTIONS[action] || "");
  return html`<ol class="ladder">
      ${done.map((one, n) => {
        const now = n === done.length - 1 && one.outcome === "pending";
        return html`<li key=${one.key} class=${now ? "now" : "tried"}><div class="rung-head"><b>${sentence(words(one.action))}</b>
          ${now && html`<span class="tag">now</span>`}${one.trigger === "heal_now" && html`<span class="tag">ordered by a person</span>`}</div>
          <p>${what(one.action)}</p><${Attempt} attempt=${one} /></li>`;
      })}
      ${ahead.map((rung, n) => html`<li key=${rung.action} class="ahead"><div class="rung-head"><b>${sentence(words(rung.action))}</b>
          <span class="tag">${incident.closed_at ? "not needed" : n === 0 ? "next" : "then"}</span>
          ${!incident.closed_at && rung.asks && html`<span class="tag loud">always asks</span>`}${!incident.closed_at && incident.covered.includes(rung.action) && html`<span class="tag">covered</span>`}</div>
        <p>${what(rung.action)}</p></li>`)}
    </ol>
    ${left.length > 0 && html`<ul class="left-out" aria-label="Left out">${left.map((rung) => html`<li key=${rung.action}><b>${sentence(words(rung.action))}</b> <span class="quiet">left out: ${rung.skipped || "passed over"}</span></li>`)}</ul>`}`;
}

/** @param {{attempt: Healing}} props */
export function Attempt({ attempt }) {
  const { outcome, changes, note, fresh_steps: steps, applied_at: applied, ended_at: ended } = attempt;
  return html`<div class=${`attempt outcome-${outcome}`}>
    <span class="outcome"><${Icon} name=${outcome === "cured" ? "resolved" : outcome === "pending" ? "probation" : outcome === "superseded" ? "dismissed" : "rejected"} />${OUTCOMES[outcome] ?? words(outcome)}</span>
    ${steps > 0 && html`<span class="quiet">${plural(steps, "fresh step")}${applied && ended ? ` in ${span(ended - applied)}` : ""}</span>`}
    <${Changes} changes=${changes} />
    ${note && html`<span class="quiet">${sentence(note)}</span>`}
  </div>`;
}

/** What really changed on the agent. @param {{changes: import("../records.js").Change[] | undefined}} props */
export function Changes({ changes }) {
  if (!changes?.length) return null;
  return html`<ul class="changes">${changes.map((one, n) => html`<li key=${n}><span>${words(one.what)}</span> ${one.before || "none"} → <b>${one.after || "none"}</b></li>`)}</ul>`;
}
