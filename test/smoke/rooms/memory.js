import assert from 'node:assert/strict';
import { fstatSync, truncateSync } from 'node:fs';
import { features, ftok, MappedFile, SharedMemory, SysvSharedMemory } from 'interproc';

/** @typedef {import('../test-context.js').TestContext} TestContext */

/** @param {{ buffer: ArrayBufferLike }} memory @param {string} text */
const put = (memory, text) => Buffer.from(/** @type {ArrayBuffer} */ (memory.buffer)).write(text);
/** @param {{ buffer: ArrayBufferLike }} memory @param {number} length */
const text = (memory, length) =>
  Buffer.from(/** @type {ArrayBuffer} */ (memory.buffer)).toString('utf8', 0, length);

/** The test's side of `answers`: it writes 'ping', the other process finds that, and writes 'pong' over it. */
const asks = async (
  /** @type {{ buffer: ArrayBufferLike }} */ memory,
  /** @type {import('../sides.js').Side} */ side,
) => {
  await side.done();
  assert.equal(text(memory, 4), 'pong');
};

/** @param {{ buffer: ArrayBufferLike, close(): void }} memory */
const answers = (memory) => {
  assert.equal(text(memory, 4), 'ping');
  put(memory, 'pong');
  memory.close();
};

/** @type {Record<string, (t: TestContext) => unknown>} */
export const tests = {
  'two processes share a POSIX object by its name': async (t) => {
    const name = t.name(SharedMemory);
    const memory = t.closing(SharedMemory.create(name, { size: 4096 }));
    put(memory, 'ping');
    await asks(memory, t.side('openShm', name));
    assert.equal(SharedMemory.stat(name).mode & 0o777, 0o600);
    assert(SharedMemory.list().some((entry) => entry.name === name));
  },

  'two processes share anonymous memory by its descriptor': async (t) => {
    const memory = t.closing(SharedMemory.anonymous({ size: 4096 }));
    put(memory, 'ping');
    await asks(memory, t.side('openFd', undefined, { fds: [memory.fd] }));
  },

  'two processes share a mapped file': async (t) => {
    const path = t.path();
    const file = t.closing(MappedFile.create(path, { size: 4096 }));
    put(file, 'ping');
    await asks(file, t.side('openFile', path));
    await file.sync();
    file.syncSync();
  },

  'two processes share a System V segment by its key': async (t) => {
    const key = ftok(t.file(), 1);
    const segment = t.closing(SysvSharedMemory.create(key, { size: 4096 }));
    t.after(() => segment.remove());
    put(segment, 'ping');
    await asks(segment, t.side('openSysv', key));
    assert.equal(segment.stat().size, 4096);
  },

  'names that are taken or not there have the codes of the system': (t) => {
    const name = t.name(SharedMemory);
    assert.throws(() => SharedMemory.open(name), { name: 'IpcError', code: 'ENOENT', syscall: 'shm_open' });
    t.closing(SharedMemory.create(name, { size: 64 }));
    assert.throws(() => SharedMemory.create(name, { size: 64 }), { code: 'EEXIST' });
    const again = t.closing(SharedMemory.openOrCreate(name, { size: 64 }));
    assert.equal(again.created, false);
    assert.throws(() => SharedMemory.create('/a/b', { size: 64 }), TypeError);
    assert.throws(() => MappedFile.open(t.path()), { code: 'ENOENT', syscall: 'open' });
  },

  'what is written to memory opened read-only reaches nobody': (t) => {
    const name = t.name(SharedMemory);
    const memory = t.closing(SharedMemory.create(name, { size: 4096 }));
    const view = t.closing(SharedMemory.open(name, { readOnly: true }));
    put(memory, 'ping');
    assert.equal(text(view, 4), 'ping');
    put(view, 'stray');
    assert.equal(text(memory, 4), 'ping');
  },

  'views of closed memory read zeros': (t) => {
    const memory = t.closing(SharedMemory.anonymous({ size: 4096 }));
    const view = new Uint8Array(memory.buffer).fill(7);
    memory.close();
    view[1] = 7;
    assert.equal(view[0], 0);
    assert.throws(() => memory.buffer, { code: 'ERR_INTERPROC_CLOSED' });
  },

  'memory that another one cut off gives zeros and no crash': (t) => {
    const path = t.path();
    const memory = t.closing(MappedFile.create(path, { size: 65_536 }));
    const view = new Uint8Array(memory.buffer).fill(7);
    truncateSync(path, 0);
    assert.equal(view[20_000], 0);
    assert.equal(Buffer.from(view.buffer).indexOf(7), -1); // native code of the runtime
    assert.equal(memory.fault, 'truncated');
    assert.throws(() => memory.buffer, { code: 'ERR_INTERPROC_TRUNCATED' });
  },

  'the `fs` of the runtime takes descriptors of this package': (t) => {
    const memory = t.closing(SharedMemory.anonymous({ size: 4096 }));
    assert.equal(fstatSync(memory.fd).size, 4096);
  },

  'memory grows, and what was in it stays': (t) => {
    const memory = t.closing(SharedMemory.create(t.name(SharedMemory), { size: 4096 }));
    put(memory, 'ping');
    memory.resize(8192);
    assert.equal(memory.buffer.byteLength, 8192);
    assert.equal(text(memory, 4), 'ping');
  },

  'a SharedArrayBuffer is had where `features` says so, and else refused': (t) => {
    const make = () => t.closing(SharedMemory.anonymous({ size: 64, sharedArrayBuffer: true }));
    if (features.sharedArrayBuffer) assert(make().buffer instanceof SharedArrayBuffer);
    else assert.throws(make, { code: 'ERR_INTERPROC_UNSUPPORTED', message: /this is (Node 2|Deno \d)/ });
  },

  'a worker shares memory by name': async (t) => {
    const name = t.name(SharedMemory);
    const memory = t.closing(SharedMemory.create(name, { size: 4096 }));
    put(memory, 'ping');
    await t.worker('openShm', name).done();
    assert.equal(text(memory, 4), 'pong');
  },
};

/** @type {Record<string, (side: import('../side.js').SideContext) => unknown>} */
export const sides = {
  openShm: ({ args }) => answers(SharedMemory.open(args)),
  openFd: () => answers(SharedMemory.fromFd(3)),
  openFile: ({ args }) => answers(MappedFile.open(args)),
  openSysv: ({ args }) => answers(SysvSharedMemory.open(args)),
};

/** @type {Record<string, (args: any, send: (message: unknown) => void) => unknown>} */
export const workers = {
  openShm: (args) => answers(SharedMemory.open(args)),
};
