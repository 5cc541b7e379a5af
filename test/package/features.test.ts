import { inspect } from 'node:util';
import { type Features, features, isSupported } from 'interproc';
import { describe, expect, it } from 'vitest';
import { compileConstructor, withConstructors } from '../support/constructor.js';
import { canMount, inNamespaces } from '../support/namespaces.js';
import { clean, type PeerOptions, runPeer } from '../support/peer.js';
import { isSanitized } from '../support/sanitized.js';

type Name = keyof Features;

// What the kernel or the runtime may lack, here too.
const maybe: Name[] = [
  'collapse',
  'execSeal',
  'futexWaitv',
  'futureWriteSeal',
  'hugePages',
  'pageout',
  'pidfd',
  'populate',
  'sharedArrayBuffer',
  'sysvMessagePeek',
];

const names = Object.keys(features) as Name[];

/** Those that a peer has not, of those that are here. */
async function lacking(options: PeerOptions, before = ''): Promise<Name[]> {
  const source = `${withConstructors} ${before}
    console.log(JSON.stringify(features));`;
  const { stdout, ...exit } = await runPeer(source, options);
  expect(exit).toEqual(clean);
  const found: Features = JSON.parse(stdout);
  expect(Object.keys(found)).toEqual(names);
  return names.filter((name) => features[name] && !found[name]);
}

it('features tell that each room works here', () => {
  expect(isSupported).toBe(true);
  for (const name of names) {
    if (maybe.includes(name)) expect(features[name]).toBeTypeOf('boolean');
    else expect([name, features[name]]).toEqual([name, true]);
  }
});

it('features are read, printed and copied as a plain frozen object of booleans is', () => {
  const copy = { ...features };
  expect(inspect(features, { breakLength: 80 })).toBe(inspect(copy, { breakLength: 80 }));
  expect(inspect(features)).toContain('channel: true');
  expect(Object.isFrozen(features)).toBe(true);
  expect(() => Object.assign(features, { channel: false })).toThrow(TypeError);
});

it('looking for features makes nothing that anybody sees', async () => {
  const source = `
    import { readdirSync, readFileSync } from 'node:fs';
    const seen = () => [
      readdirSync('/proc/self/fd').length,
      readdirSync('/dev/shm').filter((name) => !name.includes('interproc-test-')),
      ...['shm', 'msg', 'sem'].map((kind) => readFileSync('/proc/sysvipc/' + kind, 'utf8')),
    ];
    seen();
    const before = seen();
    assert.equal(Object.values(features).length > 20, true);
    assert.deepEqual(seen(), before);`;
  // Where nobody else makes any.
  const wrapper = canMount
    ? inNamespaces(['--mount', '--ipc'], 'mount -t tmpfs tmpfs /dev/shm')
    : inNamespaces([], '');
  expect(await runPeer(source, { wrapper })).toMatchObject(clean);
});

