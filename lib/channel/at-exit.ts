/**
 * The end of a process or worker that still has channels open. One that ends by itself, with exit code 0, closes them;
 * with any other code it publishes what was accepted, and its peers are told that it died.
 */
export interface EndsWithProcess {
  end(closes: boolean): void;
}

// Weak: a channel that nobody holds is closed by garbage collection, as everything is.
const refs = new Set<WeakRef<EndsWithProcess>>();
const collected = new FinalizationRegistry<WeakRef<EndsWithProcess>>((ref) => refs.delete(ref));
const refOf = new WeakMap<EndsWithProcess, WeakRef<EndsWithProcess>>();
let listening = false;

export function endAtExit(channel: EndsWithProcess): void {
  const ref = new WeakRef(channel);
  refs.add(ref);
  refOf.set(channel, ref);
  collected.register(channel, ref, ref);
  if (listening) return;
  listening = true;
  process.on('exit', (code) => {
    for (const each of [...refs]) each.deref()?.end(code === 0);
  });
}

export function forgetAtExit(channel: EndsWithProcess): void {
  const ref = refOf.get(channel);
  if (ref === undefined) return;
  refs.delete(ref);
  collected.unregister(ref);
}
