// Numbers and times as people read them: always with a unit.

/** @param {string} name */
export function words(name) {
  return name.replaceAll("_", " ");
}

/** @param {number} seconds */
export function span(seconds) {
  if (seconds >= 86400) return `${Math.round(seconds / 86400)} d`;
  if (seconds >= 3600) return `${Math.round(seconds / 3600)} h`;
  if (seconds >= 60) return `${Math.round(seconds / 60)} min`;
  return `${Math.max(0, Math.round(seconds))} s`;
}

/** @param {number} at epoch seconds */
export function ago(at) {
  return at ? `${span(Date.now() / 1000 - at)} ago` : "never";
}

/** @param {number} at epoch seconds */
export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString();
}

/** @param {number} at epoch seconds */
export function utc(at) {
  return new Date(at * 1000).toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
}

/** @param {number | null} share 0..1 */
export function percent(share) {
  return share === null ? "—" : `${Math.round(100 * share)} %`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function count(count, one, many) {
  return `${count.toLocaleString()} ${count === 1 ? one : (many ?? `${one}s`)}`;
}

/** @param {number} value */
export function number(value) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 1 : 4;
  return value.toLocaleString(undefined, { maximumFractionDigits: digits });
}
