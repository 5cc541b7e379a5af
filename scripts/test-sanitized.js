// Runs the tests with the addon under AddressSanitizer and UndefinedBehaviorSanitizer (scripts/sanitizers.js).
// Arguments go to vitest: npm run test:sanitized -- test/memory
import { spawnSync } from 'node:child_process';
import { build, noReports, root, sanitizedEnvironment, sanitizedNode } from './sanitizers.js';

build();
const { env, reports } = sanitizedEnvironment();
const args = ['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)];
const { status } = spawnSync(sanitizedNode, args, { cwd: root, env, stdio: 'inherit' });
process.exitCode = noReports(reports()) && status === 0 ? 0 : 1;
