// Keyboard shortcuts: those of the shell, and those of the view at hand while it is shown. A key that
// is held down counts once.

import { useLayoutEffect, useRef } from "preact/hooks";

/** @typedef {Record<string, (event: KeyboardEvent) => void>} Keys */

/** @type {Keys[]} the last ones go first */
const layers = [];

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));
}

addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  for (const keys of layers.toReversed()) {
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act(event);
      return;
    }
  }
});

/** Have these keys while the component is shown. @param {Keys} keys */
export function useKeys(keys) {
  const latest = useRef(keys);
  latest.current = keys;
  useLayoutEffect(() => {
    /** @type {Keys} */
    const layer = new Proxy(/** @type {Keys} */ ({}), {
      get: (_, key) => latest.current[String(key)],
    });
    layers.push(layer);
    return () => {
      layers.splice(layers.indexOf(layer), 1);
    };
  }, []);
}
