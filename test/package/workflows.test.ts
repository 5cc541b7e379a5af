/** What .github/workflows asks for is there. Nothing of it can be run here: what can be told by reading is. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFileSync(`${root}/${file}`, 'utf8');
const { scripts } = JSON.parse(read('package.json'));
const folder = '.github/workflows';
const names = readdirSync(`${root}/${folder}`);

interface Step {
  run?: string;
  uses?: string;
}
interface Job {
  needs?: string;
  permissions?: Record<string, string>;
  steps: Step[];
  'timeout-minutes': number;
}
const jobsOf = (name: string): Record<string, Job> =>
  parseDocument(read(`${folder}/${name}`), { version: '1.2' }).toJS().jobs;
const steps = (name: string) => Object.values(jobsOf(name)).flatMap((job) => job.steps);
const commands = (name: string) => steps(name).flatMap(({ run }) => run ?? []);

it('there is one for each change and one for each release', () => {
  expect(names.sort()).toEqual(['ci.yml', 'release.yml']);
});

describe.each(names)('%s', (name) => {
  it('is YAML', () => {
    const { errors, warnings } = parseDocument(read(`${folder}/${name}`), { version: '1.2' });
    expect([...errors, ...warnings]).toEqual([]);
  });

  it('calls scripts that are there, and no tool by itself', () => {
    const ran = commands(name).filter((command) => !command.startsWith('bash scripts/debian.sh '));
    expect(ran).not.toEqual([]);
    for (const command of ran) {
      for (const [, script = ''] of command.matchAll(/npm (?:run )?(test\b|(?<=run )[\w:]+)/g)) {
        expect(scripts).toHaveProperty([script]);
      }
      expect(command).not.toMatch(/\b(vitest|tsc|biome|node-gyp|prebuildify|cmake|npx)\b/);
    }
    expect(existsSync(`${root}/scripts/debian.sh`)).toBe(true);
  });

  it('uses actions of GitHub alone, each of a given major version', () => {
    for (const { uses } of steps(name)) {
      if (uses !== undefined) expect(uses).toMatch(/^actions\/[\w-]+@v\d+$/);
    }
  });

  it('has no secret in it, and may no more than it needs', () => {
    const text = read(`${folder}/${name}`);
    expect(text).not.toMatch(/secrets\.|npm_[A-Za-z0-9]{20}|gh[pousr]_\w+|_authToken|TOKEN/);
    expect(parseDocument(text).toJS().permissions).toEqual({ contents: 'read' });
  });

  it('ends a job that hangs', () => {
    for (const job of Object.values(jobsOf(name))) expect(job['timeout-minutes']).toBeGreaterThan(0);
  });
});

it('a change is built, tested under sanitizers too, packed and tried as users would', () => {
  const ran = commands('ci.yml').join('\n');
  for (const command of ['npm ci', 'npm test', 'npm run test:native', 'npm run matrix']) {
    expect(ran).toContain(command);
  }
  expect(read(`${folder}/ci.yml`)).toMatch(/runner: ubuntu-24\.04-arm$/m);
});

it('what is published is what was tried, and says where it was made', () => {
  const jobs = jobsOf('release.yml');
  expect(Object.keys(jobs)).toEqual(['pack', 'smoke', 'publish']);
  const ran = (job: string) => jobs[job]?.steps.flatMap(({ run }) => run ?? []).join('\n');
  expect(ran('pack')).toMatch(/npm run prebuild\nmkdir .* npm pack /);
  expect(jobs.smoke?.needs).toBe('pack');
  expect(ran('smoke')).toContain('npm run matrix -- ${{ matrix.parts }} --tarball build-package/*.tgz');
  expect(jobs.publish?.needs).toBe('smoke');
  expect(jobs.publish?.permissions).toEqual({ contents: 'read', 'id-token': 'write' });
  expect(ran('publish')).toBe('npm publish --provenance --access public build-package/*.tgz');
});
