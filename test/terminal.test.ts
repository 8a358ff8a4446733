import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { beforeAll, describe, expect, test } from 'vitest';
import { GraphBuilder } from '../graphs/onnx/builder.js';
import { toModel } from '../graphs/onnx/model.js';
import { encodeModel } from '../graphs/onnx/schema.js';
import { pretrain } from '../src/commands/pretrain.js';
import { fromSettings } from '../src/config/settings.js';
import { npyHeader } from '../src/data/scan/npy.js';
import { saveCheckpoint } from '../src/runs/checkpoint.js';
import { cutToColumns, visible } from '../src/terminal.js';
import { writeSafetensors } from '../src/weights/safetensors-file.js';
import { lastJson } from './commands/cli.js';
import { p2wHere } from './commands/here.js';
import { sampleStore, temporaryFolder } from './data/store/tiles-sample.js';

/** Turns text red and clears the screen; the same by a single character; and writes backwards. */
const TRICK = 'a\u001b[31m\u001b[2Jb\u009b31mc\u202ed\u0007';
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
const RAW = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;

describe('text on a terminal', () => {
  test('keeps lines, tabs and all letters', () => {
    const text = 'x×y\n\tZoë, 한국어, नमस्ते, 👩‍⚕️, “…”';
    expect(visible(text)).toBe(text);
  });

  test('shows control characters and marks of direction instead of obeying them', () => {
    expect(visible(TRICK)).toBe('a\\u001b[31m\\u001b[2Jb\\u009b31mc\\u202ed\\u0007');
    expect(visible('one\rtwo\u2028three')).toBe('one\\u000dtwo\\u2028three');
  });

  test.each([
    ['abc', 2, 'ab'],
    ['abc', 3, 'abc'],
    ['肺の断面', 5, '肺の'],
    ['폐 단면', 6, '폐 단'],
    ['a🫁b', 2, 'a'],
    ['a🫁b', 3, 'a🫁'],
    ['a❤\ufe0fb', 3, 'a❤\ufe0f'],
    ['Zoe\u0308!', 3, 'Zoe\u0308'],
    ['abc', Number.POSITIVE_INFINITY, 'abc'],
  ])('is cut by the columns that it takes: %s to %d', (line, columns, cut) => {
    expect(cutToColumns(line, columns)).toBe(cut);
  });

  test('of JSON is the same JSON', () => {
    const value = { [TRICK]: TRICK };
    const text = visible(JSON.stringify(value));
    expect(text).not.toMatch(RAW);
    expect(JSON.parse(text)).toEqual(value);
  });
});

