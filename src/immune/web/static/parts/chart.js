// One chart over time: uPlot in the page's colours, with the band of what is normal, lines that
// mean something, and what happened as marks.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clock, minutes } from "../format.js";
import { html } from "../html.js";
import { theme } from "../state.js";
import { useStore } from "../store.js";
import { colours } from "./colour.js";
import { useDark } from "./dark.js";

/**
 * @typedef {{at: number, label: string, tone: string, dashed?: boolean}} Mark
 * @typedef {{value: number, label: string, tone: string}} Level
 * @typedef {{low: number, high: number, median: number}} Band
 * @typedef {{times: number[], values: (number | null)[], show: (value: number) => string,
 *   band?: Band | null, levels?: Level[], marks?: Mark[], points?: boolean, height?: number,
 *   label: string, from?: number, until?: number}} ChartProps
 */

/** @param {ChartProps} props */
export function Chart(props) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const latest = useRef(props);
  latest.current = props;
  const shown = useStore(theme);
  const dark = useDark();

  useEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    const made = build(place, latest);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: place.clientWidth, height: latest.current.height ?? 150 }));
    watch.observe(place);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shown, dark]);

  useEffect(() => {
    plot.current?.setData([props.times, props.values]);
  }, [props.times, props.values, props.band, props.marks, props.levels]);

  return html`<div class="chart" ref=${box} role="img" aria-label=${props.label}></div>`;
}

/** @param {HTMLElement} place @param {{current: ChartProps}} latest */
function build(place, latest) {
  const colour = colours(place);
  const font = `11px ${getComputedStyle(place).fontFamily}`;
  const axis = { stroke: colour("quiet"), font, grid: { stroke: colour("rule"), width: 1 }, ticks: { stroke: colour("rule"), width: 1, size: 4 } };
  /** @type {uPlot.Options} */
  const options = {
    width: place.clientWidth || 300,
    height: latest.current.height ?? 150,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
    padding: [8, 10, 0, 0],
    scales: {
      x: {
        time: true,
        range: (_, low, high) => {
          const { from, until } = latest.current;
          return [from ?? low ?? 0, Math.max(until ?? high ?? 1, (from ?? low ?? 0) + 1)];
        },
      },
      y: {
        range: (_, low, high) => {
          const { band, levels } = latest.current;
          const all = [low ?? 0, high ?? 0, band?.high ?? 0, ...(levels ?? []).map((one) => one.value)];
          const top = Math.max(...all.filter(Number.isFinite), 0);
          return [0, top > 0 ? top * 1.08 : 1];
        },
      },
    },
    axes: [
      { ...axis, space: 80, size: 26, values: (_, ticks, __, ___, step) => ticks.map((tick) => time(tick, step)) },
      { ...axis, size: 66, space: 32, values: (_, ticks) => ticks.map((tick) => latest.current.show(tick)) },
    ],
    series: [
      {},
      { stroke: colour("accent"), width: 1.5, points: latest.current.points ? { show: true, size: 4, fill: colour("accent"), filter: (u) => hits(u) } : { show: false }, spanGaps: false },
    ],
    hooks: {
      drawClear: [(u) => behind(u, latest.current, colour)],
      draw: [(u) => before(u, latest.current, colour, font)],
      setCursor: [(u) => point(u, latest.current, place)],
    },
  };
  return new uPlot(options, [latest.current.times, latest.current.values], place);
}

/** Only what happened gets a point. @param {uPlot} u */
function hits(u) {
  const values = u.data[1] ?? [];
  return Array.from(values.keys()).filter((n) => (values[n] ?? 0) > 0);
}

/** @param {number} at @param {number} step seconds between two ticks */
function time(at, step) {
  return step < 60 ? clock(at) : minutes(at);
}

/** The band and the median, under the line. @param {uPlot} u @param {ChartProps} props @param {(name: string) => string} colour */
function behind(u, { band }, colour) {
  if (!band) return;
  const { ctx, bbox } = u;
  const top = Math.max(u.valToPos(band.high, "y", true), bbox.top);
  const bottom = Math.min(u.valToPos(band.low, "y", true), bbox.top + bbox.height);
  ctx.save();
  ctx.fillStyle = colour("tone-well");
  ctx.globalAlpha = 0.13;
  ctx.fillRect(bbox.left, top, bbox.width, Math.max(bottom - top, 1));
  ctx.globalAlpha = 0.75;
  ctx.strokeStyle = colour("tone-well");
  ctx.setLineDash([2, 3]);
  line(ctx, bbox.left, u.valToPos(band.median, "y", true), bbox.left + bbox.width);
  ctx.restore();
}

/** Levels and marks, over the line. @param {uPlot} u @param {ChartProps} props @param {(name: string) => string} colour @param {string} font */
function before(u, { levels = [], marks = [] }, colour, font) {
  const { ctx, bbox } = u;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.font = font.replace("11px", `${10 * scale}px`);
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  for (const level of levels) {
    const y = u.valToPos(level.value, "y", true);
    ctx.strokeStyle = ctx.fillStyle = colour(`tone-${level.tone}`);
    ctx.setLineDash([6, 4]);
    line(ctx, bbox.left, y, bbox.left + bbox.width);
    ctx.fillText(level.label, bbox.left + 6 * scale, y - 4 * scale);
  }
  for (const mark of marks) {
    const x = Math.round(u.valToPos(mark.at, "x", true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(`tone-${mark.tone}`);
    ctx.lineWidth = scale;
    ctx.setLineDash(mark.dashed ? [3 * scale, 3 * scale] : []);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.moveTo(x - 4 * scale, bbox.top);
    ctx.lineTo(x + 4 * scale, bbox.top);
    ctx.lineTo(x, bbox.top + 6 * scale);
    ctx.fill();
  }
  ctx.restore();
}

/** @param {CanvasRenderingContext2D} ctx @param {number} from @param {number} y @param {number} to */
function line(ctx, from, y, to) {
  ctx.beginPath();
  ctx.moveTo(from, Math.round(y) + 0.5);
  ctx.lineTo(to, Math.round(y) + 0.5);
  ctx.stroke();
}

/** What is under the pointer, in words. @param {uPlot} u @param {ChartProps} props @param {HTMLElement} place */
function point(u, { times, values, show, marks = [] }, place) {
  const n = u.cursor.idx;
  const value = n === null || n === undefined ? null : values[n];
  const at = n === null || n === undefined ? undefined : times[n];
  if (at === undefined || value === null || value === undefined) {
    delete place.dataset.reading;
    return;
  }
  const near = marks.filter((mark) => Math.abs(u.valToPos(mark.at, "x") - (u.cursor.left ?? -99)) < 6).map((mark) => ` · ${mark.label}`);
  place.dataset.reading = `${clock(at)} · ${show(value)}${near.join("")}`;
}
