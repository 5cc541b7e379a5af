// Looks at every state that a model can reach, breadth first, so that the way to a fault is a shortest one.
//
// Safety: no state violates the model's invariant. Liveness, over the whole graph afterwards: from every state a
// way leads to an end that needs neither a death nor somebody to give up, nor, as long as no dead participant left
// something undone, a sleeper to wake by its time. So no lock is ever stuck: every terminal strongly connected
// component consists of ends. And plain steps never go in circles: whatever the scheduler does, all participants
// end or sleep after finitely many steps.

/** `step`: what a participant does; `look`: a sleeper wakes by its time; the rest only may happen. */
export type Kind = 'step' | 'look' | 'death' | 'give up';

export interface Model {
  /** Of a multiple of 4 bytes, as all states. */
  readonly initial: Uint8Array;
  /** Makes of `state` each state that can follow, and calls `emit`, which gives it away and puts `state` back. */
  follow(state: Uint8Array, emit: (kind: Kind) => void): void;
  violation(state: Uint8Array): string | null;
  ended(state: Uint8Array): boolean;
  /** Whether somebody may have to wait here until a sleeper wakes by its time. */
  looksCount(state: Uint8Array): boolean;
  describe(state: Uint8Array): string;
}

export interface Outcome {
  states: number;
  /** What is wrong, and the states that lead there. */
  fault: { what: string; trace: string[] } | null;
}

class Ints {
  length = 0;
  #values = new Int32Array(1 << 12);

  push(value: number): void {
    if (this.length === this.#values.length) {
      const grown = new Int32Array(this.length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.length++] = value;
  }

  at(index: number): number {
    return this.#values[index] as number;
  }
}

/** All states seen: rows of words, numbered in the order in which they came, found by an open hash table. */
class States {
  count = 0;
  readonly #width: number;
  #rows: Int32Array;
  #table = new Int32Array(1 << 13).fill(-1);

  constructor(width: number) {
    this.#width = width;
    this.#rows = new Int32Array(width << 12);
  }

  row(index: number): Int32Array {
    return this.#rows.subarray(index * this.#width, (index + 1) * this.#width);
  }

  /** The number of this state; a new one has the highest. */
  add(state: Int32Array): number {
    const place = this.#place(state, 0);
    const known = this.#table[place] as number;
    if (known >= 0) return known;
    const index = this.count++;
    if (this.count * this.#width > this.#rows.length) {
      const grown = new Int32Array(this.#rows.length * 2);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    this.#rows.set(state, index * this.#width);
    this.#table[place] = index;
    if (this.count * 2 > this.#table.length) {
      this.#table = new Int32Array(this.#table.length * 2).fill(-1);
      for (let i = 0; i < this.count; i++) this.#table[this.#place(this.#rows, i * this.#width)] = i;
    }
    return index;
  }

  /** Where the table has the state that begins at `start`, or has room for it. */
  #place(words: Int32Array, start: number): number {
    const rows = this.#rows;
    const table = this.#table;
    const mask = table.length - 1;
    const end = start + this.#width;
    let hash = 0;
    for (let i = start; i < end; i++) {
      hash = Math.imul(hash ^ (words[i] as number), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const index = table[place] as number;
      if (index < 0) return place;
      let row = index * this.#width;
      let i = start;
      while (i < end && words[i] === rows[row]) {
        i++;
        row++;
      }
      if (i === end) return place;
    }
  }
}

export function explore(model: Model): Outcome {
  const state = model.initial.slice();
  const next = model.initial.slice();
  const stateWords = new Int32Array(state.buffer);
  const nextWords = new Int32Array(next.buffer);
  const states = new States(stateWords.length);
  const parents = new Ints();
  const ends: number[] = [];
  // The edges that a way to an end may use, by their beginnings: those of state n are first[n] to first[n + 1] - 1.
  const first = new Ints();
  const targets = new Ints();
  const steps = new Ints(); // 1: a step, 0: a look

  const outcome = (what?: string, index = 0): Outcome => {
    if (what === undefined) return { states: states.count, fault: null };
    const trace: string[] = [];
    for (let i = index; i >= 0; i = parents.at(i)) {
      stateWords.set(states.row(i));
      trace.unshift(model.describe(state));
    }
    return { states: states.count, fault: { what, trace } };
  };

  states.add(nextWords);
  parents.push(-1);
  for (let index = 0; index < states.count; index++) {
    stateWords.set(states.row(index));
    const violation = model.violation(state);
    if (violation !== null) return outcome(violation, index);
    if (model.ended(state)) ends.push(index);
    const looksCount = model.looksCount(state);
    first.push(targets.length);
    nextWords.set(stateWords);
    model.follow(next, (kind) => {
      const before = states.count;
      const target = states.add(nextWords);
      if (states.count > before) parents.push(index);
      if (kind === 'step' || (kind === 'look' && looksCount)) {
        targets.push(target);
        steps.push(kind === 'step' ? 1 : 0);
      }
      nextWords.set(stateWords);
    });
  }
  first.push(targets.length);

  const stuck = withoutEnd(ends, first, targets);
  if (stuck >= 0) return outcome('somebody waits for ever', stuck);
  const circle = behindCircle(first, targets, steps);
  return circle >= 0 ? outcome('steps go in circles', circle) : outcome();
}

/** The first state that no way leads from to an end, or -1: backwards from the ends. */
function withoutEnd(ends: number[], first: Ints, targets: Ints): number {
  const count = first.length - 1;
  const places = new Int32Array(count + 1);
  for (let edge = 0; edge < targets.length; edge++) places[targets.at(edge)]!++;
  for (let i = 0, sum = 0; i <= count; i++) {
    sum += places[i]!;
    places[i] = sum;
  }
  // Filled from behind, so that places[n] ends as the place of the first edge into n.
  const sources = new Int32Array(targets.length);
  for (let source = count - 1; source >= 0; source--) {
    for (let edge = first.at(source); edge < first.at(source + 1); edge++)
      sources[--places[targets.at(edge)]!] = source;
  }
  const reaches = new Uint8Array(count);
  for (const end of ends) reaches[end] = 1;
  const open = [...ends];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (let i = places[at]!; i < places[at + 1]!; i++) {
      const source = sources[i]!;
      if (reaches[source]) continue;
      reaches[source] = 1;
      open.push(source);
    }
  }
  return reaches.indexOf(0);
}

/** A state on a circle of steps or behind one, or -1: what is left when all that no step leads to is taken away, again and again. */
function behindCircle(first: Ints, targets: Ints, steps: Ints): number {
  const count = first.length - 1;
  const entries = new Int32Array(count);
  for (let edge = 0; edge < targets.length; edge++) entries[targets.at(edge)]! += steps.at(edge);
  const open: number[] = [];
  for (let i = 0; i < count; i++) if (entries[i] === 0) open.push(i);
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (let edge = first.at(at); edge < first.at(at + 1); edge++) {
      const target = targets.at(edge);
      if (steps.at(edge) && --entries[target]! === 0) open.push(target);
    }
  }
  return entries.findIndex((left) => left > 0);
}
