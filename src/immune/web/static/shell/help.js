// The keyboard shortcuts.

import { html } from "../html.js";
import { Dialog } from "../parts/dialog.js";

const KEYS = [
  ["Anywhere", [["?", "this list"], ["/", "search the fleet"], ["f", "fleet"], ["d", "decisions"], ["i", "incidents"], ["m", "healings and memory"], ["Esc", "close a dialog"]]],
  ["Decisions", [["j", "next case"], ["k", "previous case"], ["a Enter", "approve the case shown"], ["r Enter", "reject it"], ["x", "select it for a bulk order"], ["o", "open it on a page of its own"]]],
  ["Agent table", [["↑ ↓", "move"], ["Enter", "open"]]],
];

/** @param {{close: () => void}} props */
export function Help({ close }) {
  return html`<${Dialog} title="Keyboard shortcuts" close=${close}>
    <div class="keys">${KEYS.map(([title, keys]) => html`<section key=${title}><h3>${title}</h3>
      <dl>${/** @type {string[][]} */ (keys).map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl></section>`)}
    </div><//>`;
}
