// Speaking to the server. A refusal becomes a `Refused` with the server's own words.

/** What the server refused, and why. */
export class Refused extends Error {
  /** @param {number} status @param {{detail?: string, title?: string, current?: any}} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || `the server answered ${status}`);
    this.status = status;
    this.current = problem.current ?? null;
  }
}

/** @param {Response} response */
async function answer(response) {
  if (response.ok) return response.json();
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // no problem document: the status must do
  }
  throw new Refused(response.status, problem);
}

/**
 * Read.
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function get(path) {
  return answer(await fetch(path, { headers: { accept: "application/json" } }));
}

/**
 * Order; who decides is sent along.
 * @param {string} path
 * @param {Record<string, unknown>} order
 * @returns {Promise<any>}
 */
export async function post(path, order) {
  return answer(
    await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(order),
    }),
  );
}

/** @param {string} id @param {string} [verb] */
export function agentPath(id, verb) {
  return `/api/agents/${encodeURIComponent(id)}${verb ? `/${verb}` : ""}`;
}

/** @param {string} id @param {string} [verb] */
export function incidentPath(id, verb) {
  return `/api/incidents/${encodeURIComponent(id)}${verb ? `/${verb}` : ""}`;
}

const WHO = "immune.who";

/** The name that decisions are recorded under. */
export function who() {
  return localStorage.getItem(WHO) || "operator";
}

/** @param {string} name */
export function setWho(name) {
  localStorage.setItem(WHO, name.trim());
}
