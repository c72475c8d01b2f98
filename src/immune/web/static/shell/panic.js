// The red button: fence every agent at once, and take exactly that back.

import { useState } from "preact/hooks";
import { post } from "../api.js";
import { count, plural } from "../format.js";
import { html } from "../html.js";
import { Dialog } from "../parts/dialog.js";
import { Icon } from "../parts/icon.js";
import { OrderButton, Refusal, useOrder, Why } from "../parts/order.js";
import { Ago, Clock } from "../parts/time.js";
import { useResource } from "../resource.js";
import { fleet, fleetChanges, status, toast, who } from "../state.js";
import { useStore } from "../store.js";

/** @typedef {import("../records.js").Lockdown} Lockdown */

/** Show at once what the next status will say. @param {(all: Lockdown[]) => Lockdown[]} change */
function showStanding(change) {
  const now = status.value;
  if (now) status.set({ ...now, lockdowns: change(now.lockdowns) });
}

/** How much of the fleet an order to fence everything still holds. @param {Lockdown} one */
export function heldBy(one) {
  return one.agents < fleet.size
    ? `${count(one.agents)} of ${plural(fleet.size, "agent")} still fenced by ${one.by}`
    : `Everything is fenced: ${plural(one.agents, "agent")} held by ${one.by}`;
}

/**
 * On every view while everything is fenced: who did it, when, why, and the way back.
 */
export function LockdownBanner() {
  const open = useStore(status, (now) => now?.lockdowns) ?? [];
  useStore(fleetChanges, () => fleet.size);
  return open.map((one) => html`<${Standing} key=${one.id} one=${one} />`);
}

/** @param {{one: Lockdown}} props */
function Standing({ one }) {
  const order = useOrder();
  const undo = () => order.give(async () => {
    const lifted = await post(`/api/lockdowns/${encodeURIComponent(one.id)}/undo`, { who: who.value });
    showStanding((all) => all.filter((other) => other.id !== one.id));
    toast(`${plural(lifted.agents, "fence")} lifted: everything is as it was before.`);
  });
  return html`<div class="banner lockdown" role="alert"><${Icon} name="lock" />
    <span><strong>${heldBy(one)}</strong> since <${Clock} at=${one.at} /> (<${Ago} at=${one.at} />): ${one.reason}
      ${order.refusal && html` <b>${order.refusal}</b>`}</span>
    <${OrderButton} kind="danger solid" busy=${order.busy} hint="Lifts exactly these holds; other fences stay" onClick=${undo}>Undo: lift these holds<//></div>`;
}

/** @param {{close: () => void}} props */
export function Panic({ close }) {
  const standing = useResource("/api/lockdowns");
  const [why, setWhy] = useState("");
  const [sure, setSure] = useState("");
  const order = useOrder();
  const fence = async () => {
    const done = await order.give(async () => {
      const made = await post("/api/lockdowns", { who: who.value, why });
      showStanding((all) => [...all.filter((one) => one.id !== made.id), made]);
      toast(`${plural(made.agents, "agent")} fenced.`);
    });
    if (done) close();
  };
  const undo = async (/** @type {Lockdown} */ one) => {
    const done = await order.give(async () => {
      const lifted = await post(`/api/lockdowns/${encodeURIComponent(one.id)}/undo`, { who: who.value, why });
      showStanding((all) => all.filter((other) => other.id !== one.id));
      toast(`${plural(lifted.agents, "fence")} lifted: everything is as it was before.`);
    });
    if (done) close();
  };
  /** @type {Lockdown[]} */
  const open = /** @type {any} */ (standing.data) ?? [];
  return html`<${Dialog} title="Fence everything" close=${close}>
    ${open.map((one) => html`<section key=${one.id} class="notice alarm">
      <p><b>${heldBy(one)}</b> <${Ago} at=${one.at} />: ${one.reason}</p>
      <p>Undo lifts exactly these holds. Fences of open cases and other people's holds stay.</p>
      <${OrderButton} kind="primary" busy=${order.busy} onClick=${() => undo(one)}>Undo exactly this<//>
    </section>`)}
    <p>This puts a hold of yours around <b>each of the ${plural(fleet.size, "agent")}</b> that ever reported, at once, healthy ones
    ${" "}too. Their calls are refused until a person lifts the holds; the system never does. The brake does not limit it.
    ${" "}Agents that report for the first time later are not held.</p>
    <${Why} value=${why} set=${setWhy} needed hint="The next person will want to know" />
    <div class="field"><label for="sure">Type <b>fence</b> to confirm</label>
      <input id="sure" type="text" autocomplete="off" value=${sure} onInput=${(/** @type {any} */ event) => setSure(event.currentTarget.value)} /></div>
    ${order.refusal && html`<${Refusal} text=${order.refusal} />`}
    <footer><button type="button" onClick=${close}>Cancel</button>
      <${OrderButton} kind="danger solid" busy=${order.busy} disabled=${sure.trim().toLowerCase() !== "fence" || !why.trim()} onClick=${fence}>
        Fence all ${plural(fleet.size, "agent")}<//></footer>
  <//>`;
}
