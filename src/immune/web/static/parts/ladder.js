// The ladder of a case: what each action would do, what it did, and which of them need a person.

import { span, words, sentence } from "../format.js";
import { html } from "../html.js";
import { ACTIONS, OUTCOMES } from "../words.js";
import { Icon } from "./icon.js";

/**
 * @param {{incident: import("../records.js").Incident, attempts: import("../records.js").Healing[]}} props
 */
export function Ladder({ incident, attempts }) {
  const { ladder, next_rung: next, state } = incident;
  const orderly = attempts.toReversed();
  const beyond = orderly.filter((one) => !ladder.some((rung) => rung.action === one.action));
  if (!ladder.length && !beyond.length) return html`<p class="quiet">Nothing is planned: the ladder is ordered when the case is contained.</p>`;
  return html`<ol class="ladder">
    ${ladder.map((rung, n) => {
      const tried = orderly.filter((one) => one.action === rung.action);
      const now = incident.current === rung.action && (state === "healing" || state === "probation");
      const role = rung.skipped ? "skipped" : now ? "now" : tried.length ? "tried" : n >= next ? "ahead" : "passed";
      return html`<li key=${n} class=${role}>
        <div class="rung-head"><b>${sentence(words(rung.action))}</b>
          ${rung.skipped ? html`<span class="tag">skipped</span>` : now ? html`<span class="tag">now</span>` : null}
          ${!rung.skipped && rung.asks && html`<span class="tag loud">always asks</span>`}
          ${role === "ahead" && incident.covered.includes(rung.action) && html`<span class="tag">covered</span>`}</div>
        <p>${rung.skipped ? sentence(rung.skipped) : sentence(rung.expected || ACTIONS[rung.action] || "")}</p>
        ${tried.map((one) => html`<${Attempt} key=${one.key} attempt=${one} />`)}
      </li>`;
    })}
    ${beyond.map((one) => html`<li key=${one.key} class="tried"><div class="rung-head"><b>${sentence(words(one.action))}</b><span class="tag">ordered by a person</span></div><${Attempt} attempt=${one} /></li>`)}
  </ol>`;
}

/** @param {{attempt: import("../records.js").Healing}} props */
export function Attempt({ attempt }) {
  const { outcome, changes, note, fresh_steps: steps, applied_at: applied, ended_at: ended } = attempt;
  return html`<div class=${`attempt outcome-${outcome}`}>
    <span class="outcome"><${Icon} name=${outcome === "cured" ? "resolved" : outcome === "pending" ? "probation" : outcome === "superseded" ? "dismissed" : "rejected"} />${OUTCOMES[outcome] ?? words(outcome)}</span>
    ${steps > 0 && html`<span class="quiet">${steps} fresh steps${applied && ended ? ` in ${span(ended - applied)}` : ""}</span>`}
    <${Changes} changes=${changes} />
    ${note && html`<span class="quiet">${sentence(note)}</span>`}
  </div>`;
}

/** What really changed on the agent. @param {{changes: import("../records.js").Change[] | undefined}} props */
export function Changes({ changes }) {
  if (!changes?.length) return null;
  return html`<ul class="changes">${changes.map((one, n) => html`<li key=${n}><span>${words(one.what)}</span> ${one.before || "none"} → <b>${one.after || "none"}</b></li>`)}</ul>`;
}
