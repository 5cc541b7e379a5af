/**
 * The errors that docs/operations.md shows, each from a process in a world of that kind. In the page such a program is a
 * block whose first line names the world, and that ends with the message in comments; `…` stands for anything.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Channel } from 'interproc';
import { describe, expect, it, onTestFinished } from 'vitest';
import { canContain, isRoot } from '../support/namespaces.js';
import { clean, startPeer } from '../support/peer.js';
import { isSanitized } from '../support/sanitized.js';

const page = readFileSync(fileURLToPath(new URL('../../docs/operations.md', import.meta.url)), 'utf8');

const programs = [...page.matchAll(/^```js ([^\n]+)\n(.*?)^```$/gms)].map(([, world, block]) => {
  const lines = (block as string).trimEnd().split('\n');
  const end = lines.findIndex((line) => line.startsWith('// '));
  return {
    world: world as string,
    source: lines.slice(0, end).join('\n'),
    call: lines[end - 1] as string,
    message: lines
      .slice(end)
      .map((line) => line.slice(3))
      .join(' '),
  };
});

/** What the words of a world do, before the program or as part of its command. */
function worldOf(words: string) {
  const world = { setup: [] as string[], limits: [] as string[], user: 0, fds: [] as number[] };
  for (const word of words.split(' ')) {
    const [, name, value = ''] = /^([^=]+)(?:=(.*))?$/.exec(word) as unknown as [string, string, string?];
    if (name === 'shm') world.setup.push(`mount -t tmpfs -o mode=1777,${value} tmpfs /dev/shm`);
    else if (name === 'no-shm') world.setup.push(withoutShm);
    else if (name === 'no-proc') world.setup.push('umount -l /proc');
    else if (name === 'no-mqueue') world.setup.push('umount -a -t mqueue || true');
    else if (name === 'read-only') world.setup.push(`mount -t tmpfs -o ro tmpfs ${value}`);
    else if (name === 'hugetlbfs') world.setup.push(`mount -t hugetlbfs none ${value}`);
    else if (name === 'user') world.user = Number(value);
    else if (name === 'memfd') world.fds.push(memfdOf(Number(value)));
    else if (name.includes('.')) {
      world.setup.push(`echo ${value.replaceAll(',', ' ')} > /proc/sys/${name.replaceAll('.', '/')}`);
    } else if (name !== 'users') world.limits.push(`--${name}=${value}`);
  }
  return world;
}

/** A /dev with nothing in it but what a program can't do without. */
const withoutShm = `
  mount -t tmpfs tmpfs /dev/shm
  for each in null urandom; do touch /dev/shm/$each; mount --bind /dev/$each /dev/shm/$each; done
  mount --rbind /dev/shm /dev`;

/** The descriptor of a channel without a name that belongs to that user. */
function memfdOf(uid: number): number {
  const channel = Channel.anonymous({ capacity: 4096, uid, gid: uid });
  onTestFinished(() => channel.close());
  return channel.fd;
}

/** `// as user 20001` behind a line: so it is run. */
function asUsers(source: string): string {
  return source.replace(/^(.*) \/\/ as user (\d+)$/gm, (_, line, user) => `become(${user});\n${line}`);
}

function pattern(message: string): RegExp {
  const parts = message.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}

it('the page shows errors, and each ends in a message', () => {
  expect(programs.length).toBeGreaterThan(20);
  for (const { source, message } of programs) {
    expect(source).not.toBe('');
    expect(message).toMatch(/^[A-Z_]+: /);
  }
});

describe.runIf(isRoot && canContain).each(programs)('in a world of $world', (program) => {
  // AddressSanitizer looks into /proc.
  it.skipIf(isSanitized && program.world.includes('no-proc'))(program.call, async () => {
    const { world, source, message } = program;
    const { setup, limits, user, fds } = worldOf(world);
    const wrapper = [
      ...['unshare', '--mount', '--ipc', '--net'],
      // The page's names are of this world alone.
      ...['sh', '-ec', `mount -t tmpfs -o mode=1777 tmpfs /dev/shm\n${setup.join('\n')}\nexec "$@"`, 'sh'],
    ];
    const withLimits = limits.length > 0 ? ['prlimit', ...limits] : [];
    const script = `
    process.channel.ref();
    const kept = [];
    const become = (user) => {
      process.seteuid(0);
      process.setegid(user);
      process.seteuid(user);
    };
    if (${user} !== 0) {
      process.setgroups([]);
      process.setgid(${user});
      process.setuid(${user});
    }
    try {
      ${asUsers(source)}
      await send('no error');
    } catch (error) {
      const { code, message } = error;
      await send(message.startsWith(code) ? message : code + ': ' + message);
    }
    process.disconnect();`;
    const peer = startPeer(script, { wrapper: [...wrapper, ...withLimits], fds });
    expect(await peer.next()).toMatch(pattern(message));
    expect(await peer.exited).toMatchObject(clean);
  });
});
