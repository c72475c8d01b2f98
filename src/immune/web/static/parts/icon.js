// The page's icons, drawn on 16 × 16; a state has a shape of its own beside its colour.

import { html } from "../html.js";

/** @type {Record<string, string>} */
const PATHS = {
  healthy: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM5.4 8.1l1.9 1.9 3.4-3.7",
  learning: "M8 2.5v1.6M8 11.9v1.6M2.5 8h1.6M11.9 8h1.6M4.1 4.1l1.1 1.1M10.8 10.8l1.1 1.1M4.1 11.9l1.1-1.1M10.8 5.2l1.1-1.1",
  suspected: "M8 2.6 14 13H2zM8 6.5v3M8 11.1v.2",
  observed: "M1.8 8S4 3.8 8 3.8 14.2 8 14.2 8 12 12.2 8 12.2 1.8 8 1.8 8zM8 6.3a1.7 1.7 0 1 1 0 3.4 1.7 1.7 0 0 1 0-3.4z",
  contained: "M3 3h10v10H3zM6 6h4v4H6z",
  awaiting_approval: "M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2zM6.3 6.4C6.4 5.3 7.1 4.8 8 4.8c1 0 1.8.6 1.8 1.6C9.8 7.7 8 7.7 8 9.2M8 11.1v.2",
  rejected: "M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2zM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4",
  healing: "M6.2 2.5h3.6v3.7h3.7v3.6H9.8v3.7H6.2V9.8H2.5V6.2h3.7z",
  probation: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM8 4.8V8l2.2 1.6",
  exhausted: "M5.4 2.2h5.2l3.2 3.2v5.2l-3.2 3.2H5.4l-3.2-3.2V5.4zM8 5v3.6M8 10.9v.2",
  held: "M4.5 7.2h7v6h-7zM5.8 7.2V5.4a2.2 2.2 0 0 1 4.4 0v1.8",
  resolved: "M2.8 8.4 6.2 12l7-7.6",
  dismissed: "M3.5 8h9",
  fleet: "M2.5 2.5h4.2v4.2H2.5zM9.3 2.5h4.2v4.2H9.3zM2.5 9.3h4.2v4.2H2.5zM9.3 9.3h4.2v4.2H9.3z",
  queue: "M2.5 9.5h3l1 2h3l1-2h3M2.5 9.5 4 3.5h8l1.5 6v3h-11z",
  incidents: "M8 2.6 14 13H2zM8 6.5v3M8 11.1v.2",
  together: "M5.5 3a2 2 0 1 1 0 4 2 2 0 0 1 0-4zM10.8 4a1.6 1.6 0 1 1 0 3.2 1.6 1.6 0 0 1 0-3.2zM2 12.6c0-2 1.5-3.4 3.5-3.4S9 10.6 9 12.6M10.5 9.3c2 0 3.4 1.3 3.4 3.1",
  healings: "M2 8h3l1.6-4.5L9.5 12.5 11 8h3",
  chaos: "M9 1.8 3.5 9H8l-1 5.2L12.5 7H8z",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM10.3 10.3l3.2 3.2",
  close: "m4 4 8 8M12 4l-8 8",
  back: "M9.5 3.5 5 8l4.5 4.5",
  next: "M6.5 3.5 11 8l-4.5 4.5",
  sun: "M8 5.3a2.7 2.7 0 1 1 0 5.4 2.7 2.7 0 0 1 0-5.4zM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
  moon: "M13 9.8A5.5 5.5 0 0 1 6.2 3 5.5 5.5 0 1 0 13 9.8z",
  keyboard: "M1.8 4.5h12.4v7H1.8zM4 7h.1M6.6 7h.1M9.3 7h.1M12 7h.1M5 9.3h6",
  lock: "M4.5 7.2h7v6h-7zM5.8 7.2V5.4a2.2 2.2 0 0 1 4.4 0v1.8",
};

/** @param {{name: string}} props */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d=${PATHS[name] ?? PATHS.dismissed} />
  </svg>`;
}

/** The shape of a state, for the canvas. @param {string} name */
export function shape(name) {
  return PATHS[name] ?? "";
}
