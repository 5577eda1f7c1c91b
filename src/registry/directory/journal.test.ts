import { appendFileSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Change } from '../registry.ts';
import { Journal, JournalGone } from './journal.ts';
import type { Draft } from './journal-state.ts';
import { directoryPaths } from './paths.ts';

let root: string;
let opened: Journal[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pm-journal-'));
  opened = [];
});

afterEach(() => {
  for (const journal of opened) journal.close();
  rmSync(root, { recursive: true, force: true });
});

function open(author: string, sealBytes = Number.POSITIVE_INFINITY): Journal {
  const journal = new Journal({ paths: directoryPaths(root), author, newCluster: `cluster-of-${author}`, sealBytes });
  opened.push(journal);
  return journal;
}

const put = (key: string, value: string, lease?: string): Draft => ({
  op: 'put',
  key,
  value,
  file: `${key}=${value}`,
  ...(lease === undefined ? {} : { lease: { id: lease, ttlMs: 1000 } }),
});

const ignore = () => {};
const commit = (journal: Journal, draft: Draft) => journal.commit(() => draft, ignore);
const values = (journal: Journal) =>
  Object.fromEntries([...journal.state.entries].map(([key, { value }]) => [key, value]));
const journalFile = (generation: number) => join(directoryPaths(root).own, `journal.${generation}`);

describe('the journal', () => {
  test('two who open a new one agree on its identity', () => {
    const [a, b] = [open('a'), open('b')];
    expect(b.state.cluster).toBe('cluster-of-a');
    expect(a.state.cluster).toBe('cluster-of-a');
  });

  test('gives each change the next revision, whoever makes it', () => {
    const [a, b] = [open('a'), open('b')];
    expect([commit(a, put('k', '1')), commit(b, put('k', '2')), commit(a, put('l', '3'))]).toEqual([1, 2, 3]);
    const progress = b.catchUp();
    expect(progress.continues).toBe(true);
    expect(values(b)).toEqual({ k: '2', l: '3' });
  });

  test('a writer that was overtaken decides again, on the newer state', () => {
    const [a, b] = [open('a'), open('b')];
    const seen: (string | undefined)[] = [];
    const at = a.commit((state) => {
      seen.push(state.entries.get('k')?.value);
      // Another process appends between the reading of the state and the append that builds on it.
      if (seen.length === 1) commit(b, put('k', 'of b'));
      return put('k', 'of a');
    }, ignore);
    expect(seen).toEqual([undefined, 'of b']);
    expect(at).toBe(2);
    b.catchUp();
    expect(values(b)).toEqual({ k: 'of a' });
  });

  test('a line that was torn by a crash is nothing, and the next one counts', () => {
    const a = open('a');
    commit(a, put('k', '1'));
    appendFileSync(journalFile(1), '\n{"op":"put","revision":2,"by":"dead-1","key":"k","val');
    expect(commit(a, put('k', '2'))).toBe(2);
    appendFileSync(journalFile(1), '\nnot even JSON\n{"op":"put","revision":3}\n{"op":"format-disk","revision":3}\n');
    expect(commit(open('b'), put('k', '3'))).toBe(3);
    a.catchUp();
    expect(values(a)).toEqual({ k: '3' });
  });

  test('a line that is still being written is waited for', () => {
    const a = open('a');
    const line = `{"op":"put","revision":1,"by":"x-1","key":"k","value":"ü","file":"f"}\n`;
    const bytes = Buffer.from(line);
    const middle = bytes.indexOf(0xc3) + 1;
    appendFileSync(journalFile(1), bytes.subarray(0, middle));
    expect(a.catchUp().changes).toEqual([]);
    appendFileSync(journalFile(1), bytes.subarray(middle));
    expect(a.catchUp().changes).toHaveLength(1);
    expect(values(a)).toEqual({ k: 'ü' });
  });

  test('a revoked lease takes all its keys in one revision', () => {
    const a = open('a');
    commit(a, put('x', '1', 'lease'));
    commit(a, put('y', '2', 'lease'));
    commit(a, put('z', '3'));
    const changes: Change[] = [];
    a.commit(
      () => ({ op: 'revoke', lease: 'lease' }),
      (progress) => changes.push(...progress.changes),
    );
    expect(changes).toEqual([
      { kind: 'delete', key: 'x', revision: 4n },
      { kind: 'delete', key: 'y', revision: 4n },
    ]);
    expect(a.state.leases.size).toBe(0);
  });

  test('is sealed when it is mostly history, and everyone goes on in the next file without a gap', () => {
    const [a, b] = [open('a', 2000), open('b', 2000)];
    const changes: Change[] = [];
    for (let n = 1; n <= 100; n += 1) {
      commit(n % 2 === 0 ? a : b, put('k', String(n), 'lease'));
      const progress = a.catchUp();
      expect(progress.continues).toBe(true);
    }
    changes.push(...b.catchUp().changes);
    expect(a.state.generation).toBeGreaterThan(3);
    expect(values(a)).toEqual({ k: '100' });
    expect(values(b)).toEqual(values(a));
    expect(b.state.revision).toBe(a.state.revision);
    const late = open('late');
    expect(late.state.revision).toBe(a.state.revision);
    expect(late.state.cluster).toBe('cluster-of-a');
    expect(late.state.leases.get('lease')?.keys).toEqual(new Set(['k']));
    const files = readdirSync(directoryPaths(root).own).filter((name) => name.startsWith('journal.'));
    expect(files).toEqual([`journal.${a.state.generation}`]);
  });

  test('who slept through whole files says that there is a gap', () => {
    const [sleeper, a] = [open('sleeper'), open('a', 2000)];
    for (let n = 1; n <= 100; n += 1) commit(a, put('k', String(n)));
    expect(sleeper.catchUp().continues).toBe(false);
    expect(values(sleeper)).toEqual({ k: '100' });
    expect(commit(sleeper, put('k', '101'))).toBe(a.state.revision + 1);
  });

  test('a seal whose author died before it wrote the next file is followed by whoever comes', () => {
    const a = open('a');
    commit(a, put('k', '1', 'lease'));
    appendFileSync(journalFile(1), '\n{"op":"seal","revision":2,"by":"dead-9"}\n');
    const b = open('b');
    expect(commit(b, put('l', '2'))).toBe(3);
    expect(a.catchUp()).toMatchObject({ continues: true, changes: [{ kind: 'put' }] });
    expect(values(a)).toEqual({ k: '1', l: '2' });
  });

  test('a deleted or moved journal is noticed, and nothing is written into it', () => {
    const [a, b] = [open('a'), open('b')];
    renameSync(directoryPaths(root).own, `${directoryPaths(root).own}-aside`);
    expect(() => a.verify()).toThrow(JournalGone);
    rmSync(`${directoryPaths(root).own}-aside`, { recursive: true });
    expect(() => commit(b, put('k', '1'))).toThrow(JournalGone);
    expect(open('c').state.cluster).toBe('cluster-of-c');
  });
});
