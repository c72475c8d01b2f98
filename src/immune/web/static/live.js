// The live stream: one connection, resumed where it broke off; what is shown while it is away is
// said to be old.

import { get, reason } from "./api.js";
import { route } from "./route.js";
import {
  agentNews, capabilities, expectCases, fleet, fleetChanges, link, moves, noteServerTime, status,
  table, takeCase, takeCases, tally, trialNews,
} from "./state.js";

/** Without a word for so long the stream counts as lost: a status comes every 3 s. */
const SILENT_MS = 9000;
const AGAIN_MS = 2000;
const MOVES_KEPT = 200;

/** @type {EventSource | null} */
let source = null;
let lastSeq = 0;
let begun = false;
let watched = "";
/** @type {import("./records.js").FleetMoved[]} what came before the board did */
let early = [];
let attempt = 0;

function alive() {
  const state = begun ? "live" : link.value.state;
  link.set({ state, heard: Date.now() });
}

function lost() {
  if (link.value.state === "live") link.set({ state: "stale", heard: link.value.heard });
}

/** Take everything anew; the feed tells what changed meanwhile and from then on. */
async function begin() {
  const mine = (attempt += 1);
  begun = false;
  early = [];
  expectCases();
  try {
    const [start, can, rows] = await Promise.all([
      get("/api/start"),
      capabilities.value ?? get("/api/capabilities"),
      table.value.length ? table.value : get("/api/states"),
    ]);
    if (mine !== attempt) return;
    noteServerTime(start.status.now);
    capabilities.set(can);
    table.set(rows);
    fleet.take(start.fleet);
    for (const moved of early) fleet.apply(moved);
    fleetChanges.update((n) => n + 1);
    takeCases(start.cases);
    status.set(start.status);
    tally.set(start.tally);
    begun = true;
    link.set({ state: "live", heard: Date.now() });
  } catch (error) {
    if (mine !== attempt) return;
    if (link.value.state === "live") lost();
    else link.set({ ...link.value, error: reason(error) });
    setTimeout(() => mine === attempt && begin(), AGAIN_MS);
  }
}

/** @param {import("./records.js").Move[]} found */
function takeMoves(found) {
  const fresh = found.filter((move) => move.seq > lastSeq);
  for (const move of fresh) {
    lastSeq = move.seq;
    if (move.case) takeCase(move.case);
  }
  if (fresh.length) moves.update((all) => [...fresh.reverse(), ...all].slice(0, MOVES_KEPT));
}

/** @param {EventSource} stream @param {string} name @param {(data: any) => void} take */
function on(stream, name, take) {
  stream.addEventListener(name, (event) => {
    if (stream !== source) return;
    alive();
    take(JSON.parse(event.data));
  });
}

function connect() {
  source?.close();
  const query = new URLSearchParams();
  if (lastSeq) query.set("after", String(lastSeq));
  if (watched) query.set("watch", watched);
  const stream = new EventSource(`/api/events?${query}`);
  source = stream;
  stream.addEventListener("open", () => {
    if (stream === source) begin();
  });
  stream.addEventListener("error", () => {
    if (stream !== source) return;
    lost();
    // the browser comes back by itself, unless the server answered with an error
    if (stream.readyState === EventSource.CLOSED) {
      watched = "";
      setTimeout(() => stream === source && connect(), AGAIN_MS);
    }
  });
  on(stream, "status", (data) => {
    noteServerTime(data.status.now);
    status.set(data.status);
    tally.set(data.tally);
  });
  on(stream, "cases", (data) => takeMoves(data.moves));
  on(stream, "reset", () => begin());
  on(stream, "fleet", (moved) => {
    if (!begun) early.push(moved);
    else if (moved.reset) begin();
    else if (fleet.apply(moved)) fleetChanges.update((n) => n + 1);
  });
  on(stream, "agent", (data) => agentNews.set(data));
  on(stream, "trial", (data) => trialNews.set(data));
}

/** What the view at hand wants to see closely. */
function subject() {
  const { view, id } = route.value;
  if (view === "agents" && id) return `agent:${id}`;
  if (view === "incidents" && id) return `incident:${id}`;
  return "";
}

/** Follow the server for as long as the page is open. */
export function follow() {
  watched = subject();
  connect();
  route.subscribe(() => {
    if (subject() === watched) return;
    watched = subject();
    connect();
  });
  setInterval(() => {
    if (link.value.state !== "live" || Date.now() - link.value.heard <= SILENT_MS) return;
    lost();
    connect();
  }, 1000);
}
