import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { describe, expect, test, vi } from 'vitest';
import {
  AtomicFile,
  commitTogether,
  contentFile,
  makeFolder,
  writeFileAtomic,
  writeTogether,
} from '../src/files.js';
import { errorOf, temporaryFolder } from './data/store/tiles-sample.js';
import { mountDisk } from './small-disk.js';

const root = temporaryFolder();
const at = (...names: string[]) => join(root, ...names);

describe('an atomic file', () => {
  test('appears with all of its content, and nothing is left beside it', () => {
    writeFileAtomic(at('text'), 'content');
    expect(readFileSync(at('text'), 'utf8')).toBe('content');
    expect(readdirSync(root)).toEqual(['text']);
  });

  test('does not bring back the folder that it was to be in', () => {
    const error = errorOf(() => writeFileAtomic(at('gone', 'file'), 'content'));
    expect(error).toMatchObject({ name: 'UserError', kind: 'disk', facts: { where: at('gone') } });
    expect(existsSync(at('gone'))).toBe(false);
  });

  test('says that its folder has been deleted while it was written', () => {
    mkdirSync(at('deleted'));
    const file = new AtomicFile(at('deleted', 'file'));
    file.write(Buffer.from('content'));
    rmSync(at('deleted'), { recursive: true });
    expect(errorOf(() => file.commit()).message).toMatch(/deleted: this does not exist/);
    expect(existsSync(at('deleted'))).toBe(false);
  });

  test('at the end of a pipeline tells its own error, not that the stream was aborted', async () => {
    const file = new AtomicFile(at('streamed'));
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
    vi.spyOn(file, 'write').mockImplementation(() => {
      throw full;
    });
    const noise = Readable.from([Buffer.alloc(1 << 20, 1), Buffer.alloc(1 << 20, 2)]);
    await expect(pipeline(noise, createGzip(), file.stream())).rejects.toBe(full);
    file.discard();
  });
});

describe('files that belong together', () => {
  const names = ['places', 'values'] as const;
  const contentsOf = (folder: string) =>
    Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
  const write = (folder: string, text: string) =>
    writeTogether(names.map((name) => [join(folder, name), `${text} ${name}`]));

  test('are all there, or all what they were', () => {
    const folder = at('pair');
    mkdirSync(folder);
    write(folder, 'old');
    expect(contentsOf(folder)).toEqual({ places: 'old places', values: 'old values' });
    const full = () => {
      throw new Error('full');
    };
    const places = () => contentFile([join(folder, 'places'), 'new places']);
    expect(() => commitTogether([places, full])).toThrow('full');
    expect(contentsOf(folder)).toEqual({ places: 'old places', values: 'old values' });
    write(folder, 'new');
    expect(contentsOf(folder)).toEqual({ places: 'new places', values: 'new values' });
  });

  test('lack the last one rather than mix with old ones', () => {
    const folder = at('mixed');
    mkdirSync(folder);
    write(folder, 'old');
    // As by a kill in between: what comes before the last file cannot be renamed.
    const stuck = () => {
      const file = contentFile([join(folder, 'places'), 'new places']);
      vi.spyOn(file, 'commit').mockImplementation(() => {
        throw new Error('killed');
      });
      return file;
    };
    const values = () => contentFile([join(folder, 'values'), 'new values']);
    expect(() => commitTogether([stuck, values])).toThrow('killed');
    expect(contentsOf(folder)).toEqual({ places: 'old places' });
  });
});

describe('makeFolder', () => {
  test('makes all folders that are missing, and takes those that are there', () => {
    makeFolder(at('a', 'b', 'c'));
    makeFolder(at('a', 'b', 'c'));
    makeFolder(at('a', 'b', 'd'), at('a'));
    expect(readdirSync(at('a', 'b'))).toEqual(['c', 'd']);
  });

  test('makes none below a store that has been deleted', () => {
    expect(errorOf(() => makeFolder(at('store', 'shards', 'x'), at('store'))).message).toMatch(
      /store: this does not exist/,
    );
    expect(existsSync(at('store'))).toBe(false);
  });

  test('says what stands in its way: a file, a read-only file system', (context) => {
    writeFileSync(at('file'), '');
    expect(errorOf(() => makeFolder(at('file'))).message).toMatch(
      /a file or folder with this name already exists/,
    );
    expect(errorOf(() => makeFolder(at('file', 'x'))).message).toMatch(/part of the path is a file/);
    mountDisk(context, at('disk'), 'ro');
    expect(errorOf(() => makeFolder(at('disk', 'a', 'b'))).message).toMatch(/the file system is read-only/);
  });
});
