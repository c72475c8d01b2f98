// Giving an order: the button waits for the answer, and a refusal is said where it was given.

import { useRef, useState } from "preact/hooks";
import { reason } from "../api.js";
import { html } from "../html.js";
import { link } from "../state.js";
import { useStore } from "../store.js";

/**
 * @typedef {{busy: boolean, refusal: string, give: (work: () => Promise<unknown>) => Promise<boolean>}} Ordering
 * @returns {Ordering}
 */
export function useOrder() {
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState("");
  const running = useRef(false);
  return {
    busy,
    refusal,
    give: async (work) => {
      if (running.current) return false;
      running.current = true;
      setBusy(true);
      setRefusal("");
      try {
        await work();
        return true;
      } catch (error) {
        setRefusal(reason(error));
        return false;
      } finally {
        running.current = false;
        setBusy(false);
      }
    },
  };
}

/** @param {{text: string}} props */
export function Refusal({ text }) {
  return html`<p class="refusal" role="alert">${text}</p>`;
}

/**
 * A button that cannot be pressed twice, nor on what is no longer live.
 * @param {{onClick: () => void, kind?: string, busy?: boolean, disabled?: boolean, hint?: string,
 *   hotkey?: string, first?: boolean, children?: unknown}} props `first` has the focus of its dialog
 */
export function OrderButton({ onClick, kind = "", busy = false, disabled = false, hint = "", hotkey, first = false, children }) {
  const live = useStore(link).state === "live";
  return html`<button type="button" class=${kind} disabled=${busy || disabled || !live}
    title=${live ? hint : "The connection is lost: what you see may be old."} onClick=${onClick}
    aria-keyshortcuts=${hotkey} autofocus=${first || undefined}>${children}${hotkey && html`<kbd aria-hidden="true">${hotkey}</kbd>`}</button>`;
}

let fields = 0;

/**
 * A line for the reason that will stand in the record.
 * @param {{value: string, set: (text: string) => void, needed?: boolean, label?: string,
 *   hint?: string}} props
 */
export function Why({ value, set, needed = false, label = "Reason", hint = "" }) {
  const id = useRef(`why-${(fields += 1)}`);
  return html`<div class="field grow"><label for=${id.current}>${label}${needed ? "" : html` <span class="quiet">(optional)</span>`}</label>
    <input id=${id.current} type="text" maxlength="4000" value=${value} required=${needed} placeholder=${hint} autocomplete="off"
      onInput=${(/** @type {any} */ event) => set(event.currentTarget.value)} /></div>`;
}
