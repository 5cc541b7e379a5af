/** What the bench makes of samples, whom it selects, and that it runs, finds what is wrong and leaves nothing behind. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageQueue } from 'interproc';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Ball, pinging, ponging, receiving } from '../../bench/contenders/called.js';
import type { Task } from '../../bench/contenders/contender.js';
import { Inbox, Letter, type Mail, mailing } from '../../bench/contenders/mailing.js';
import { FrameReader } from '../../bench/contenders/net-frames.js';
import { scenarios } from '../../bench/scenarios/registry.js';
import type { Method, QueueCalls, Scenario } from '../../bench/scenarios/scenario.js';
import { parseCpuList } from '../../bench/support/cpus.js';
import { isKeyOf, keysOf, namesOf } from '../../bench/support/kernel-objects.js';
import { parseOptions } from '../../bench/support/options.js';
import { pathsOf } from '../../bench/support/paths.js';
import { majority, placementDuring, placementOf } from '../../bench/support/placement.js';
import { summarize } from '../../bench/support/report.js';
import { isAsMost, keptOf, nsEach, type Sample, settle } from '../../bench/support/samples.js';
import { select } from '../../bench/support/selection.js';
import { histogramOf, latencyOf, median, speedRatio } from '../../bench/support/statistics.js';
import { formatMarkdown } from '../../bench/support/table.js';
import {
  type Consumer,
  consumerOf,
  lanesOf,
  type Producer,
  producerOf,
  systemWork,
} from '../../bench/support/work.js';

const packageRoot = fileURLToPath(new URL('../..', import.meta.url));

/** One that takes `ns` for each of its messages. */
const sample = (contender: string, round: number, ns: number, probed: Sample['probed'] = null): Sample => ({
  contender,
  round,
  count: 1000,
  seconds: ns / 1e6,
  cpuSeconds: 0,
  probed,
  latency: null,
  smallestShare: null,
  dropped: null,
});

describe('the statistics', () => {
  it('take the middle, or the mean of the two in the middle', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([9, 1, 5, 7])).toBe(6);
    expect(median([])).toBeNaN();
  });

  it('compare within a round, so that a slow round does not count against anybody', () => {
    const samples = [
      ...[10, 1000, 10].map((ns, round) => sample('floor', round, ns)),
      ...[20, 2000, 25].map((ns, round) => sample('interproc', round, ns)),
    ];
    expect(speedRatio(samples, { of: 'interproc', to: ['floor'] })).toBeCloseTo(0.5);
    expect(speedRatio(samples, { of: 'floor', to: ['floor'] })).toBe(1);
  });

  it('leave a round out in which one of the two has no sample that counts', () => {
    const dropped: Sample = { ...sample('floor', 1, 1), dropped: 'other placement' };
    const samples = [sample('floor', 0, 10), dropped, sample('interproc', 0, 40), sample('interproc', 1, 10)];
    expect(speedRatio(samples, { of: 'interproc', to: ['floor'] })).toBeCloseTo(0.25);
    expect(speedRatio(samples, { of: 'interproc', to: ['net'] })).toBeNaN();
  });

  it('compare with the fastest of several in each round', () => {
    const samples = [
      sample('json', 0, 100),
      sample('advanced', 0, 50),
      sample('json', 1, 40),
      sample('advanced', 1, 80),
      sample('interproc', 0, 10),
      sample('interproc', 1, 10),
    ];
    expect(speedRatio(samples, { of: 'interproc', to: ['json', 'advanced'] })).toBeCloseTo(4.5);
  });

  it('compare with the fastest peer, which the reference is not', () => {
    const scenario = scenarios.find(({ id }) => id === 'descriptor/one-way/64B/datagram/one-cpu') as Scenario;
    const samples = [
      sample('floor', 0, 1),
      sample('interproc', 0, 20),
      sample('unix-dgram', 0, 40),
      sample('node-unix-socket', 0, 60),
    ];
    const summary = summarize({ scenario, placement: null, samples, latencies: new Map() });
    expect(summary.map(({ contender, toPeers }) => [contender, toPeers])).toEqual([
      ['floor', 40],
      ['interproc', 2],
      ['unix-dgram', 1],
      ['node-unix-socket', expect.closeTo(2 / 3)],
    ]);
    const [alone] = summarize({
      scenario,
      placement: null,
      samples: samples.slice(1, 2),
      latencies: new Map(),
    });
    expect(alone?.toPeers).toBeNull();
  });

  it('take nothing of ours for a peer', () => {
    const scenario = scenarios.find(({ id }) => id === 'queue/pair/64B/posix') as Scenario;
    const samples = [
      sample('floor', 0, 1),
      sample('interproc', 0, 20),
      sample('interproc-owned', 0, 10),
      sample('koffi', 0, 40),
    ];
    const summary = summarize({ scenario, placement: null, samples, latencies: new Map() });
    expect(summary.map(({ toPeers }) => toPeers)).toEqual([40, 2, 4, 1]);
  });

  it('take the round trip in the middle for what a sample of round trips says', () => {
    const latency = latencyOf(histogramOf([...Array.from({ length: 99 }, () => 100), 1_000_000]));
    expect(latency.p50).toBe(100);
    expect(latency.max).toBeGreaterThanOrEqual(1_000_000);
    expect(nsEach({ ...sample('floor', 0, 12_345), latency })).toBe(100);
  });
});

