import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const files = ['graphs', 'src', 'bin'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name)),
);

/** What a file imports: own files by their path from the root, packages by name. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s+'([^']+)'/g)].map(([, target]) =>
    target!.startsWith('.')
      ? relative(root, resolve(dirname(join(root, file)), target!)).replace(/\.js$/, '.ts')
      : target!,
  );
}
const edges = files.flatMap((file) => importsOf(file).map((target) => ({ file, target })));
const offending = (bad: (edge: { file: string; target: string }) => boolean) =>
  edges.filter(bad).map(({ file, target }) => `${file} → ${target}`);
const inside = (path: string, ...folders: string[]) =>
  folders.some((folder) => path.startsWith(`${folder}/`));

/** Which folders of graphs/ each one may use, itself aside. */
const LAYERS: Record<string, readonly string[]> = {
  'graphs/onnx': [],
  'graphs/autodiff': ['graphs/onnx'],
  'graphs/nn': ['graphs/onnx'],
  'graphs/forms': ['graphs/onnx', 'graphs/passes'],
  'graphs/models': ['graphs/onnx', 'graphs/nn', 'graphs/autodiff'],
  'graphs/proxies': ['graphs/onnx', 'graphs/nn', 'graphs/autodiff'],
  'graphs/objectives': ['graphs/onnx', 'graphs/nn', 'graphs/models', 'graphs/proxies'],
  'graphs/passes': ['graphs/onnx'],
  'graphs/programs': [
    'graphs/onnx',
    'graphs/nn',
    'graphs/autodiff',
    'graphs/models',
    'graphs/proxies',
    'graphs/objectives',
  ],
  'graphs/ort-training': ['graphs/onnx', 'graphs/nn', 'graphs/objectives', 'graphs/programs'],
};

describe('imports', () => {
  test('are found at all', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(edges.length).toBeGreaterThan(200);
  });

  test('graphs/ uses nothing that runs: no src/, no Node.js, no runtime', () => {
    expect(
      offending(
        ({ file, target }) =>
          inside(file, 'graphs') && (inside(target, 'src', 'bin') || /^(node:|onnxruntime)/.test(target)),
      ),
    ).toEqual([]);
  });

  test.each(Object.entries(LAYERS))('%s uses only the layers below it', (folder, allowed) => {
    expect(
      offending(
        ({ file, target }) =>
          inside(file, folder) && inside(target, 'graphs') && !inside(target, folder, ...allowed),
      ),
    ).toEqual([]);
  });

  test('nothing in graphs/ imports itself by a detour, types included', () => {
    const cycles: string[] = [];
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      else if (!done.has(file)) {
        for (const { target } of edges.filter((edge) => edge.file === file)) visit(target, [...path, file]);
        done.add(file);
      }
    };
    for (const file of files.filter((name) => inside(name, 'graphs'))) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test('only the messages know protobuf, but for the TensorBoard writer', () => {
    const users = offending(({ target }) => target.startsWith('protobufjs')).map(
      (edge) => edge.split(' ')[0],
    );
    expect(
      users.filter((file) => !['graphs/onnx/messages.ts', 'src/runs/tensorboard.ts'].includes(file!)),
    ).toEqual([]);
  });

  test('only src/runtime imports ONNX Runtime, and it knows models as bytes', () => {
    expect(
      offending(({ file, target }) => target.startsWith('onnxruntime') && !inside(file, 'src/runtime')),
    ).toEqual([]);
    expect(
      offending(
        ({ file, target }) =>
          inside(file, 'src/runtime') && inside(target, 'graphs') && target !== 'graphs/onnx/types.ts',
      ),
    ).toEqual([]);
  });

  test('data knows no training, analysis and report know neither data stores nor runtimes', () => {
    expect(
      offending(
        ({ file, target }) =>
          inside(file, 'src/data') && inside(target, 'src/train', 'src/commands', 'src/runtime', 'src/analysis'),
      ),
    ).toEqual([]);
    expect(
      offending(
        ({ file, target }) =>
          inside(file, 'src/analysis', 'src/report') &&
          inside(target, 'src/train', 'src/commands', 'src/runtime'),
      ),
    ).toEqual([]);
  });

  test('only bin, bench and the library’s index use tasks', () => {
    expect(
      offending(
        ({ file, target }) =>
          inside(target, 'src/commands') &&
          !inside(file, 'bin', 'src/commands', 'src/bench') &&
          file !== 'src/index.ts',
      ),
    ).toEqual([]);
  });

  test('tables know nothing but errors, and only they know CSV', () => {
    const own = offending(
      ({ file, target }) =>
        inside(file, 'src/tables') &&
        inside(target, 'src', 'graphs', 'bin') &&
        !inside(target, 'src/tables') &&
        target !== 'src/errors.ts',
    );
    expect(own).toEqual([]);
    expect(offending(({ file, target }) => target.startsWith('csv-') && !inside(file, 'src/tables'))).toEqual(
      [],
    );
  });

  test('the library shows nothing: only bin writes to a terminal, and to callers that ask for it', () => {
    const writers = ['src/terminal.ts', 'src/terminal-progress.ts'];
    expect(
      offending(
        ({ file, target }) =>
          writers.includes(target) && !inside(file, 'bin') && ![...writers, 'src/index.ts'].includes(file),
      ),
    ).toEqual([]);
    // Processes of a benchmark talk to the one that started them; examples in comments show nothing.
    const writing = files.filter(
      (file) =>
        inside(file, 'src', 'graphs') &&
        !inside(file, 'src/bench') &&
        /^(?! *\*).*(\bprocess\.std(out|err)\b|\bconsole\.)/m.test(readFileSync(join(root, file), 'utf8')),
    );
    expect(writing.filter((file) => !writers.includes(file))).toEqual([]);
  });

  test('only bin uses yargs', () => {
    expect(offending(({ file, target }) => target.startsWith('yargs') && !inside(file, 'bin'))).toEqual([]);
  });
});
