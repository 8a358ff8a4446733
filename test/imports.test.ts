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
const GRAPH_LAYERS: Record<string, readonly string[]> = {
  'graphs/onnx': [],
  'graphs/autodiff': ['graphs/onnx'],
  'graphs/standard': ['graphs/onnx'],
  'graphs/nn': ['graphs/onnx'],
  'graphs/forms': ['graphs/onnx', 'graphs/passes'],
  'graphs/imported': ['graphs/onnx', 'graphs/nn', 'graphs/standard', 'graphs/passes'],
  'graphs/models': ['graphs/onnx', 'graphs/nn', 'graphs/autodiff'],
  'graphs/proxies': ['graphs/onnx', 'graphs/nn', 'graphs/autodiff'],
  'graphs/objectives': ['graphs/onnx', 'graphs/nn', 'graphs/imported', 'graphs/models', 'graphs/proxies'],
  'graphs/passes': ['graphs/onnx'],
  'graphs/programs': [
    'graphs/onnx',
    'graphs/nn',
    'graphs/autodiff',
    'graphs/imported',
    'graphs/models',
    'graphs/proxies',
    'graphs/objectives',
  ],
  'graphs/ort-training': ['graphs/onnx', 'graphs/nn', 'graphs/objectives', 'graphs/programs'],
};

/** Which folders of src/ each one may use, itself aside; files of src/ itself serve all. */
const SOURCE_LAYERS: Record<string, readonly string[]> = {
  tables: [],
  runtime: [],
  distributed: [],
  'data/scan': [],
  'data/store': ['data/scan', 'tables'],
  'data/proxies': ['data/scan', 'data/store'],
  'data/loading': ['data/scan', 'data/store', 'data/proxies'],
  'data/samples': ['data/scan', 'data/store', 'data/loading'],
  'data/adapters': ['data/scan', 'data/store', 'data/samples', 'tables'],
  phantom: ['data/scan'],
  analysis: ['data/scan'],
  config: ['data/scan', 'data/store', 'data/proxies', 'runtime'],
  weights: ['data/scan'],
  execution: ['config', 'distributed', 'runtime'],
  runs: ['config', 'data/scan', 'data/samples', 'runtime', 'weights'],
  inference: ['config', 'data/scan', 'data/store', 'data/proxies', 'data/samples', 'execution', 'runtime'],
  train: [
    ...['config', 'data/scan', 'data/proxies', 'data/loading', 'data/samples'],
    ...['distributed', 'execution', 'runs', 'runtime', 'weights'],
  ],
  search: ['data/scan', 'data/store', 'runtime'],
  report: ['analysis', 'data/scan', 'data/proxies'],
  experiments: [
    'analysis',
    'config',
    'data/samples',
    'data/store',
    'distributed',
    'report',
    'runs',
    'tables',
  ],
};
/** These may use all folders above, and no other of these, but for benchmarks and the service, which use commands. */
const TOP = ['commands', 'browser', 'bench', 'serve'];

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

  test.each(Object.entries(GRAPH_LAYERS))('%s uses only the layers below it', (folder, allowed) => {
    expect(
      offending(
        ({ file, target }) =>
          inside(file, folder) && inside(target, 'graphs') && !inside(target, folder, ...allowed),
      ),
    ).toEqual([]);
  });

  test('the compiler and the training of imported models know nothing of Parts2Whole', () => {
    const compiler = ['onnx', 'autodiff', 'standard', 'passes', 'forms', 'imported'].map(
      (name) => `graphs/${name}`,
    );
    const entry = 'graphs/compiler.ts';
    const reached = new Set(files.filter((file) => inside(file, ...compiler)).concat(entry));
    for (const file of reached)
      for (const edge of edges)
        if (edge.file === file && !edge.target.startsWith('protobufjs')) reached.add(edge.target);
    expect([...reached].filter((file) => !inside(file, 'graphs'))).toEqual([]);
    expect(
      [...reached].filter((file) => /\/(models|proxies)\/|image|reconstruction|restoration/.test(file)),
    ).toEqual([]);
    expect([...reached].filter((file) => inside(file, 'graphs/nn')).sort()).toEqual(
      ['batch-norm', 'loss-scale', 'losses', 'module', 'optimizers'].map((name) => `graphs/nn/${name}.ts`),
    );
  });

  test('every folder of src/ has its place', () => {
    const known = [...Object.keys(SOURCE_LAYERS), ...TOP].map((folder) => `src/${folder}`);
    expect(files.filter((file) => /^src\/.*\//.test(file) && !inside(file, ...known))).toEqual([]);
  });

  test.each(Object.entries(SOURCE_LAYERS))('src/%s uses only the layers below it', (folder, allowed) => {
    const folders = [folder, ...allowed].map((name) => `src/${name}`);
    expect(
      offending(
        ({ file, target }) =>
          inside(file, `src/${folder}`) &&
          (inside(target, 'bin') || (/^src\/.*\//.test(target) && !inside(target, ...folders))),
      ),
    ).toEqual([]);
  });

  test('what serves all uses no folder; only bin, benchmarks, the service and the library’s index use commands', () => {
    expect(
      offending(
        ({ file, target }) =>
          /^src\/[^/]*$/.test(file) &&
          file !== 'src/index.ts' &&
          /^src\/.*\//.test(target) &&
          !inside(target, 'src/runtime'),
      ),
    ).toEqual([]);
    expect(
      offending(
        ({ file, target }) =>
          inside(target, 'src/commands', 'bin') &&
          !inside(file, 'bin', 'src/commands', 'src/bench', 'src/serve') &&
          file !== 'src/index.ts',
      ),
    ).toEqual([]);
    expect(offending(({ file, target }) => inside(file, 'src') && inside(target, 'bin'))).toEqual([]);
  });

  test('only src/execution lowers graphs, and benchmarks of forms', () => {
    expect(
      offending(
        ({ file, target }) =>
          inside(target, 'graphs/forms') &&
          !inside(file, 'graphs', 'src/execution') &&
          file !== 'src/bench/forms.ts',
      ),
    ).toEqual([]);
  });

  test('nothing imports itself by a detour, types included', () => {
    const cycles: string[] = [];
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      else if (!done.has(file)) {
        for (const { target } of edges.filter((edge) => edge.file === file)) visit(target, [...path, file]);
        done.add(file);
      }
    };
    for (const file of files) visit(file, []);
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

  test('only src/distributed calls native libraries', () => {
    expect(offending(({ file, target }) => target === 'koffi' && !inside(file, 'src/distributed'))).toEqual(
      [],
    );
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

  test('only the service knows HTTP frameworks, and only bin uses it', () => {
    expect(
      offending(
        ({ file, target }) => /^(@?hono\b|prom-client|yauzl)/.test(target) && !inside(file, 'src/serve'),
      ),
    ).toEqual([]);
    expect(
      offending(({ file, target }) => inside(target, 'src/serve') && !inside(file, 'src/serve', 'bin')),
    ).toEqual([]);
  });

  test('only bin uses yargs', () => {
    expect(offending(({ file, target }) => target.startsWith('yargs') && !inside(file, 'bin'))).toEqual([]);
  });
});
