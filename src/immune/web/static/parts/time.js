// A time in the viewer's zone, with UTC on hover.

import { about, clock, span, utc } from "../format.js";
import { html } from "../html.js";
import { now, second } from "../state.js";
import { useStore } from "../store.js";

/** @param {{at: number | null | undefined}} props */
export function Ago({ at }) {
  useStore(second, (n) => (at && now() - at > 120 ? Math.floor(n / 10) : n));
  if (!at) return html`<span class="quiet">never</span>`;
  const past = now() - at;
  const text = past < 2 ? "just now" : `${about(past)} ago`;
  return html`<time datetime=${new Date(at * 1000).toISOString()} title=${utc(at)}>${text}</time>`;
}

/** @param {{at: number}} props */
export function Clock({ at }) {
  return html`<time datetime=${new Date(at * 1000).toISOString()} title=${utc(at)}>${clock(at)}</time>`;
}

/**
 * Time left until a deadline, or how long it is over; where it has passed before, until the next
 * contact is told. Nothing is ever decided by time.
 * @param {{at: number, overdue?: number}} props `overdue` is how many were told already
 */
export function Deadline({ at, overdue = 0 }) {
  useStore(second);
  const left = at - now();
  if (overdue) {
    return html`<time class="over" title="Nobody has answered. Then the next contact is told; nothing is decided by itself."
      >next contact told ${left < 0 ? "now" : `in ${span(left)}`}</time>`;
  }
  return html`<time class=${left < 0 ? "over" : ""} title=${utc(at)}
    >${left < 0 ? `${span(-left)} overdue` : `${span(left)} left`}</time>`;
}