describe('a feature is absent', () => {
  /** What a container or an older kernel refuses: a call, of which argument `at` may have to be `value`. */
  interface Refused {
    call: string;
    at?: number;
    value?: string;
    answer?: 'EPERM' | 'ENOSYS' | 'EINVAL' | 'EAFNOSUPPORT';
    lacks: Name[];
    /** Which it is that fails then. */
    fails?: string;
  }

  const channels: Name[] = ['locks', 'channel', 'anonymousChannel'];
  const refusals: Refused[] = [
    {
      call: 'memfd_create',
      lacks: ['anonymousMemory', 'futureWriteSeal', 'execSeal', 'anonymousChannel'],
      fails: 'SharedMemory.anonymous({ size: 1 })',
    },
    { call: 'shmget', lacks: ['sysvSharedMemory'], fails: 'SysvSharedMemory.create(null, { size: 1 })' },
    {
      call: 'msgget',
      lacks: ['sysvMessageQueue', 'sysvMessagePeek'],
      fails: 'SysvMessageQueue.create(null)',
    },
    { call: 'msgrcv', at: 4, value: '044000', lacks: ['sysvMessagePeek'] },
    { call: 'semget', lacks: ['sysvSemaphoreSet'], fails: 'SysvSemaphoreSet.create(null, { count: 1 })' },
    { call: 'mq_getsetattr', lacks: ['messageQueue', 'messageQueueNotifications'] },
    { call: 'mq_notify', lacks: ['messageQueueNotifications'] },
    { call: 'socket', at: 0, value: 'AF_UNIX', lacks: ['socket'] },
    {
      call: 'socket',
      at: 0,
      value: 'AF_NETLINK',
      answer: 'EAFNOSUPPORT',
      lacks: ['messageQueueNotifications'],
    },
    { call: 'pidfd_open', lacks: ['pidfd'] },
    { call: 'futex_waitv', lacks: ['futexWaitv'] },
    {
      call: 'fcntl',
      at: 1,
      value: 'F_OFD_GETLK',
      answer: 'EINVAL',
      lacks: channels,
      fails: 'Channel.anonymous({ capacity: 4096 }).participants()',
    },
    {
      call: 'fcntl',
      at: 1,
      value: 'F_ADD_SEALS',
      answer: 'EINVAL',
      lacks: ['futureWriteSeal', 'execSeal'],
      fails: "SharedMemory.anonymous({ size: 1, seal: ['future-write'] })",
    },
    { call: 'madvise', at: 2, value: '23', answer: 'EINVAL', lacks: ['populate'] },
    { call: 'madvise', at: 2, value: '21', answer: 'EINVAL', lacks: ['pageout'] },
    { call: 'madvise', at: 2, value: 'MADV_HUGEPAGE', answer: 'EINVAL', lacks: ['hugePages'] },
    { call: 'madvise', at: 2, value: '25', answer: 'EINVAL', lacks: ['collapse'] },
  ];
  const cases = refusals.flatMap((refused) => {
    const { call, value, answer } = refused;
    const what = value === undefined ? call : `${call} (${value})`;
    return (answer ? [answer] : (['EPERM', 'ENOSYS'] as const)).map((code) => ({ ...refused, what, code }));
  });

  it.each(cases)('where $what is refused with $code', async ({ call, at = 0, value, code, lacks, fails }) => {
    const refusing = `
      struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_${call}, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[${at}])),
        BPF_JUMP(BPF_JMP | BPF_J${value === undefined ? 'GE' : 'EQ'} | BPF_K, ${value ?? 0}, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ${code}),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      };
      struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
      if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) abort();
      if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) abort();`;
    const headers = [
      'errno.h',
      'fcntl.h',
      'linux/filter.h',
      'linux/seccomp.h',
      'stddef.h',
      'sys/mman.h',
      'sys/prctl.h',
      'sys/socket.h',
      'sys/syscall.h',
    ];
    const library = compileConstructor(refusing, headers);
    const attempt = fails === undefined ? '' : `assert.throws(() => ${fails});`;
    const options = { args: [library], env: without({}) };
    expect(await lacking(options, `load(args[0]); ${attempt}`)).toEqual(
      names.filter((name) => features[name] && lacks.includes(name)),
    );
  });

  /** The environment without what the test run itself does without. */
  function without(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
    return { INTERPROC_NO_FUTEX_WAITV: '', INTERPROC_NO_PIDFD: '', ...more };
  }

  it.each([
    ['INTERPROC_NO_FUTEX_WAITV', 'futexWaitv'],
    ['INTERPROC_NO_PIDFD', 'pidfd'],
  ] as const)('where %s is set', async (variable, name) => {
    expect(await lacking({ env: without({ [variable]: '1' }) })).toEqual(features[name] ? [name] : []);
  });

  describe.skipIf(!canMount)('by what is mounted:', () => {
    const inShm: Name[] = ['sharedMemory', 'semaphore', 'channel'];

    const without = async (setup: string, lacks: readonly string[]) => {
      const found = await lacking({ wrapper: inNamespaces(['--mount'], setup) });
      expect([...found].sort()).toEqual([...lacks].sort());
    };

    it('/dev/shm is read-only', () => without('mount -t tmpfs -o ro tmpfs /dev/shm', inShm));
    it('there is no /dev/shm', () => without('mount -t tmpfs tmpfs /dev', inShm));
    it.skipIf(isSanitized)('there is no /proc', () => without('mount -t tmpfs tmpfs /proc', channels));
  });
});