describe('the placement', () => {
  const oneCore = { before: 35, after: 36 };
  const twoCores = { before: 210, after: 190 };

  it('is one core below 100 ns a round trip', () => {
    expect(placementOf(99)).toBe('one-core');
    expect(placementOf(101)).toBe('two-cores');
    expect(placementDuring({ before: 35, after: 210 })).toBeUndefined();
  });

  it('is that of most samples, and of the first where two are even', () => {
    expect(majority(['one-core', 'two-cores', 'two-cores'])).toBe('two-cores');
    expect(majority(['one-core', undefined, 'two-cores'])).toBe('one-core');
    expect(majority([undefined])).toBeUndefined();
  });

  it('drops samples during which it changed, and those of the minority', () => {
    const samples = [
      sample('floor', 0, 1, twoCores),
      sample('floor', 1, 1, oneCore),
      sample('floor', 2, 1, { before: 35, after: 210 }),
      sample('floor', 3, 1, twoCores),
    ];
    expect(settle(samples)).toBe('two-cores');
    expect(samples.map(({ dropped }) => dropped)).toEqual([
      null,
      'other placement',
      'placement changed',
      null,
    ]);
    expect(keptOf(samples, 'floor').map(({ round }) => round)).toEqual([0, 3]);
  });

  it('makes a sample be taken again that most others differ from', () => {
    const samples = [twoCores, twoCores, oneCore].map((probed) => sample('floor', 0, 1, probed));
    expect(samples.map((each) => isAsMost(samples, each))).toEqual([true, true, false]);
    expect(isAsMost([], sample('floor', 0, 1))).toBe(true);
  });

  it('counts one sample a round: the last one of those that do', () => {
    const samples = [oneCore, twoCores, twoCores, twoCores].map((probed, index) =>
      sample('floor', index === 3 ? 1 : 0, 1, probed),
    );
    settle(samples);
    expect(samples.map(({ dropped }) => dropped)).toEqual(['other placement', 'taken again', null, null]);
  });

  it('does not matter where both sides are on one CPU', () => {
    const samples = [sample('floor', 0, 1)];
    expect(settle(samples)).toBeUndefined();
    expect(keptOf(samples, 'floor')).toHaveLength(1);
  });

  it('is asked of the CPUs that the system allows', () => {
    expect(parseCpuList('0-2,5')).toEqual([0, 1, 2, 5]);
    expect(parseCpuList('3')).toEqual([3]);
  });
});

describe('the command line', () => {
  it('selects scenarios and contenders by what --only matches', () => {
    const selected = select(/^one-way\/64B\/in-place\/(one|two)-cpus?\/(floor|interproc)$/);
    expect(
      selected.map(({ scenario, contenders }) => [scenario.id, ...contenders.map(({ id }) => id)]),
    ).toEqual([
      ['one-way/64B/in-place/one-cpu', 'floor', 'interproc'],
      ['one-way/64B/in-place/two-cpus', 'floor', 'interproc'],
    ]);
    expect(select(/there is no such thing/)).toEqual([]);
  });

  it('takes fewer than five rounds only with --quick', () => {
    expect(() => parseOptions(['--rounds', '4'])).toThrow('at least 5');
    expect(parseOptions(['--rounds', '7']).rounds).toBe(7);
    expect(parseOptions(['--quick']).rounds).toBe(1);
    expect(() => parseOptions(['--only', '('])).toThrow('--only');
  });

  it('has every scenario compared with somebody who plays it, and with process.send where there are messages', () => {
    for (const { scenario, contenders } of select(/./)) {
      const ids = contenders.map(({ id }) => id);
      expect(ids).toContain(scenario.reference);
      expect(ids).toContain('interproc');
      const isOfMessages = !/^(memory|mapped|descriptor|queue|semaphore|lock)/.test(scenario.id);
      if (isOfMessages) expect(ids).toContain('process-send-json');
    }
  });
});

