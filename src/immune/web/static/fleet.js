// The fleet as this page knows it: columns, changed in place by what the feed tells.

/** @typedef {import("./records.js").Board} Board */

export const FENCED = 1;
export const ENFORCED = 2;
export const ACTIVE = 4;
export const SHARED = 8;

export class Fleet {
  constructor() {
    this.tick = -1;
    /** @type {string[]} */
    this.states = [];
    /** @type {string[]} */
    this.ids = [];
    /** @type {string[]} */
    this.types = [];
    /** @type {string[]} */
    this.models = [];
    /** @type {string[]} */
    this.providers = [];
    /** @type {number[]} places in `states` */
    this.state = [];
    /** @type {number[]} percent of what quarantines */
    this.evidence = [];
    /** @type {number[]} tenths */
    this.severity = [];
    /** @type {number[]} */
    this.flags = [];
    /** @type {number[]} USD an hour, -1 where unknown */
    this.cost = [];
    /** @type {Map<number, string>} open incident by place */
    this.cases = new Map();
    /** @type {Map<string, number>} */
    this.places = new Map();
  }

  get size() {
    return this.ids.length;
  }

  /** @param {Board} board */
  take(board) {
    this.tick = board.tick;
    this.states = board.states;
    this.ids = board.ids;
    this.types = board.types.map((word) => board.words[word] ?? "");
    this.models = board.models.map((word) => board.words[word] ?? "");
    this.providers = board.providers.map((word) => board.words[word] ?? "");
    this.state = board.state;
    this.evidence = board.evidence;
    this.severity = board.severity;
    this.flags = board.flags;
    this.cost = board.cost;
    this.cases = new Map(Object.entries(board.cases).map(([place, id]) => [Number(place), id]));
    this.places = new Map(board.ids.map((id, place) => [id, place]));
  }

  /**
   * Apply what changed in one tick.
   * @param {import("./records.js").FleetMoved} moved
   * @returns {boolean} whether anything did
   */
  apply(moved) {
    if (moved.tick <= this.tick) return false;
    this.tick = moved.tick;
    for (const [id, type, model, provider] of moved.joined ?? []) {
      this.places.set(id, this.ids.length);
      this.ids.push(id);
      this.types.push(type);
      this.models.push(model);
      this.providers.push(provider);
      this.state.push(this.states.indexOf("learning"));
      this.evidence.push(0);
      this.severity.push(0);
      this.flags.push(0);
      this.cost.push(-1);
    }
    for (const [place, type, model, provider] of moved.facts ?? []) {
      this.types[place] = type;
      this.models[place] = model;
      this.providers[place] = provider;
    }
    for (const [place, state, severity, flags, id] of moved.rows ?? []) {
      this.state[place] = state;
      this.severity[place] = severity;
      this.flags[place] = flags;
      if (id) this.cases.set(place, id);
      else this.cases.delete(place);
    }
    const evidence = moved.evidence ?? [];
    for (let i = 0; i < evidence.length; i += 2) {
      this.evidence[/** @type {number} */ (evidence[i])] = /** @type {number} */ (evidence[i + 1]);
    }
    const cost = moved.cost ?? [];
    for (let i = 0; i < cost.length; i += 2) {
      this.cost[/** @type {number} */ (cost[i])] = /** @type {number} */ (cost[i + 1]);
    }
    return Boolean(
      moved.joined || moved.facts || moved.rows || evidence.length || cost.length,
    );
  }

  /** How many agents are in each state, by its name. */
  counts() {
    /** @type {Record<string, number>} */
    const found = {};
    for (const state of this.states) found[state] = 0;
    for (const state of this.state) {
      const name = /** @type {string} */ (this.states[state]);
      found[name] = (found[name] ?? 0) + 1;
    }
    return found;
  }

  /** Agents whose fence was ordered and that no enforcement point has confirmed. */
  unenforced() {
    let n = 0;
    for (const flags of this.flags) if (flags & FENCED && !(flags & ENFORCED)) n += 1;
    return n;
  }

  fenced() {
    let n = 0;
    for (const flags of this.flags) if (flags & FENCED) n += 1;
    return n;
  }
}
