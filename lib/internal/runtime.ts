/** What runs this: Bun and Deno also say which Node they resemble, and that is not what they are. */
export function runtimeName(): string {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return `Bun ${bun}`;
  if (deno !== undefined) return `Deno ${deno}`;
  return `Node ${node}`;
}
