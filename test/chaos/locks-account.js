/** How one who takes part in the storm over locks counts under a lock, and mends what a dead one has left. */
import { at, counters, guarded, locks } from './locks-ledger.js';
import { now } from './storms.js';

/**
 * @typedef {import('./locks-ledger.js').Counter} Counter
 * @typedef {import('./locks-ledger.js').Lock} Lock
 * @typedef {{ readonly abandoned: boolean, recovered(): void, unlock(): void }} Guard
 */

export class Account {
  #ledger;
  #words;
  #id;

  /** @param {import('./locks-ledger.js').LocksLedger} ledger @param {ArrayBufferLike} memory @param {number} id */
  constructor(ledger, memory, id) {
    this.#ledger = ledger;
    this.#words = new Int32Array(memory, at.data);
    this.#id = id;
  }

  /** Of the first word of a counter; the second one says the same, but while one counts. @param {Counter} counter */
  left(counter) {
    return Number(this.#words[2 * counters.indexOf(counter)]);
  }

  /** @param {Counter} counter */
  right(counter) {
    return Number(this.#words[2 * counters.indexOf(counter) + 1]);
  }

  /** What is in the queue. */
  get items() {
    return this.left('produced') - this.left('consumed');
  }

  /** Just after the lock was had; whether it was abandoned. @param {Lock} lock @param {Guard} guard */
  enter(lock, guard) {
    const { abandoned } = guard;
    if (abandoned) {
      this.#mend(lock);
      guard.recovered();
    } else {
      this.checkWhole(lock);
    }
    this.#setAuthor(lock, this.#id);
    this.#ledger.set(this.#id, `${lock}Held`, 1);
    return abandoned;
  }

  /** Just before it is let go. @param {Lock} lock */
  leave(lock) {
    this.#ledger.set(this.#id, `${lock}Held`, 0);
  }

  /** REQUIRES the lock, or that of a reader. @param {Lock} lock */
  checkWhole(lock) {
    for (const counter of guarded[lock]) {
      const [left, right] = [this.left(counter), this.right(counter)];
      if (left !== right) this.#complain(`${counter} is ${left} and ${right}, and nobody was told`);
    }
  }

  /** REQUIRES the lock. `between`: halfway, where it may be killed. @param {Counter} counter @param {() => unknown} between */
  async count(counter, between) {
    const then = this.left(counter);
    this.#ledger.add(this.#id, `${counter}Begun`);
    this.#words[2 * counters.indexOf(counter)] = then + 1;
    await between();
    if (this.left(counter) !== then + 1) this.#complain(`two have counted ${counter} at once`);
    this.#words[2 * counters.indexOf(counter) + 1] = then + 1;
    this.#ledger.add(this.#id, `${counter}Done`);
  }

  /** Finishes what the last one who had it has begun. Who dies over that leaves it to the next. @param {Lock} lock */
  #mend(lock) {
    const ledger = this.#ledger;
    const author = this.#author(lock);
    ledger.setHead('abandoned', ledger.head('abandoned') + 1);
    for (const counter of guarded[lock]) {
      const left = this.left(counter);
      this.#words[2 * counters.indexOf(counter) + 1] = left;
      const missing = left - ledger.sum(counter);
      const inHand =
        author < 0 ? 0 : ledger.get(author, `${counter}Begun`) - ledger.get(author, `${counter}Done`);
      if (missing < 0 || missing > inHand || inHand > 1)
        this.#complain(`of ${counter} ${missing} are missing, and the dead one had ${inHand} in hand`);
      if (missing === 1) ledger.add(author, `${counter}Done`);
      if (author >= 0) ledger.set(author, `${counter}Begun`, ledger.get(author, `${counter}Done`));
    }
    if (author < 0 || ledger.get(author, `${lock}Held`) === 0) return;
    const killedAt = ledger.get(author, 'killedAt');
    if (killedAt > 0) ledger.addSample(lock, now() - killedAt);
    else this.#complain(`${lock} was abandoned by ${author}, who lives`);
    ledger.set(author, `${lock}Held`, 0);
  }

  /** -1 for nobody. @param {Lock} lock */
  #author(lock) {
    return Number(this.#words[2 * counters.length + locks.indexOf(lock)]) - 1;
  }

  /** @param {Lock} lock @param {number} id */
  #setAuthor(lock, id) {
    this.#words[2 * counters.length + locks.indexOf(lock)] = id + 1;
  }

  /** @param {string} text */
  #complain(text) {
    this.#ledger.complain(`${this.#id}: ${text}`);
  }
}
