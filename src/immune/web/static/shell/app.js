// The frame around every view: what is always in sight, where one can go, and the view itself.

import { useEffect, useErrorBoundary, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { useKeys } from "../keys.js";
import { Empty, Failed, Loading } from "../parts/empty.js";
import { go, route } from "../route.js";
import { cases, link, waiting } from "../state.js";
import { useStore } from "../store.js";
import { Banner } from "./banner.js";
import { Help } from "./help.js";
import { Nav, TITLES } from "./nav.js";
import { LockdownBanner } from "./panic.js";
import { StatusBar } from "./status-bar.js";
import { Toasts } from "./toasts.js";

/** Views are fetched when they are first shown. @type {Record<string, () => Promise<any>>} */
const VIEWS = {
  fleet: async () => (await import("../views/fleet.js")).FleetView,
  agents: async () => (await import("../views/agent.js")).AgentView,
  queue: async () => (await import("../views/queue.js")).QueueView,
  incidents: async () => (await import("../views/incidents.js")).IncidentsView,
  together: async () => (await import("../views/together.js")).TogetherView,
  healings: async () => (await import("../views/healings.js")).HealingsView,
  chaos: async () => (await import("../views/chaos.js")).ChaosView,
};

export function App() {
  const here = useStore(route);
  const [help, setHelp] = useState(false);
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const needed = useStore(cases, (all) => waiting(all).length);
  useKeys({
    "?": () => setHelp(true),
    f: () => go("fleet"),
    d: () => go("queue"),
    i: () => go("incidents"),
    m: () => go("healings"),
    "/": () => {
      const search = document.getElementById("search");
      if (search) search.focus();
      else {
        go("fleet");
        setTimeout(() => document.getElementById("search")?.focus(), 100);
      }
    },
  });
  useEffect(() => {
    const title = here.id || TITLES[here.view] || "Immune";
    document.title = `${needed ? `(${needed}) ` : ""}${title} · Immune`;
  }, [here, needed]);
  useEffect(() => scrollTo(0, 0), [here.view, here.id]);
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); main.current?.focus(); }}>Skip to the content</a>
    <div class="frame">
      <${Nav} help=${() => setHelp(true)} />
      <div class="beside">
        <${StatusBar} />
        <${Banner} />
        <${LockdownBanner} />
        <main id="main" tabindex="-1" ref=${main}><${View} key=${here.view} name=${here.view} id=${here.id} /></main>
      </div>
    </div>
    <${Toasts} />
    ${help && html`<${Help} close=${() => setHelp(false)} />`}`;
}

/** @param {{name: string, id: string}} props */
function View({ name, id }) {
  const load = VIEWS[name];
  const [shown, setShown] = useState(/** @type {{part: any} | null} */ (null));
  const [failed, setFailed] = useState("");
  const [broken, reset] = useErrorBoundary((error) => console.error(error));
  const state = useStore(link, (now) => now.state);
  const error = useStore(link, (now) => now.error);
  const fetch = () => {
    setFailed("");
    load?.().then((part) => setShown({ part }), (error) => setFailed(String(error)));
  };
  useEffect(fetch, [name]);
  if (!load) return html`<${Empty} icon="dismissed" title="There is no such page"><a href="#/">To the fleet</a><//>`;
  if (broken) return html`<${Failed} message=${String(broken)} again=${reset} />`;
  if (failed) return html`<${Failed} message=${failed} again=${fetch} />`;
  if (state === "connecting" && error) return html`<${Failed} message=${`${error} It is tried again every 2 s.`} />`;
  if (!shown || state === "connecting") return html`<${Loading} rows=${6} />`;
  return html`<${shown.part} id=${id} />`;
}
