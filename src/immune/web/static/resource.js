// Something read from the server, read again when what it depends on has moved.

import { useEffect, useRef, useState } from "preact/hooks";
import { get, reason } from "./api.js";
import { link } from "./state.js";
import { useStore } from "./store.js";

/**
 * @template T
 * @typedef {{data: T | null, error: string, again: () => void}} Resource
 */

/**
 * Read `path` now, whenever `version` changes (soon after, many at once), and after the connection
 * was lost.
 * @template T
 * @param {string} path empty for nothing to read
 * @param {unknown} [version]
 * @returns {Resource<T>}
 */
export function useResource(path, version) {
  const [data, setData] = useState(/** @type {{path: string, found: T} | null} */ (null));
  const [error, setError] = useState("");
  const [turn, setTurn] = useState(0);
  const live = useStore(link, (now) => now.state === "live");
  const asked = useRef(0);
  const first = useRef("");
  useEffect(() => {
    if (!path || (!live && first.current === path)) return undefined;
    const wait = first.current === path ? 150 : 0;
    const timer = setTimeout(async () => {
      first.current = path;
      const mine = (asked.current += 1);
      try {
        const found = await get(path);
        if (mine !== asked.current) return;
        setData({ path, found });
        setError("");
      } catch (fault) {
        if (mine === asked.current) setError(reason(fault));
      }
    }, wait);
    return () => clearTimeout(timer);
  }, [path, version, turn, live]);
  const mine = data && data.path === path ? data.found : null;
  return { data: mine, error: mine ? "" : error, again: () => setTurn((n) => n + 1) };
}
