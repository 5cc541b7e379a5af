// Calls all that interproc exports, as it should not be called, with nothing: classes with `new`, their static methods and getters,
// and functions. Prints with what code each failed, as JSON; 'none' where it did not.
import * as interproc from 'interproc';

/** @type {Record<string, unknown>} */
const codes = {};

/** @param {string} call @param {() => unknown} action */
async function attempt(call, action) {
  try {
    await action();
    codes[call] = 'none';
  } catch (error) {
    codes[call] = /** @type {{ code?: unknown }} */ (error).code ?? String(error);
  }
}

/** @param {object} constructor @returns {string[]} static methods and getters of a class, and those that it inherits */
function staticMembers(constructor) {
  if (constructor === Function.prototype) return [];
  const own = Object.entries(Object.getOwnPropertyDescriptors(constructor));
  // Constants can be read everywhere.
  const used = own.filter(([, { get, value }]) => get !== undefined || typeof value === 'function');
  return [...used.map(([name]) => name), ...staticMembers(Object.getPrototypeOf(constructor))];
}

for (const [name, value] of Object.entries(interproc)) {
  // The error class alone works everywhere.
  if (typeof value !== 'function' || name === 'IpcError') continue;
  const called = /** @type {any} */ (value);
  if (!/^[A-Z]/.test(name)) {
    await attempt(`${name}()`, () => called());
    continue;
  }
  await attempt(`new ${name}()`, () => new called());
  for (const member of staticMembers(called)) {
    await attempt(`${name}.${member}`, () => (typeof called[member] === 'function' ? called[member]() : 0));
  }
}
console.log(JSON.stringify(codes));
