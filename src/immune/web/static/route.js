// Where the viewer is: the hash of the address, so that every view has a link of its own.

import { Store } from "./store.js";

/** @typedef {{view: string, id: string, query: URLSearchParams}} Route */

/** @returns {Route} */
function read() {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", id = ""] = path.split("/");
  let name = id;
  try {
    name = decodeURIComponent(id);
  } catch {
    // a hand-made address; shown as it is
  }
  return { view: view || "fleet", id: name, query: new URLSearchParams(query) };
}

export const route = new Store(read());

addEventListener("hashchange", () => route.set(read()));

/** @param {string} view @param {string} [id] @param {Record<string, string>} [query] */
export function href(view, id = "", query = {}) {
  const asked = new URLSearchParams(query).toString();
  return `#/${view}${id && `/${encodeURIComponent(id)}`}${asked && `?${asked}`}`;
}

/** Name what is shown already, in place of the address at hand. @param {string} view @param {string} id */
export function stay(view, id) {
  history.replaceState(null, "", href(view, id));
  route.set(read());
}

/** @param {string} view @param {string} [id] @param {Record<string, string>} [query] */
export function go(view, id, query) {
  location.hash = href(view, id, query);
}