it('a table in Markdown is aligned, also before it is rendered', () => {
  expect(formatMarkdown(['contender', 'x C'], [['net', '0.1x']]).split('\n')).toEqual([
    '| contender |  x C |',
    '| --------- | ---: |',
    '| net       | 0.1x |',
  ]);
});

describe('the work', () => {
  const methods: Method[] = ['in-place', 'in-place-sparse', 'copy', 'receive', 'receive-many', 'for-await'];
  const works = [...methods, 'that of the system'] as const;

  function workOf(work: (typeof works)[number], bytes: number): [Producer, Consumer] {
    if (work !== 'that of the system') return [producerOf(work, bytes), consumerOf(work, bytes)];
    const { producer, consumer } = systemWork(bytes);
    return [producer, consumer];
  }

  it.each(works)('%s accepts what was sent, however it was moved', (work) => {
    const [producer, consumer] = workOf(work, 1024);
    consumer.begin(4);
    consumer.takeOwned(producer.source(0));
    consumer.takeOwned(producer.fresh(1));
    const ring = new Int32Array(1024);
    for (const [number, at] of [
      [2, 100],
      [3, 356],
    ] as const) {
      producer.fill(ring, at, number);
      consumer.take(ring, at);
    }
    expect(consumer.done).toBe(true);
    consumer.finish();
  });

  it.each(works)('%s finds a message that is lost', (work) => {
    const [producer, consumer] = workOf(work, 64);
    consumer.begin(2);
    consumer.takeOwned(producer.source(0));
    expect(() => consumer.finish()).toThrow('1 messages came, and not 2');
    expect(() => consumer.takeOwned(producer.source(2))).toThrow('out of order');
  });

  it('in-place finds a byte that is wrong', () => {
    const [producer, consumer] = [producerOf('in-place', 64), consumerOf('in-place', 64)];
    consumer.begin(1);
    const message = producer.fresh(0);
    message[40] = 0xff;
    consumer.takeOwned(message);
    expect(() => consumer.finish()).toThrow('checksum');
  });

  it.each(['copy', 'that of the system'] as const)('%s finds a byte that is wrong', (work) => {
    const [producer, consumer] = workOf(work, 64);
    consumer.begin(1);
    const lanes = new Int32Array(16);
    producer.fill(lanes, 0, 0);
    lanes[15] = 0;
    consumer.take(lanes, 0);
    expect(() => consumer.finish()).toThrow('damaged');
  });
});

