/** The CPUs that this process may run on. */
import { readFileSync } from 'node:fs';

export function allowedCpus(): number[] {
  const [, list = '0'] = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return parseCpuList(list);
}

/** `0-2,5` is 0, 1, 2 and 5. */
export function parseCpuList(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
