// The live stream, and the banner that says when what is shown is no longer live.

import { place } from "./dom.js";

const SILENT_MS = 12000;
const AGAIN_MS = 3000;

/**
 * Follow the server's events for as long as the page is open.
 * @param {{opened: () => void, status: (status: any) => void, incident: (event: any) => void}} on
 */
export function follow(on) {
  let heard = Date.now();
  /** @type {EventSource} */
  let source;

  function lost() {
    const banner = place("banner");
    if (banner.hidden) {
      banner.textContent =
        `The connection is lost. What you see is as of ${new Date(heard).toLocaleTimeString()}.`;
      banner.hidden = false;
      document.body.classList.add("stale");
    }
  }

  function alive() {
    heard = Date.now();
    place("banner").hidden = true;
    document.body.classList.remove("stale");
  }

  function connect() {
    source = new EventSource("/api/events");
    source.addEventListener("open", () => {
      alive();
      on.opened();
    });
    source.addEventListener("status", (event) => {
      alive();
      on.status(JSON.parse(event.data));
    });
    source.addEventListener("incident", (event) => {
      alive();
      on.incident(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      lost();
      // the browser tries again by itself, unless the server answered with an error
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN_MS);
    });
  }

  connect();
  setInterval(() => {
    if (Date.now() - heard > SILENT_MS) lost();
  }, 1000);
}
