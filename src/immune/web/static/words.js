// What states, events, modes, causes and actions are called, and what they mean to the person on
// call. The command line says the same: its list is `immune/words.py`, and a test compares them.

/** @typedef {{label: string, means: string, tone: string}} Meaning */

/** @type {Record<string, Meaning>} */
export const STATES = {
  healthy: { label: "Healthy", means: "Within its own normal.", tone: "well" },
  learning: { label: "Learning", means: "Too few steps yet to know its normal.", tone: "idle" },
  suspected: { label: "Suspected", means: "Evidence is rising; nothing is done to it.", tone: "watch" },
  observed: { label: "Observed", means: "Left its normal; it is only watched.", tone: "watch" },
  contained: { label: "Contained", means: "Fenced; the cause is being looked for.", tone: "fenced" },
  awaiting_approval: { label: "Awaiting approval", means: "Fenced; a person must decide.", tone: "ask" },
  rejected: { label: "Rejected", means: "Fenced; a person said no to healing.", tone: "ask" },
  healing: { label: "Healing", means: "Fenced; an action is being carried out.", tone: "busy" },
  probation: { label: "Probation", means: "Back at work; the cure is being proved.", tone: "busy" },
  exhausted: { label: "Exhausted", means: "Fenced; nothing is left to try by itself.", tone: "ask" },
  held: { label: "Held", means: "Fenced by a person; only a person lifts it.", tone: "held" },
  resolved: { label: "Resolved", means: "The cure is proved on fresh vitals.", tone: "well" },
  dismissed: { label: "Dismissed", means: "Closed without a cure to prove.", tone: "idle" },
};

/** The order in which states are shown: what matters most first. */
export const URGENCY = [
  "awaiting_approval", "exhausted", "rejected", "contained", "healing", "held", "probation",
  "suspected", "observed", "learning", "healthy",
];

/** @type {Record<string, {label: string, means: string}>} */
export const MODES = {
  observe: { label: "Observe", means: "Nothing is fenced or healed; only what would be is counted." },
  ask: { label: "Ask", means: "Sick agents are fenced; healing always asks a person." },
  enforce: { label: "Enforce", means: "Sick agents are fenced and healed; severe cases ask a person." },
};

/** What happened, in the past tense; `by` is added for persons. @type {Record<string, string>} */
export const EVENTS = {
  opened: "Opened", confirmed: "Infection confirmed", braked: "Held back by the brake",
  subsided: "Back to normal by itself", quarantined_by_person: "Quarantined", diagnosed: "Diagnosed",
  approved: "Approved", rejected: "Rejected", overdue: "Nobody answered in time",
  heal_now: "Healing ordered", applied: "Action done", failed: "Action failed",
  unreachable: "Agent did not answer", verified: "Cure proved", relapsed: "Still sick",
  stale: "No fresh vitals", resumed: "Fresh vitals again", finding_added: "Further finding",
  released: "Released", absorbed: "Explained by a fleet incident", acknowledged: "Acknowledged",
};

/** @type {Record<string, {label: string, means: string}>} */
export const VERDICTS = {
  false_alarm: { label: "False alarm", means: "It was well all along: learn what was held back." },
  new_normal: { label: "New normal", means: "It changed for good and that is fine: learn it anew." },
  fixed_by_hand: { label: "Fixed by hand", means: "Somebody repaired it: watch that it stays well." },
};

/** @param {string | undefined} cause */
export function causeName(cause) {
  if (!cause) return "";
  if (cause === "unknown") return "No known cause";
  return cause.charAt(0).toUpperCase() + cause.slice(1).replaceAll("_", " ");
}

/** What came of an attempt. @type {Record<string, string>} */
export const OUTCOMES = {
  pending: "Being proved", cured: "Cured", relapsed: "Still sick", failed: "Failed",
  unreachable: "No answer", superseded: "Ended before proof",
};

/** @type {Record<string, string>} */
export const FLEET_KINDS = {
  outage: "Outage", release: "Release", telemetry_gap: "Telemetry gap", brake: "Brake",
};

/** What an action does, where the incident does not say it itself. @type {Record<string, string>} */
export const ACTIONS = {
  wait: "Give what is around the agent time to recover.",
  reset_memory: "Empty the agent's memory.",
  reduce_autonomy: "Let it take fewer steps by itself.",
  revoke_tools: "Take tools away until it has stayed well.",
  rollback_prompt: "Go back to the prompt before.",
  switch_model: "Use another model until it has stayed well.",
  clone_agent: "Replace it by a fresh copy; cannot be undone.",
};
