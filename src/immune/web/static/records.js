// What the server answers, as types; never loaded, only referred to. Times are epoch seconds.

/**
 * @typedef {"observe" | "ask" | "enforce"} Mode
 * @typedef {{name: string, failures: number, failing: boolean, last_error: string, last_failure_at: number | null}} TaskHealth
 * @typedef {{limit: number, used: number, span: string, why: string}} Bound
 * @typedef {{fenced: number, active: number, room: number, share: number, holding: string,
 *   bounds: Bound[]}} Brake
 * @typedef {{run_id: string, version: string, now: number, started_at: number, mode: Mode,
 *   modes_by_type: Record<string, Mode>, degraded: TaskHealth[], failures: number, agents: number,
 *   active: number, by_state: Record<string, number>, brake: Brake,
 *   would_have: {quarantined: number, asked: number}, accepted: number, queued: number,
 *   late: number, held: number, lockdowns: Lockdown[], silent_since: number | null,
 *   clocks: {agent_id: string, behind_s: number, put_right: boolean}[], clocks_off: number}} Status
 * @typedef {{id: string, by: string, reason: string, at: number, agents: number}} Lockdown
 * @typedef {{agents: number, executions: number, infections: number, healed: number,
 *   unhealed: number, quarantined: number, success_rate: number | null}} Tally
 *
 * @typedef {{id: string, kind: string, name: string, state: string, version: number,
 *   severity: number, opened_at: number, updated_at: number, onset_at: number,
 *   agent_type?: string, cause?: string, confidence?: number, reason?: string, summary?: string,
 *   members?: number, asks?: string, plan?: string[], current?: string,
 *   approval_deadline_at?: number, overdue?: number, fenced?: boolean, braked?: boolean,
 *   stale?: boolean, is_open?: boolean, verdict?: string, acknowledged_by?: string}} Case
 * @typedef {{seq: number, incident_id: string, at: number, event: string, who: string,
 *   why?: string, case?: Case}} Move
 *
 * @typedef {{tick: number, states: string[], words: string[], ids: string[], types: number[],
 *   models: number[], providers: number[], state: number[], evidence: number[],
 *   severity: number[], flags: number[], cost: number[], cases: Record<string, string>}} Board
 * @typedef {{tick: number, reset?: boolean, joined?: [string, string, string, string][],
 *   facts?: [number, string, string, string][],
 *   rows?: [number, number, number, number, string][], evidence?: number[],
 *   cost?: number[]}} FleetMoved
 * @typedef {{status: Status, tally: Tally, fleet: Board, cases: Case[]}} Start
 *
 * @typedef {{simulated: boolean, infections: Record<string, string[]>, modes: Mode[],
 *   actions: string[], causes: string[], verdicts: string[]}} Capabilities
 * @typedef {{state: string, fenced: boolean, is_open: boolean,
 *   steps: {event: string, to: string[]}[]}} StateRow
 *
 * @typedef {{what: string, before: string, after: string}} Change
 * @typedef {{metric: string, ratio: number, normal: number, now: number, increase: number,
 *   evidence: number, affected: boolean}} Effect
 * @typedef {{agent_id: string, kind: string, tier: string, source: string, at: number,
 *   onset_at: number, evidence: number, threshold: number, severity: number, effects: Effect[],
 *   can_fence: boolean, why_not: string}} Finding
 * @typedef {{ranked: {cause: string, confidence: number}[], reasons: string[],
 *   pattern: string}} Diagnosis
 * @typedef {{action: string, asks: boolean, skipped: string, expected: string}} Rung
 * @typedef {{id: string, subject: {kind: string, name: string}, agent_type: string, state: string,
 *   version: number, opened_at: number, updated_at: number, onset_at: number,
 *   finding: Finding | null, severity: number, braked: boolean, diagnosis: Diagnosis | null,
 *   ladder: Rung[], next_rung: number, covered: string[], asks: string,
 *   approval_deadline_at: number | null, overdue: number, attempts: number, trigger: string,
 *   current: string | null, probation: {key: string, action: string | null, since: number,
 *   stale: boolean} | null, verdict: string, absorbed_by: string, members: string[],
 *   summary: string, closed_at: number | null, acknowledged_by?: string,
 *   fleet: {kind: string, dimension: string, name: string, metrics: string[], share: number,
 *   text: string, fact: string, value: string, onset_at: number} | null}} Incident
 * @typedef {{seq: number, incident_id: string, version: number, state: string,
 *   event: {type: string, at: number, who: string, why: string, action?: string,
 *   changes?: Change[], finding?: Finding, plan?: string[], version?: number, fresh_steps?: number,
 *   verdict?: string, by?: string, asks?: string, enforce?: boolean, contact?: number}}} Line
 * @typedef {{key: string, incident_id: string, agent_id: string, agent_type: string, cause: string,
 *   pattern: string, action: string, trigger: string, ordered_at: number,
 *   applied_at: number | null, ended_at: number | null, outcome: string, fresh_steps: number,
 *   changes: Change[], note: string}} Healing
 * @typedef {{verdict: string, fresh_steps: number, reason: string,
 *   metrics: {metric: string, log_odds: number, clear: boolean, samples: number}[]}} Trial
 * @typedef {{id: string, agent_id: string, incident_id: string | null, reason: string, by: string,
 *   ordered_at: number, enforced_at: number | null, lifted_at: number | null}} Fence
 * @typedef {{incident: Incident, plan: string[], events: Line[], attempts: Healing[],
 *   trial: Trial | null, record: Cell[], fences: Fence[]}} IncidentDetail
 *
 * @typedef {{metric: string, samples: number, centre: number, spread: number, median: number,
 *   low: number, high: number, rate: number, mean: number}} MetricProfile
 * @typedef {{kind: string, samples: number, ready: boolean, can_fence: boolean,
 *   metrics: MetricProfile[]}} Baseline
 * @typedef {{id: string, action: string, changes: Change[], since: number, lift_at: number | null,
 *   state: string, incident_id: string}} Treatment
 * @typedef {{agent_id: string, agent_type: string, model: string, provider: string, state: string,
 *   mode: Mode, first_seen_at: number, last_seen_at: number, evidence: number,
 *   suspicion_at: number, quarantine_at: number, severity: number, incident_id: string | null,
 *   fenced: boolean, enforced: boolean}} Agent
 * @typedef {{agent: Agent, identified_by: string, capabilities: string[], baselines: Baseline[],
 *   fences: Fence[], treatments: Treatment[], incidents: Incident[], tried: Healing[]}} AgentDetail
 * @typedef {{agent_id: string, at: number, kind?: string, latency_ms?: number,
 *   input_tokens?: number, output_tokens?: number, cost_usd?: number, tool_calls?: number,
 *   retries?: number, errors?: number, model?: string, error_type?: string, tools?: string[],
 *   calls?: {tool: string, ok?: boolean}[]}} Vital
 * @typedef {{until: number, step_s: number, share: number[]}} Trail
 * @typedef {{cause: string, action: string, tried: number, cured: number}} Cell
 * @typedef {{incident_id: string, incident: Incident | null, error: string}} Outcome
 */

export {};
