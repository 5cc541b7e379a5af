import type { Kinds } from './table.js';

const big = 'Buffer.alloc(1_000_000)';

export const pipe: Kinds = {
  pipe: {
    make: 'const { reader, writer } = createPipe(); keep(reader, writer); reader.unref(); writer.unref();',
    steps: {
      created: '',
      unread: "writer.tryWrite('x');",
      'read from': "const read = reader.read(); writer.tryWrite('x'); await read;",
      'waited for': 'for (let each = 0; each < 9; each++) reader.read().catch(() => {});',
      'waited for with a timeout and a signal':
        'reader.read({ timeout: 1e9, signal: new AbortController().signal }).catch(() => {});',
      'written to': `writer.write(${big}).catch(() => {});`,
      spliced: 'reader.spliceTo(keep(createPipe().writer.unref()), 5).catch(() => {});',
      'in a loop': '(async () => { for await (const chunk of reader); })();',
      'in streams': 'keep(reader.toReadable().resume(), writer.toWritable());',
      'in web streams': 'keep(reader.toWeb().getReader().read(), writer.toWeb());',
      closed: 'for (const each of [reader, writer, reader, writer]) each.close();',
      'closed while it is waited for':
        'const read = reader.read().catch(() => {}); await turn(); reader.close();',
      detached: 'const read = reader.read().catch(() => {}); closeSync(reader.detach());',
      dropped: 'forget();',
    },
    stays: {
      'waited for by all': `for (let each = 0; each < 9; each++) reader.ref().read(); writer.ref().write(${big});`,
      'just noticed': "reader.ref().read().then(() => inside()); writer.tryWrite('x'); await never;",
      'in the middle of a loop': "writer.tryWrite('x'); for await (const chunk of reader) await inside();",
      'in the middle of a stream':
        "reader.toReadable().on('data', () => inside()); writer.tryWrite('x'); await never;",
    },
    blocks: {
      readSync: 'reader.readSync();',
      'readSync with a timeout': 'reader.readSync({ timeout: 1e9 });',
      writeSync: `writer.writeSync(${big});`,
      spliceToSync: 'reader.spliceToSync(createPipe().writer, 5);',
    },
  },
  Fifo: {
    make: 'Fifo.create(path);',
    steps: {
      created: '',
      opened: 'keep(Fifo.tryOpenReader(path, { readWrite: true }), Fifo.tryOpenWriter(path));',
      'waited for':
        'const reader = Fifo.tryOpenReader(path, { readWrite: true }); keep(reader); reader.unref().read().catch(() => {});',
      'opened by both': 'keep(await Promise.all([Fifo.openReader(path), Fifo.openWriter(path)]));',
      unlinked: 'keep(Fifo.tryOpenReader(path, { readWrite: true })); Fifo.unlink(path);',
      closed: 'const reader = Fifo.tryOpenReader(path, { readWrite: true }); reader.close(); reader.close();',
    },
    stays: {
      'about to be opened':
        'for (let each = 0; each < 5; each++) Fifo.openReader(path); Fifo.openWriter(path + "x").catch(() => {});',
      'just opened': 'Fifo.openReader(path).then(() => inside()); await Fifo.openWriter(path); await never;',
    },
    blocks: { openReaderSync: 'Fifo.openReaderSync(path);', openWriterSync: 'Fifo.openWriterSync(path);' },
  },
};