describe('what a file holds never reaches the terminal raw', () => {
  const folder = temporaryFolder();
  const at = (...names: string[]) => join(folder, ...names);
  const write = (name: string, content: string | Uint8Array) => writeFileSync(at(name), content);
  const tensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) } as const;

  beforeAll(async () => {
    await sampleStore(at('tiles'));
    const settings = [
      'whole=16x8x8',
      'network.levels=2',
      'network.width=2',
      'batch=4',
      'threads=1',
      'workers=0',
    ];
    await pretrain({ data: at('tiles'), out: at('run'), config: fromSettings(settings, { steps: 1 }) });
    for (const run of ['run-metrics', 'run-state', 'run-tensor'])
      cpSync(at('run'), at(run), { recursive: true });
    writeFileSync(at('run-metrics/metrics.jsonl'), `{"step": 1, ${TRICK}\n`);
    const best = at('run-state/checkpoints/best.safetensors');
    const metadata = { format: 'parts2whole-checkpoint', version: '1', state: `{"${TRICK}": 1}` };
    writeSafetensors(best, [{ name: 'w', ...tensor }], metadata);
    const config = JSON.parse(readFileSync(at('run-tensor/config.json'), 'utf8'));
    writeFileSync(at('run-tensor/config.json'), JSON.stringify({ ...config, data: TRICK, preset: TRICK }));

    writeSafetensors(at('names.safetensors'), [{ name: TRICK, ...tensor }], { [TRICK]: TRICK });
    saveCheckpoint(at('other.safetensors'), new Map([[TRICK, { type: 'float32', ...tensor }]]), {} as never);
    const npy = Buffer.concat([npyHeader('float32', [1]), Buffer.alloc(4)]);
    write('names.npz', zipSync({ [`${TRICK}.npy`]: npy }));
    const g = new GraphBuilder(TRICK);
    g.output('features', g.input(TRICK, 'float32', ['N', TRICK]));
    const named = toModel(g.build(), { documentation: TRICK, metadata: { [TRICK]: TRICK } });
    write('names.onnx', encodeModel(named));
    write('table.csv', `id,${TRICK}\n${TRICK},x\n`);
    write('labels.csv', `id,label\n${TRICK},${TRICK}\n`);
    write('split.csv', `${TRICK},${TRICK}\n`);
    write('config.json', JSON.stringify({ [TRICK]: 1, batch: TRICK }));
    write('study.json', JSON.stringify({ tiles: TRICK, [TRICK]: TRICK }));
    write('broken.json', `{"a": ${TRICK}}`);
    const header = `ObjectType = Image\nNDims = 3\nDimSize = 1 1 1\nModality = ${TRICK}\nComment = ${TRICK}\n${TRICK} = 1\n`;
    write('scan.mhd', `${header}ElementType = MET_SHORT\nElementDataFile = scan.raw\n`);
    write('typeless.mhd', `${header}ElementType = ${TRICK}\nElementDataFile = scan.raw\n`);
    write(`${TRICK}.nii`, 'no scan');
    mkdirSync(at('store'));
    const manifest = JSON.parse(readFileSync(at('tiles/manifest.json'), 'utf8'));
    write('store/manifest.json', JSON.stringify({ ...manifest, createdBy: TRICK, [TRICK]: TRICK }));
  });

  test.each([
    ['names of tensors', 'inspect names.safetensors'],
    ['names of another checkpoint', 'inspect other.safetensors'],
    ['names in a model', 'inspect names.onnx'],
    ['names in an archive', 'inspect names.npz', 'unseen'],
    ['names in weights', 'pretrain --data tiles --out x --set whole=16x8x8 --init names.npz'],
    ['an encoder', 'embed --model names.onnx --input tiles --out x.npy', 'unseen'],
    ['a table', 'evaluate --prediction table.csv --reference labels.csv', 'unseen'],
    ['labels', 'evaluate --prediction labels.csv --reference labels.csv', 'unseen'],
    ['a table of samples', 'prepare --task manifest --input table.csv --out x', 'unseen'],
    ['a split', 'prepare --input scan.mhd --out x --split split.csv'],
    ['an archive of samples', 'prepare --task medmnist --input names.npz --out x'],
    ['a configuration', 'graph --config config.json'],
    ['a study', 'experiment table1 --config study.json --out x'],
    ['broken JSON', 'experiment table1 --config broken.json --out x'],
    ['a header', 'inspect scan.mhd'],
    ['a header that is wrong', 'inspect typeless.mhd'],
    ['a name of a file', `prepare --input ${TRICK}.nii --out x`],
    ['a manifest', 'inspect store'],
    ['a configuration of a run', 'inspect run-tensor'],
    ['metrics', 'report --run run-metrics'],
    ['a training state', 'export --run run-state --out x', 'unseen'],
    ['an option', `pretrain --out x --steps ${TRICK}`],
    ['a choice', `graph --preset ${TRICK}`],
    ['an option that there is not', `graph --${TRICK}`],
  ])('%s', async (_, line, unseen = 'spelt out') => {
    for (const more of [[], ['--json']]) {
      const result = await p2wHere([...line.split(' '), ...more], folder);
      expect(result.stdout + result.stderr).not.toMatch(RAW);
      // What is not shown at all cannot do harm either.
      if (unseen !== 'unseen') expect(result.stdout + result.stderr).toContain('\\u001b[31m');
      expect(result.stderr).not.toContain('internal error');
      if (more.length > 0) expect(lastJson(result)).toBeInstanceOf(Object);
    }
  });
});
