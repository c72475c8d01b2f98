// Small pieces that several parts of the page are made of.

import { h } from "./dom.js";
import { ago, clock, utc, words } from "./format.js";

/**
 * A state in its colour and in words.
 * @param {string} state
 */
export function badge(state) {
  return h("span", { class: `badge ${state}` }, words(state));
}

/**
 * A time, in the viewer's zone, with UTC on hover.
 * @param {number} at epoch seconds
 * @param {"ago" | "clock"} [how]
 */
export function time(at, how = "ago") {
  if (!at) return h("span", {}, "never");
  const text = how === "ago" ? ago(at) : clock(at);
  const iso = new Date(at * 1000).toISOString();
  return h("time", { datetime: iso, title: utc(at), "data-at": at, "data-how": how }, text);
}

/** Bring the "3 min ago" of the page up to date. */
export function age() {
  for (const element of document.querySelectorAll("time[data-how=ago]")) {
    if (element instanceof HTMLElement) element.textContent = ago(Number(element.dataset.at));
  }
}

/**
 * A button that runs an order: disabled meanwhile, a refusal shown beside it.
 * @param {string} label
 * @param {() => Promise<unknown>} run
 * @param {string} [kind] class of the button
 */
export function order(label, run, kind = "") {
  const said = h("span", { class: "refusal", role: "status" });
  const button = h("button", { type: "button", class: kind }, label);
  button.addEventListener("click", async () => {
    button.setAttribute("disabled", "");
    said.textContent = "";
    try {
      await run();
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      button.removeAttribute("disabled");
    }
  });
  return h("span", { class: "order" }, button, said);
}

/**
 * A field with its label.
 * @param {string} label
 * @param {HTMLElement} input
 */
export function field(label, input) {
  return h("label", { class: "field" }, h("span", {}, label), input);
}

/**
 * A list of choices; each a value, shown in words.
 * @param {string[]} values
 * @param {string} [first] what stands for "none chosen"
 * @returns {HTMLSelectElement}
 */
export function choice(values, first) {
  const options = values.map((value) => h("option", { value }, words(value)));
  if (first !== undefined) options.unshift(h("option", { value: "" }, first));
  return /** @type {HTMLSelectElement} */ (h("select", {}, ...options));
}

/**
 * One line of text.
 * @param {string} hint
 * @returns {HTMLInputElement}
 */
export function line(hint) {
  return /** @type {HTMLInputElement} */ (
    h("input", { type: "text", placeholder: hint, maxlength: 4000 })
  );
}
