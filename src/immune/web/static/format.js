// Numbers with their units, times, and the server's words as people write them.

const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const MINUTES = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const ZONE = new Intl.DateTimeFormat("en", { timeZoneName: "short" });

/** @param {string} snake */
export function words(snake) {
  return snake.replaceAll("_", " ");
}

/** Begin with a capital, unless it begins with a name. @param {string} text */
export function sentence(text) {
  if (/^\S*[_\d]/.test(text)) return text;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {number} n */
export function count(n) {
  return COUNT.format(n);
}

/** @param {number} n */
export function short(n) {
  return n < 10_000 ? COUNT.format(n) : SHORT.format(n);
}

/** @param {number} n @param {string} one @param {string} [many] */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/**
 * A share in percent, halves up; all and nothing are said of no other. As `percent` in words.py.
 * @param {number} share 0..1 or more @param {number} [places]
 */
export function percent(share, places = 0) {
  const unit = 10 ** places;
  const size = 100 * share * unit;
  const rounded = Math.floor(size + 0.5);
  if (size > 0 && size < 1) return `<${(1 / unit).toFixed(places)} %`;
  if (rounded === 100 * unit && size < rounded) return `>${((rounded - 1) / unit).toFixed(places)} %`;
  return `${(rounded / unit).toFixed(places)} %`;
}

/** Three digits. @param {number} value */
function digits(value) {
  const size = Math.abs(value);
  if (size >= 1000) return COUNT.format(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1).replace(/\.0$/, "");
  return value.toPrecision(2).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

/** @param {number} usd */
export function money(usd) {
  if (usd === 0) return "$0";
  return usd < 0.01 ? `$${usd.toPrecision(2)}` : `$${usd < 100 ? usd.toFixed(2) : COUNT.format(usd)}`;
}

/** @type {Record<string, string>} */
const UNITS = { latency_ms: "ms", interval_s: "s" };

/** A metric's value with its unit. @param {string} metric @param {number} value */
export function measure(metric, value) {
  if (metric === "cost_usd") return money(value);
  if (metric === "latency_ms" && value >= 10_000) return `${digits(value / 1000)} s`;
  if (metric === "errors" || metric === "retries") return digits(value);
  const unit = UNITS[metric];
  return unit ? `${digits(value)} ${unit}` : digits(value);
}

/** @type {Record<string, string>} */
const METRICS = {
  latency_ms: "Latency", input_tokens: "Input tokens", output_tokens: "Output tokens",
  cost_usd: "Cost", tool_calls: "Tool calls", retries: "Retries", errors: "Failed steps",
  interval_s: "Time between steps",
};

/** @param {string} metric */
export function metricName(metric) {
  return METRICS[metric] ?? sentence(words(metric));
}

/** A length of time in its two largest words. @param {number} seconds */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return s % 60 && s < 600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 60)} min`;
  if (s < 86_400) {
    const minutes = Math.floor((s % 3600) / 60);
    return minutes ? `${Math.floor(s / 3600)} h ${minutes} min` : `${Math.floor(s / 3600)} h`;
  }
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** A length of time in its largest word. @param {number} seconds */
export function about(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return s < 172_800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86_400)} d`;
}

/** What a fleet incident is about: ``agent_type coder`` -> ``type coder``. @param {string} name */
export function subjectName(name) {
  return name.replace(/^agent_type /, "type ");
}

/** @param {number} at epoch seconds */
export function clock(at) {
  const when = new Date(at * 1000);
  return Date.now() - when.getTime() > 43_200_000 ? DAY.format(when) : CLOCK.format(when);
}

/** As `clock` without its seconds. @param {number} at epoch seconds */
export function minutes(at) {
  return MINUTES.format(at * 1000);
}

/** The zone in which times are shown. */
export function zone() {
  return ZONE.formatToParts(new Date()).find((part) => part.type === "timeZoneName")?.value ?? "local time";
}

/** @param {number} at epoch seconds */
export function utc(at) {
  return `${new Date(at * 1000).toISOString().replace("T", " ").slice(0, 19)} UTC`;
}
