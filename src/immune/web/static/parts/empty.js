// What stands where there is nothing, nothing yet, or no answer.

import { html } from "../html.js";
import { Icon } from "./icon.js";

/** @param {{icon?: string, title: string, children?: unknown}} props */
export function Empty({ icon = "healthy", title, children }) {
  return html`<div class="empty"><${Icon} name=${icon} /><strong>${title}</strong>
    ${children && html`<p>${children}</p>`}</div>`;
}

/** @param {{rows?: number}} props */
export function Loading({ rows = 4 }) {
  return html`<div class="loading" role="status"><span class="sr">Loading</span>
    ${Array.from({ length: rows }, (_, n) => html`<i key=${n}></i>`)}</div>`;
}

/** @param {{message: string, again?: () => void}} props */
export function Failed({ message, again }) {
  return html`<div class="empty failed" role="alert"><${Icon} name="exhausted" />
    <strong>This could not be read</strong><p>${message}</p>
    ${again && html`<button type="button" onClick=${again}>Try again</button>`}</div>`;
}
