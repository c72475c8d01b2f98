// Every agent as one cell: what is wrong is seen before anything is read. The table below says it
// in words.

import { useEffect, useRef, useState } from "preact/hooks";
import { count } from "../format.js";
import { FENCED } from "../fleet.js";
import { html } from "../html.js";
import { colours } from "../parts/colour.js";
import { useDark } from "../parts/dark.js";
import { go } from "../route.js";
import { fleet, fleetChanges, theme } from "../state.js";
import { useStore } from "../store.js";
import { STATES } from "../words.js";

const LARGEST = 16;
const SMALLEST = 5;
const HEIGHT_MAX = 190;

/** Agents of a type stand together. */
function arranged() {
  const { types, ids } = fleet;
  return Array.from(ids.keys()).sort((a, b) => {
    const [one, other] = [types[a] ?? "", types[b] ?? ""];
    return one < other ? -1 : one > other ? 1 : a - b;
  });
}

/** @param {number} width @param {number} agents */
function layout(width, agents) {
  let size = LARGEST;
  while (size > SMALLEST && Math.ceil(agents / Math.floor(width / size)) * size > HEIGHT_MAX) size -= 1;
  const columns = Math.max(1, Math.floor(width / size));
  return { size, columns, rows: Math.ceil(agents / columns) };
}

export function FleetMap() {
  const changes = useStore(fleetChanges);
  const shown = useStore(theme);
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const order = useRef(/** @type {number[]} */ ([]));
  const [width, setWidth] = useState(0);
  const [tip, setTip] = useState(/** @type {{x: number, y: number, place: number} | null} */ (null));
  const dark = useDark();
  if (order.current.length !== fleet.size) order.current = arranged();

  useEffect(() => {
    const box = canvas.current?.parentElement;
    if (!box) return undefined;
    const watch = new ResizeObserver(() => setWidth(box.clientWidth));
    watch.observe(box);
    return () => watch.disconnect();
  }, []);

  useEffect(() => {
    const element = canvas.current;
    const draw = element?.getContext("2d");
    if (!element || !draw || !width) return;
    const { size, columns, rows } = layout(width, fleet.size);
    const scale = devicePixelRatio;
    element.width = width * scale;
    element.height = rows * size * scale;
    element.style.height = `${rows * size}px`;
    draw.scale(scale, scale);
    const colour = colours(/** @type {HTMLElement} */ (element.parentElement));
    const tones = fleet.states.map((state) => colour(`tone-${STATES[state]?.tone ?? "idle"}`));
    const faint = fleet.states.map((state) => state === "healthy" || state === "learning");
    const gap = size > 8 ? 2 : 1;
    order.current.forEach((place, n) => {
      const state = fleet.state[place] ?? 0;
      const x = (n % columns) * size;
      const y = Math.floor(n / columns) * size;
      const side = size - gap;
      draw.fillStyle = tones[state] ?? "grey";
      draw.globalAlpha = faint[state] ? 0.45 : 1;
      // a shape of its own: well is small, watched is hollow, fenced fills its cell
      if (faint[state]) {
        const small = Math.max(2, 2 * Math.round(side * 0.3));
        draw.fillRect(x + (side - small) / 2, y + (side - small) / 2, small, small);
      } else if ((fleet.flags[place] ?? 0) & FENCED) {
        draw.fillRect(x, y, side, side);
      } else {
        draw.strokeStyle = tones[state] ?? "grey";
        draw.lineWidth = size > 8 ? 2 : 1.5;
        draw.strokeRect(x + 1, y + 1, side - 2, side - 2);
      }
    });
    draw.globalAlpha = 1;
  }, [changes, width, shown, dark]);

  const at = (/** @type {MouseEvent} */ event) => {
    const { size, columns } = layout(width, fleet.size);
    const place = order.current[Math.floor(event.offsetY / size) * columns + Math.floor(event.offsetX / size)];
    return place === undefined || event.offsetX >= columns * size ? null : place;
  };
  const hover = (/** @type {MouseEvent} */ event) => {
    const place = at(event);
    setTip(place === null ? null : { x: event.offsetX, y: event.offsetY, place });
  };
  const press = (/** @type {MouseEvent} */ event) => {
    const place = at(event);
    if (place !== null) go("agents", /** @type {string} */ (fleet.ids[place]));
  };
  const sick = fleet.size - (fleet.counts().healthy ?? 0) - (fleet.counts().learning ?? 0);
  return html`<figure class="map">
    <canvas ref=${canvas} role="img" aria-label=${`Map of ${count(fleet.size)} agents, ${count(sick)} of them not well; the table below names them.`}
      onMouseMove=${hover} onMouseLeave=${() => setTip(null)} onClick=${press}></canvas>
    ${tip && html`<div class="tip" aria-hidden="true" style=${{ left: `${Math.min(tip.x + 12, Math.max(width - 200, 0))}px`, top: `${tip.y + 14}px` }}>
      <b>${fleet.ids[tip.place]}</b><span>${STATES[fleet.states[fleet.state[tip.place] ?? 0] ?? ""]?.label} · ${fleet.types[tip.place]}</span></div>`}
  </figure>`;
}
