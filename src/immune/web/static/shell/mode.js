// How far the system may go: changed for all agents, with what that means said beforehand.

import { useState } from "preact/hooks";
import { post } from "../api.js";
import { html } from "../html.js";
import { Dialog } from "../parts/dialog.js";
import { OrderButton, Refusal, useOrder } from "../parts/order.js";
import { status, toast } from "../state.js";
import { MODES } from "../words.js";

/** @param {{now: import("../records.js").Status, close: () => void}} props */
export function ModeDialog({ now, close }) {
  const [mode, setMode] = useState(now.mode);
  const order = useOrder();
  const own = Object.entries(now.modes_by_type);
  const give = async () => {
    const done = await order.give(async () => {
      await post("/api/mode", { mode });
      if (status.value) status.set({ ...status.value, mode });
    });
    if (done) {
      toast(`The mode is ${MODES[mode]?.label.toLowerCase()} now.`);
      close();
    }
  };
  return html`<${Dialog} title="How far may the system go?" close=${close}>
    <fieldset class="choices"><legend class="sr">Mode</legend>
      ${Object.entries(MODES).map(([name, { label, means }]) => html`<label key=${name} class="choice">
        <input type="radio" name="mode" value=${name} checked=${mode === name} onChange=${() => setMode(/** @type {any} */ (name))} />
        <span><b>${label}</b> ${name === now.mode && html`<em class="quiet">now</em>`}<br />${means}</span></label>`)}
    </fieldset>
    ${own.length > 0 && html`<p class="quiet">These types have a mode of their own, which this does not change: ${own.map(([type, one]) => `${type} (${one})`).join(", ")}.</p>`}
    <p class="quiet">A new mode takes effect at the next finding of a case; fences that stand are not lifted by it.</p>
    ${order.refusal && html`<${Refusal} text=${order.refusal} />`}
    <footer><button type="button" onClick=${close}>Cancel</button>
      <${OrderButton} kind="primary" busy=${order.busy} disabled=${mode === now.mode} onClick=${give}>Set mode<//></footer>
  <//>`;
}
