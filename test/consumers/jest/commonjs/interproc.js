// What tests, and what they test, get for `interproc`.
module.exports = globalThis.interproc;
