/** README.md says of speed what docs/performance.md has, and of each room which one it is. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const readme = readFileSync(`${root}/README.md`, 'utf8');
const performance = readFileSync(`${root}/docs/performance.md`, 'utf8');

it('every speed in it was measured: docs/performance.md has that number', () => {
  const speeds = [...readme.matchAll(/\b\d[\d.]*(?: (?:us|ns|M\/s)\b|(?=x\b))/g)].map(([speed]) => speed);
  expect(speeds.length).toBeGreaterThan(30);
  const bare = (speed: string) => speed.replace(/ ns$/, '');
  expect(
    speeds.filter((speed) => !performance.includes(speed) && !performance.includes(`| ${bare(speed)} `)),
  ).toEqual([]);
});

it('has an example of each room, and a page of docs/ for it', () => {
  const rooms = readdirSync(`${root}/lib`, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const pages: Record<string, string> = { sync: 'locks' };
  for (const { name } of rooms.filter((room) => room.name !== 'internal')) {
    const page = pages[name] ?? name;
    expect(readme).toMatch(new RegExp(`\\]\\(docs/${page}s?\\.md\\)`));
  }
  const examples = [...readme.matchAll(/^```js\n(.*?)^```/gms)].map(([, source]) => source as string);
  const used = [
    'Channel',
    'SharedMemory',
    'createPipe',
    'UnixSeqpacket',
    'MessageQueue',
    'Semaphore',
    'Mutex',
  ];
  for (const name of used) expect(examples.some((source) => source.includes(`${name}`))).toBe(true);
});

it('names every class of the package in the table of which to take', async () => {
  const classes = Object.entries(await import('interproc'))
    .filter(([name, value]) => /^[A-Z]/.test(name) && typeof value === 'function')
    .map(([name]) => name);
  expect(classes.length).toBeGreaterThan(20);
  const section = /^## Which one do I need$(.*?)^## /ms.exec(readme)?.[1] ?? '';
  // Ends of pipes are what createPipe gives.
  const others = ['PipeReader', 'PipeWriter', 'IpcError'];
  expect(classes.filter((name) => !section.includes(name) && !others.includes(name))).toEqual([]);
});
