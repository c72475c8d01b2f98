// In the demo only: make a simulated agent sick.

import { post } from "./api.js";
import { h, place } from "./dom.js";
import { choice, field, order } from "./widgets.js";

/** @type {HTMLSelectElement | null} */
let agent = null;

/** @param {{simulated: boolean, infections: Record<string, string[]>}} capabilities */
export function showChaos(capabilities) {
  const where = place("chaos");
  where.hidden = !capabilities.simulated;
  if (!capabilities.simulated) return;
  agent = choice([], "choose an agent…");
  const infection = choice(Object.keys(capabilities.infections), "choose an infection…");
  const strain = choice([], "any strain");
  infection.addEventListener("change", () => {
    const strains = choice(capabilities.infections[infection.value] ?? [], "any strain");
    strain.replaceChildren(...strains.children);
    strain.value = ""; // options that are moved may bring a choice along
  });
  const said = h("p", { class: "quiet", role: "status" });
  const infect = async () => {
    if (!agent?.value || !infection.value) throw new Error("choose an agent and an infection");
    const order = { agent_id: agent.value, infection: infection.value };
    const done = await post("/api/chaos", strain.value ? { ...order, strain: strain.value } : order);
    said.textContent = `${done.agent_id} has ${done.infection} (${done.strain}) now.`;
  };
  where.replaceChildren(
    h("h2", {}, "Chaos"),
    h("p", { class: "quiet" }, "This fleet is simulated: make one of its agents sick and watch."),
    h("div", { class: "orders" }, field("Agent", agent), field("Infection", infection),
      field("Strain", strain), order("Infect", infect, "danger")),
    said,
  );
}

/** @param {any[]} agents */
export function offerAgents(agents) {
  if (!agent || agent.options.length - 1 === agents.length) return;
  const chosen = agent.value;
  agent.replaceChildren(...choice(agents.map((one) => one.agent_id), "choose an agent…").children);
  for (const option of agent.options) {
    option.textContent = option.value || "choose an agent…"; // ids are shown as they are
  }
  agent.value = chosen;
}
