// One order for several cases: the dialog lists exactly what will happen, and then what came of it.

import { useState } from "preact/hooks";
import { post } from "../api.js";
import { plural, sentence, words } from "../format.js";
import { html } from "../html.js";
import { Severity } from "../parts/badge.js";
import { summaryOf } from "../parts/decide.js";
import { Dialog } from "../parts/dialog.js";
import { Icon } from "../parts/icon.js";
import { OrderButton, Refusal, useOrder, Why } from "../parts/order.js";
import { takeCase, toast, who } from "../state.js";
import { causeName } from "../words.js";

const VERBS = {
  approve: { title: "Approve", what: "Each is healed by the plan that it shows, at the version listed.", kind: "primary", done: "approved" },
  reject: { title: "Reject", what: "No action is taken. Each stays fenced until a person heals or releases it.", kind: "danger solid", done: "rejected" },
  "heal-now": { title: "Heal", what: "Each is healed by what is left of its plan, though it was rejected before.", kind: "primary", done: "being healed" },
};

/**
 * @param {{verb: keyof typeof VERBS, cases: import("../records.js").Case[], close: () => void}} props
 */
export function Bulk({ verb, cases: given, close }) {
  // what was listed is what is ordered, whatever moves meanwhile
  const [cases] = useState(given);
  const [why, setWhy] = useState("");
  const [outcomes, setOutcomes] = useState(/** @type {Map<string, string> | null} */ (null));
  const order = useOrder();
  const { title, what, kind, done } = VERBS[verb];
  const give = async () => {
    await order.give(async () => {
      const decisions = cases.map((one) => ({ incident_id: one.id, version: one.version }));
      /** @type {import("../records.js").Outcome[]} */
      const found = await post(`/api/${verb}`, { decisions, who: who.value, why });
      for (const one of found) if (one.incident) takeCase(summaryOf(one.incident));
      const failed = found.filter((one) => one.error);
      if (failed.length < found.length) toast(`${plural(found.length - failed.length, "case")} ${done}.`);
      if (failed.length) setOutcomes(new Map(found.map((one) => [one.incident_id, one.error])));
      else close();
    });
  };
  return html`<${Dialog} wide title=${`${title} ${plural(cases.length, "case")}?`} close=${close}>
    <p>${what}</p>
    <div class="scroll bulk"><table><thead><tr><th>Agent</th><th>Severity</th><th>${verb === "reject" ? "Likely cause" : "What will be done, in order"}</th><th>Version</th></tr></thead>
      <tbody>${cases.map((one) => html`<tr key=${one.id}><td><b>${one.name}</b><div class="quiet">${one.id}</div></td><td><${Severity} value=${one.severity} /></td>
        <td>${outcomes ? (outcomes.get(one.id) ? html`<span class="over">${outcomes.get(one.id)}</span>` : html`<span class="done"><${Icon} name="resolved" />${sentence(done)}</span>`)
          : verb === "reject" ? causeName(one.cause) : (one.plan ?? []).map(words).join(", then ") || html`<span class="over">nothing is left in its plan: it will be refused</span>`}</td>
        <td class="number">${one.version}</td></tr>`)}</tbody></table></div>
    ${order.refusal && html`<${Refusal} text=${order.refusal} />`}
    ${outcomes ? html`<p class="notice warn">Some were refused; the reasons stand above. Nothing was done to those.</p><footer><button type="button" class="primary" onClick=${close}>Close</button></footer>`
      : html`<${Why} value=${why} set=${setWhy} /><footer><button type="button" onClick=${close}>Cancel</button>
        <${OrderButton} kind=${kind} busy=${order.busy} onClick=${give}>${title} ${plural(cases.length, "case")}<//></footer>`}
  <//>`;
}