describe('those who are called for what arrives', () => {
  it.each([0, 4] as const)(
    'take messages out of a stream however it is cut, after a length of %i bytes',
    (head) => {
      const frame = head + 64;
      const stream = new Int32Array((3 * frame) / 4);
      const { producer, consumer } = systemWork(64);
      for (let number = 0; number < 3; number++) {
        const at = (number * frame) / 4;
        if (head > 0) stream[at] = 64;
        producer.fill(stream, at + head / 4, number);
      }
      const bytes = Buffer.from(stream.buffer);
      for (const size of [4, 20, 60, frame, frame + 4, 2 * frame, 3 * frame]) {
        const { reader, side } = receiving(consumer, { head, bytes: 64 });
        void side.run(3);
        for (let at = 0; at < bytes.length; at += size) {
          const chunk = Buffer.from(bytes.subarray(at, at + size));
          reader.read(chunk, lanesOf(chunk));
        }
        expect(consumer.done).toBe(true);
        side.verify?.();
      }
    },
  );

  it('find a length that is wrong', () => {
    const reader = new FrameReader({ head: 4, bytes: 64 }, () => {});
    const chunk = Buffer.alloc(68);
    expect(() => reader.read(chunk, lanesOf(chunk))).toThrow('a frame of 0 bytes, and not 64');
  });

  it('play ping-pong, and keep the time of each round trip', async () => {
    const [here, there] = [new Ball(0), new Ball(0)];
    const sendTo = (ball: Ball) => (bytes: Buffer) =>
      setImmediate(() => ball.reader.read(bytes, lanesOf(bytes)));
    const [ping, pong] = [pinging(here, sendTo(there), 10), ponging(there, sendTo(here))];
    for (const count of [3, 10]) {
      await Promise.all([pong.run(count), ping.run(count)]);
      expect(ping.latencies?.()).toHaveLength(count);
    }
  });

  it('find an answer that is wrong', () => {
    const ball = new Ball(0);
    void pinging(ball, () => {}, 1).run(1);
    const wrong = new Ball(0).filled(1);
    expect(() => ball.reader.read(wrong, lanesOf(wrong))).toThrow('round trip 0 came back wrong');
  });

  it('each send to where the other one receives', () => {
    const place = { folder: '/tmp/folder', name: 'name' };
    const [lead, follow] = (['lead', 'follow'] as const).map((role) => pathsOf({ role, ...place }));
    expect(lead?.out).toBe(follow?.back);
    expect(lead?.back).toBe(follow?.out);
    expect(lead?.out).not.toBe(lead?.back);
  });
});

describe('those who share queues and semaphores', () => {
  const shape: QueueCalls = {
    kind: 'queue',
    work: 'ping-pong',
    api: 'posix',
    bytes: 64,
    waiting: 'sleeping',
  };

  it('each put into what the other one takes from', () => {
    const sides = (['lead', 'follow'] as const).map((role) => ({ shape, role, name: 'name', keys: [1, 2] }));
    for (const [lead, follow] of [sides.map(namesOf), sides.map(keysOf)]) {
      expect(lead?.out).toBe(follow?.back);
      expect(lead?.back).toBe(follow?.out);
      expect(lead?.out).not.toBe(lead?.back);
    }
  });

  it('take out what they have put in themselves, where they are a pair of one', () => {
    const alone = { shape: { ...shape, work: 'pair' }, role: 'lead', name: 'name', keys: [1] } as const;
    for (const { out, back } of [namesOf(alone), keysOf({ ...alone, keys: [1] })]) expect(out).toBe(back);
  });

  /** A queue in this process, which has nothing to wait for. */
  function queueOf(letter: Letter): Mail & { messages: Buffer[] } {
    const messages: Buffer[] = [];
    const put = () => void messages.push(Buffer.from(letter.whole));
    return { letter, messages, put, get: () => messages.shift() as Buffer };
  }

  const task = { role: 'lead', most: 10 } as Task;

  it('find a message of a pair that is wrong', async () => {
    const mail = queueOf(new Letter(64));
    const side = mailing(task, { ...shape, work: 'pair' }, mail);
    await side.run(3);
    side.verify?.();
    mail.messages.push(Buffer.alloc(64));
    await expect(side.run(3)).rejects.toThrow('message 1 came out of order, as 0');
    expect(() => new Inbox(64).message(65)).toThrow('a message has 65 bytes, and not 64');
  });

  it('play ping-pong, keep the time of each round trip, and find an answer that is wrong', async () => {
    const [there, back] = [queueOf(new Letter(64)), queueOf(new Letter(64))];
    const later = async (mail: typeof there): Promise<Buffer> => {
      while (mail.messages.length === 0) await new Promise((resolve) => setImmediate(resolve));
      return mail.messages.shift() as Buffer;
    };
    const ping = mailing(task, shape, { ...there, get: () => later(back) });
    const pong = mailing({ ...task, role: 'follow' }, shape, { ...back, get: () => later(there) });
    for (const count of [3, 10]) {
      await Promise.all([pong.run(count), ping.run(count)]);
      expect(ping.latencies?.()).toHaveLength(count);
    }
    back.messages.push(Buffer.alloc(64));
    await expect(ping.run(1)).rejects.toThrow('round trip 0 came back wrong');
  });
});

