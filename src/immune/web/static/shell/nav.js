// Where one can go, with what waits there; a bar at the foot on a phone.

import { Fragment } from "preact";
import { useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { Dialog } from "../parts/dialog.js";
import { Icon } from "../parts/icon.js";
import { href, route } from "../route.js";
import { capabilities, cases, theme, waiting, who } from "../state.js";
import { useStore } from "../store.js";
import { Panic } from "./panic.js";

/** @type {Record<string, string>} */
export const TITLES = {
  fleet: "Fleet", agents: "Agent", queue: "Decisions", incidents: "Incidents",
  together: "Fleet incidents", healings: "Healings", chaos: "Chaos",
};

/** @param {{help: () => void}} props */
export function Nav({ help }) {
  const here = useStore(route, (now) => now.view);
  const all = useStore(cases);
  const simulated = useStore(capabilities, (can) => can?.simulated ?? false);
  const [more, setMore] = useState(false);
  const [panic, setPanic] = useState(false);
  const open = [...all.values()];
  const own = open.filter((one) => one.kind === "agent" && !QUIET.has(one.state)).length;
  const shared = open.filter((one) => one.kind !== "agent").length;
  const items = [
    { view: "fleet", icon: "fleet", count: 0, loud: false },
    { view: "queue", icon: "queue", count: waiting(all).length, loud: true },
    { view: "incidents", icon: "incidents", count: own, loud: false },
    { view: "together", icon: "together", count: shared, loud: false },
    { view: "healings", icon: "healings", count: 0, loud: false },
    ...(simulated ? [{ view: "chaos", icon: "chaos", count: 0, loud: false }] : []),
  ];
  const shown = useStore(route, (now) => now.id);
  const isShared = here === "incidents" && shown && (all.get(shown)?.kind ?? "agent") !== "agent";
  const current = here === "agents" ? "fleet" : isShared ? "together" : here;
  return html`<${Fragment}><nav class="nav" aria-label="Views">
    <a class="brand" href="#/"><img src="/static/icon.svg" alt="" width="22" height="22" /><span>Immune</span></a>
    <ul>${items.map((item) => html`<li key=${item.view}>
      <a href=${href(item.view)} aria-current=${current === item.view ? "page" : undefined} title=${TITLES[item.view]}>
        <${Icon} name=${item.icon} /><span>${TITLES[item.view]}</span>
        ${item.count > 0 && html`<b class=${item.loud ? "count loud" : "count"}>${item.count}<span class="sr"> open</span></b>`}
      </a></li>`)}
    </ul>
    <div class="nav-foot">
      <${Settings} />
      <button type="button" class="plain" onClick=${help}><${Icon} name="keyboard" /><span>Shortcuts</span><kbd>?</kbd></button>
      <button type="button" class="panic" onClick=${() => setPanic(true)}><${Icon} name="lock" /><span>Fence everything…</span></button>
    </div>
    <button type="button" class="plain more" aria-label="More" onClick=${() => setMore(true)}><${Icon} name="menu" /></button></nav>
    ${more && html`<${Dialog} title="Immune" close=${() => setMore(false)}>
      <ul class="more-list">${items.slice(3).map((item) => html`<li key=${item.view}>
        <a href=${href(item.view)} onClick=${() => setMore(false)}><${Icon} name=${item.icon} />${TITLES[item.view]}
        ${item.count > 0 && html`<b class="count">${item.count}</b>`}</a></li>`)}</ul>
      <${Settings} />
      <button type="button" class="panic" onClick=${() => { setMore(false); setPanic(true); }}><${Icon} name="lock" />Fence everything…</button>
    <//>`}
    ${panic && html`<${Panic} close=${() => setPanic(false)} />`}
  <//>`;
}

const QUIET = new Set(["suspected", "observed"]);

let made = 0;

function Settings() {
  const name = useStore(who);
  const shown = useStore(theme);
  const id = useRef(`who-${(made += 1)}`);
  return html`<div class="settings">
    <label for=${id.current}>You decide as</label>
    <input id=${id.current} type="text" maxlength="256" value=${name} autocomplete="username"
      onChange=${(/** @type {any} */ event) => who.set(event.currentTarget.value.trim() || "operator")} />
    <div class="segmented" role="group" aria-label="Appearance">
      ${[["", "Auto"], ["light", "Light"], ["dark", "Dark"]].map(([value, label]) => html`<button type="button" key=${label}
        aria-pressed=${shown === value} onClick=${() => theme.set(value ?? "")}>${label}</button>`)}
    </div>
  </div>`;
}
