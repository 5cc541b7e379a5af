/** Columns of text: the first to the left, all others to the right. */
function padded(head: string[], rows: string[][]): { lines: string[][]; widths: number[] } {
  const lines = [head, ...rows];
  const widths = head.map((_, column) =>
    Math.max(3, ...lines.map((line) => (line[column] as string).length)),
  );
  const pad = (line: string[]) =>
    line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] as number) : cell.padStart(widths[column] as number),
    );
  return { lines: lines.map(pad), widths };
}

export function formatText(head: string[], rows: string[][]): string {
  return padded(head, rows)
    .lines.map((line) => `  ${line.join('  ')}`)
    .join('\n');
}

export function formatMarkdown(head: string[], rows: string[][]): string {
  const { lines, widths } = padded(head, rows);
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  const [first, ...others] = lines as [string[], ...string[][]];
  return [first, rule, ...others].map((line) => `| ${line.join(' | ')} |`).join('\n');
}
