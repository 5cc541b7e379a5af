/** A command line that runs a command on one CPU, and ends it when the thread that started it ends. */
export function pinned(cpu: number, command: string, ...args: string[]): [string, ...string[]] {
  return ['setpriv', '--pdeathsig', 'KILL', 'taskset', '--cpu-list', `${cpu}`, command, ...args];
}
