// The page: reads everything once, then again whenever the live stream says that something moved.

import { get } from "./api.js";
import { showAgents } from "./agents.js";
import { offerAgents, showChaos } from "./chaos.js";
import { showFooter, showHeader } from "./header.js";
import { showHealings, showStats } from "./healings.js";
import { showIncidents } from "./incidents.js";
import { follow } from "./live.js";
import { age } from "./widgets.js";

const SETTLE_MS = 250;

const context = { actions: /** @type {string[]} */ ([]), changed: refresh };
let waiting = 0;

async function readAgents() {
  const agents = await get("/api/agents?limit=10000");
  showAgents(agents, refresh);
  offerAgents(agents);
}

async function readCases() {
  const [incidents, healings, stats] = await Promise.all([
    get("/api/incidents?state=open&limit=1000"),
    get("/api/healings?limit=20"),
    get("/api/stats"),
  ]);
  showIncidents(incidents, context);
  showHealings(healings);
  showStats(stats);
}

async function readAll() {
  try {
    await Promise.all([readAgents(), readCases()]);
  } catch {
    // the stream is lost too and the banner says so; it reads again when it is back
  }
}

/** Read again soon; many events at once are read for once. */
function refresh() {
  clearTimeout(waiting);
  waiting = window.setTimeout(readAll, SETTLE_MS);
}

async function start() {
  showFooter(refresh);
  follow({
    opened: async () => {
      refresh();
      const capabilities = await get("/api/capabilities");
      context.actions = capabilities.actions;
      showChaos(capabilities);
    },
    status: (status) => {
      showHeader(status);
      readAgents().catch(() => {});
    },
    incident: refresh,
  });
  setInterval(age, 5000);
}

start();
