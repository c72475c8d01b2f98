// A modal dialog: the browser's own, so that focus, Escape and the backdrop work everywhere.

import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "./icon.js";

let made = 0;

/** @param {{title: string, close: () => void, wide?: boolean, children?: unknown}} props */
export function Dialog({ title, close, wide = false, children }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const name = useRef(`dialog-${(made += 1)}`);
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return html`<dialog ref=${element} class=${wide ? "wide" : ""} aria-labelledby=${name.current}
      onCancel=${(/** @type {Event} */ event) => { event.preventDefault(); close(); }}
      onClick=${(/** @type {Event} */ event) => event.target === element.current && close()}>
    <div class="dialog-body">
      <header><h2 id=${name.current}>${title}</h2>
        <button type="button" class="plain icon-only" aria-label="Close" onClick=${close}><${Icon} name="close" /></button>
      </header>
      ${children}
    </div>
  </dialog>`;
}