describe('the bench', () => {
  beforeAll(() => {
    execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'bench'], { cwd: packageRoot });
  });

  function start(...args: string[]) {
    const folder = mkdtempSync(join(tmpdir(), 'interproc-test-bench-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const child = spawn(process.execPath, ['build-bench/main.js', '--quick', ...args], {
      cwd: packageRoot,
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const said = { stdout: '', stderr: '' };
    child.stdout.on('data', (text) => {
      said.stdout += text;
    });
    child.stderr.on('data', (text) => {
      said.stderr += text;
    });
    return { child, folder, said, ended: once(child, 'close') };
  }

  /** Measured processes, which are told the folder, and files. */
  const leftOf = (folder: string, pid: number | undefined) => ({
    processes: readdirSync('/proc').filter((other) => {
      try {
        const command = /^\d+$/.test(other) ? readFileSync(`/proc/${other}/cmdline`, 'utf8') : '';
        return command.includes('peer.js') && command.includes(folder);
      } catch {
        return false;
      }
    }),
    files: readdirSync(folder),
    memory: readdirSync('/dev/shm').filter((name) => name.includes(`interproc-bench-${pid}-`)),
    queues: queuesOf(pid),
    sysv: sysvKeysOf(pid),
  });
  const nothing = { processes: [], files: [], memory: [], queues: [], sysv: [] };

  /** Where the file system of queues is not mounted, nobody can list them. */
  const queuesOf = (pid: number | undefined): string[] =>
    Array.from({ length: 20 }, (_, made) => `interproc-bench-${pid}-${made}`)
      .flatMap((name) => [`${name}-there`, `${name}-back`])
      .filter(isQueue);

  function isQueue(name: string): boolean {
    try {
      MessageQueue.open(name).close();
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOENT' });
      return false;
    }
  }

  const sysvKeysOf = (pid: number | undefined): number[] =>
    ['msg', 'sem'].flatMap((kind) => {
      const [, ...lines] = readFileSync(`/proc/sysvipc/${kind}`, 'utf8').trimEnd().split('\n');
      const keys = lines.map((line) => Number.parseInt(line, 10));
      return keys.filter((key) => isKeyOf(pid ?? 0, key));
    });

  it('runs, and gives every sample', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'interproc-test-bench-')), 'bench.json');
    onTestFinished(() => rmSync(join(file, '..'), { recursive: true, force: true }));
    const only =
      '(64B/in-place/one-cpu|event-loop/one-cpu)/(floor|interproc|net|message-port|process-send-json)$|memory/.*/create';
    const bench = start('--rounds', '2', '--only', only, '--json', file);
    expect(await bench.ended).toEqual([0, null]);
    expect(bench.said.stderr).toBe('');
    const { scenarios, machine } = JSON.parse(readFileSync(file, 'utf8'));
    expect(machine.node).toBe(process.version);
    expect(scenarios.map(({ id }: { id: string }) => id)).toEqual([
      'one-way/64B/in-place/one-cpu',
      'ping-pong/64B/event-loop/one-cpu',
      'memory/64KiB/create',
    ]);
    expect(scenarios.map(({ samples }: { samples: Sample[] }) => samples.length)).toEqual([10, 10, 4]);
    for (const { samples, summary } of scenarios) {
      for (const { count, seconds } of samples) expect(count * seconds).toBeGreaterThan(0);
      for (const { kept, toReference } of summary) {
        expect(kept).toBe(2);
        expect(toReference).toBeGreaterThan(0);
      }
    }
    expect(leftOf(bench.folder, bench.child.pid)).toEqual(nothing);
  });

  it('runs over every kind of descriptor', async () => {
    const bench = start('--only', '^descriptor/.*/one-cpu/(floor|interproc|net|fs-streams)$');
    expect(await bench.ended).toEqual([0, null]);
    expect(bench.said.stderr).toBe('');
    const ids = scenarios.map(({ id }) => id).filter((id) => /^descriptor.*one-cpu$/.test(id));
    expect(bench.said.stdout.split('\n').filter((line) => line.startsWith('descriptor'))).toEqual(ids);
    expect(ids).toHaveLength(15);
    expect(leftOf(bench.folder, bench.child.pid)).toEqual(nothing);
  });

  it('runs over every kind of queue and semaphore', async () => {
    const only = '^(queue|semaphore)/.*(posix|sysv|one-cpu)/(floor|interproc|interproc-owned)$';
    const bench = start('--only', only);
    expect(await bench.ended).toEqual([0, null]);
    expect(bench.said.stderr).toBe('');
    const ids = scenarios
      .map(({ id }) => id)
      .filter((id) => /^(queue|semaphore)/.test(id) && !id.endsWith('two-cpus'));
    expect(bench.said.stdout.split('\n').filter((line) => /^(queue|semaphore)/.test(line))).toEqual(ids);
    expect(ids).toHaveLength(14);
    expect(leftOf(bench.folder, bench.child.pid)).toEqual(nothing);
  });

  it('runs over every kind of lock', async () => {
    const bench = start('--only', '^lock/(.*one-cpu|pair)/');
    expect(await bench.ended).toEqual([0, null]);
    expect(bench.said.stderr).toBe('');
    const ids = scenarios.map(({ id }) => id).filter((id) => /^lock/.test(id) && !id.endsWith('two-cpus'));
    expect(bench.said.stdout.split('\n').filter((line) => /^lock/.test(line))).toEqual(ids);
    expect(ids).toHaveLength(7);
    expect(leftOf(bench.folder, bench.child.pid)).toEqual(nothing);
  });

  it('tells how the locks were shared out among threads and among processes', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'interproc-test-bench-')), 'bench.json');
    onTestFinished(() => rmSync(join(file, '..'), { recursive: true, force: true }));
    const bench = start('--only', 'lock/contended/4-parties/one-cpu/(floor|atomics)$', '--json', file);
    expect(await bench.ended).toEqual([0, null]);
    const { scenarios: measured } = JSON.parse(readFileSync(file, 'utf8'));
    const shares = measured[0].samples.map(({ smallestShare }: Sample) => smallestShare);
    expect(shares).toHaveLength(2);
    for (const share of shares) expect(share >= 0 && share <= 1).toBe(true);
  });

  it('ends with 1 and the reason when a side ends early', async () => {
    const bench = start('--only', 'one-way/1MiB/in-place/one-cpu/(net|interproc)$');
    let peer: string | undefined;
    while (peer === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      [peer] = leftOf(bench.folder, undefined).processes;
    }
    process.kill(Number(peer), 'SIGKILL');
    expect(await bench.ended).toEqual([1, null]);
    expect(bench.said.stderr).toMatch(/bench: one-way.* ended early: SIGKILL/);
    expect(leftOf(bench.folder, bench.child.pid)).toEqual(nothing);
  });

  it.each(['queue', 'semaphore'])('leaves no %s behind when a side ends early', async (kind) => {
    const bench = start('--only', `^${kind}/ping-pong/.*sysv/one-cpu/interproc$`);
    let peer: string | undefined;
    while (peer === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      [peer] = leftOf(bench.folder, undefined).processes;
    }
    expect(sysvKeysOf(bench.child.pid)).toHaveLength(2);
    process.kill(Number(peer), 'SIGKILL');
    expect(await bench.ended).toEqual([1, null]);
    expect(leftOf(bench.folder, bench.child.pid)).toEqual(nothing);
  });

  it.each(['posix', 'sysv'])('leaves no queue of %s behind when it is told to end', async (api) => {
    const bench = start('--only', `^queue/ping-pong/.*${api}/one-cpu/interproc$`);
    const made = () => (api === 'sysv' ? sysvKeysOf : queuesOf)(bench.child.pid);
    while (made().length < 2) await new Promise((resolve) => setImmediate(resolve));
    bench.child.kill('SIGTERM');
    expect(await bench.ended).toEqual([143, null]);
    const { processes, ...objects } = leftOf(bench.folder, bench.child.pid);
    expect({ processes: [], ...objects }).toEqual(nothing);
  });

  it('leaves nothing behind when it is told to end', async () => {
    const bench = start('--only', 'one-way/64B/copy/one-cpu/(net|process-send-json|message-port)$|create');
    while (leftOf(bench.folder, undefined).processes.length < 5) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    bench.child.kill('SIGTERM');
    expect(await bench.ended).toEqual([143, null]);
    const { files, memory } = leftOf(bench.folder, bench.child.pid);
    expect({ files, memory }).toEqual({ files: [], memory: [] });
    // One that was just being started ends when it looks for the bench.
    while (leftOf(bench.folder, undefined).processes.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
});
