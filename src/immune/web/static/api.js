// Asking the server, and ordering from it.

/** The server said no; `message` is its reason, `current` the incident as it is now. */
export class Refused extends Error {
  /** @param {number} status @param {any} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || `the server answered ${status}`);
    this.status = status;
    /** @type {string | undefined} */
    this.field = problem.field;
    /** @type {import("./records.js").Incident | undefined} */
    this.current = problem.current ?? undefined;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [how]
 * @returns {Promise<any>}
 */
async function ask(path, how) {
  let answer;
  try {
    answer = await fetch(path, how);
  } catch {
    throw new Error("The server does not answer.");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body);
  return body;
}

/** @param {string} path */
export function get(path) {
  return ask(path);
}

let token = "";

/**
 * Order something. The token shows that it is this page that asks; a restarted server has a new one.
 * @param {string} path
 * @param {unknown} order
 */
export async function post(path, order) {
  const send = () =>
    ask(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-immune-token": token },
      body: JSON.stringify(order),
    });
  if (!token) token = (await get("/api/token")).token;
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 403) throw error;
    token = (await get("/api/token")).token;
    return send();
  }
}

/** @param {string} id @param {string} [rest] */
export function agentPath(id, rest = "") {
  return `/api/agents/${encodeURIComponent(id)}${rest && `/${rest}`}`;
}

/** @param {string} id @param {string} [rest] */
export function incidentPath(id, rest = "") {
  return `/api/incidents/${encodeURIComponent(id)}${rest && `/${rest}`}`;
}

/** @param {unknown} error */
export function reason(error) {
  return error instanceof Error ? error.message : String(error);
}
