// A value that components follow. Changes of one frame are shown together.

import { useEffect, useRef, useState } from "preact/hooks";

/** @template T */
export class Store {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<() => void>} */
    this.listeners = new Set();
  }

  /** @param {T} value */
  set(value) {
    if (value === this.value) return;
    this.value = value;
    for (const listener of this.listeners) listener();
  }

  /** @param {(value: T) => T} change */
  update(change) {
    this.set(change(this.value));
  }

  /** @param {() => void} listener */
  subscribe(listener) {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }
}

/**
 * Follow a store, or what `select` makes of it.
 * @template T, [R=T]
 * @param {Store<T>} store
 * @param {(value: T) => R} [select]
 * @returns {R}
 */
export function useStore(store, select) {
  const pick = select ?? /** @type {(value: T) => R} */ (/** @type {unknown} */ ((/** @type {T} */ v) => v));
  const [, redraw] = useState(0);
  const now = pick(store.value);
  const shown = useRef(now);
  shown.current = now;
  const latest = useRef(pick);
  latest.current = pick;
  useEffect(() => {
    const look = () => {
      if (!Object.is(latest.current(store.value), shown.current)) redraw((n) => n + 1);
    };
    look();
    return store.subscribe(look);
  }, [store]);
  return now;
}
