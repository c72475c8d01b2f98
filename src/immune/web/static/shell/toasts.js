// What orders came to, for a few seconds.

import { html } from "../html.js";
import { toasts } from "../state.js";
import { useStore } from "../store.js";

export function Toasts() {
  const all = useStore(toasts);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${all.map((one) => html`<p key=${one.id} class=${`toast ${one.tone}`}>${one.text}</p>`)}</div>`;
}
