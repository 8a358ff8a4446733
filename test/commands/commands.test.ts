import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';
import { lastJson, p2w } from './cli.js';
import { p2wHere } from './here.js';

const ROOT = new URL('../..', import.meta.url).pathname;
const folder = temporaryFolder();

const COMMANDS = [
  'demo',
  'phantom',
  'prepare',
  'pretrain',
  'export',
  'segment',
  'classify',
  'embed',
  'index',
  'query',
  'reconstruct',
  'serve',
  'evaluate',
  'report',
  'graph',
  'inspect',
  'doctor',
  'bench',
  'finetune',
  'analyze',
  'experiment',
  'artifacts',
  'average',
];

describe('p2w', () => {
  test('lists all commands', async () => {
    const { code, stdout } = await p2w(['--help']);
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`p2w ${name}`));
  });

  test.each(COMMANDS)('%s --help shows options and examples', async (name) => {
    const { code, stdout } = await p2wHere([name, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('--json');
    expect(stdout).toContain('Examples:');
  });

  test.each([
    ['inspect', 'file'],
    ['average', 'runs'],
    ['bench', 'workload'],
    ['experiment', 'name'],
    ['artifacts', 'action'],
  ])('%s --help describes what it takes without a flag', async (name, positional) => {
    expect((await p2wHere([name, '--help'])).stdout).toMatch(
      new RegExp(`Positionals:\n +${positional} +\\w`),
    );
  });

  test.each([
    ['no command', [], /give a command/],
    ['an unknown command', ['preprae'], /unknown command: preprae\n.*prepare/],
    ['a flag in capitals', ['graph', '--SUMMARY'], /unknown option: --SUMMARY\n.*p2w graph --help/],
    ['a flag with one dash', ['graph', '-out', 'x'], /unknown option: -out/],
    ['a command like no other', ['xxxxxxxx'], /Unknown/],
    ['an unknown flag', ['graph', '--presett', 'tiny'], /unknown option: --presett/],
    [
      'a misspelt flag that is needed',
      ['pretrain', '--date', 'x', '--ouput', 'y'],
      /--date, --ouput\n.*p2w pretrain --help/,
    ],
    [
      'a folder with a model',
      ['embed', '--model', join(ROOT, 'models/chest'), '--input', '.', '--out', 'x/y.npy'],
      /this is a folder, not a model[\s\S]*give .*chest.encoder\.onnx/,
    ],
    [
      'what to load without a source',
      ['finetune', '--data', '.', '--out', 'x', '--load', 'decoder'],
      /--load cannot be used with random weights, of which nothing is loaded/,
    ],
    [
      'a network for a model',
      ['finetune', '--data', '.', '--out', 'x', '--init', 'y.onnx', '--set', 'network.width=3'],
      /--set network cannot be used with an ONNX model/,
    ],
    [
      'a format for a layout',
      ['phantom', '--task', 'ncc', '--out', 'x', '--scans', '1', '--format', 'mhd'],
      /--format cannot be used with --task/,
    ],
    ['tiles that are not there', ['pretrain', '--data', 'y', '--out', 'x'], /no such folder of tiles/],
    ['a missing flag', ['pretrain', '--data', 'x'], /out/],
    ['an unknown preset', ['graph', '--preset', 'huge'], /huge[\s\S]*tiny/],
    ['a bad size', ['prepare', '--input', '.', '--out', 'x', '--size', '64x64'], /x×y×z/],
    [
      'text for a number',
      ['pretrain', '--data', '.', '--out', 'x', '--steps', 'many'],
      /--steps: .*a number[\s\S]*got: +many/,
    ],
    [
      'a number without its digits',
      ['prepare', '--input', '.', '--out', 'x', '--valFraction', 'a half'],
      /got: +a half/,
    ],
    ['a negated value', ['pretrain', '--data', '.', '--no-out'], /--out: .*a value/],
    [
      'a value for a switch',
      ['pretrain', '--out', 'x', '--resume=maybe'],
      /--resume: .*no value[\s\S]*maybe/,
    ],
    ['a part of a value', ['pretrain', '--out.x', 'x'], /--out: .*a value/],
    ['an option without its value', ['pretrain', '--data', '', '--out', 'x'], /--data: .*a value/],
    ['a number that is left out', ['pretrain', '--data', '.', '--out', 'x', '--steps'], /--steps: .*a value/],
    ['one option twice', ['graph', '--preset', 'tiny', '--preset', 'small'], /--preset: .*one value/],
    [
      'an experiment in no process',
      ['experiment', 'fig2', '--config', 'x', '--out', 'x', '--processes', '0'],
      /--processes: this must be an integer of at least 1/,
    ],
    [
      'a share above all',
      ['prepare', '--input', '.', '--out', 'x', '--val-fraction', '2'],
      /valFraction: expected at most 1, got 2/,
    ],
    [
      'shares of patients above all',
      ['prepare', '--task', 'manifest', '--input', '.', '--out', 'x', '--test-fraction', '0.9'],
      /more than all patients[\s\S]*0\.2 and 0\.9/,
    ],
    [
      'steps of a constant rate',
      ['artifacts', '--out', 'x', '--steps', '5'],
      /--steps cannot be used with a constant learning rate/,
    ],
    [
      'options for writing, to import',
      ['artifacts', 'import', '--artifacts', 'y', '--out', 'x', '--classes', 'a,b', '--schedule', 'linear'],
      /--classes and --schedule cannot be used with `artifacts import`/,
    ],
    [
      'an option for import, to write',
      ['artifacts', '--out', 'x', '--checkpoint', 'y'],
      /--checkpoint cannot be used with `artifacts write`/,
    ],
    [
      'a part of a thread',
      ['embed', '--model', 'y', '--input', '.', '--out', 'x/y.npy', '--threads', '1.5'],
      /not a number of threads[\s\S]*1\.5/,
    ],
    ['a tile of no size', ['graph', '--tile', 'abc'], /--tile: a size must be three positive integers/],
    [
      'a network that no file can hold',
      ['graph', '--what', 'encoder', '--set', 'network.width=100000'],
      /do not fit into an ONNX file[\s\S]*width 100000/,
    ],
    ['an unknown configuration key', ['graph', '--set', 'network.depth=3'], /depth/],
    [
      'an input that is not there',
      ['prepare', '--input', '/no/such/scan.mhd', '--out', 'x'],
      /no\/such\/scan\.mhd/,
    ],
    ['a run that is not there', ['export', '--run', '/no/such/run', '--out', 'x'], /does not contain a run/],
  ])('%s is one clear message on stderr, and an exit code', async (_, args, message) => {
    const { code, stdout, stderr } = await p2wHere(args, folder);
    expect([1, 2]).toContain(code);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at |internal error/);
    expect(existsSync(join(folder, 'x'))).toBe(false);
  });

  test('a command is told from the options before it', async () => {
    expect((await p2wHere(['--json', 'preprae'])).stderr).toContain('unknown command: preprae');
    expect((await p2wHere(['--json', 'graph', '--foo'])).stderr).toContain('see p2w graph --help');
  });

  test('an error ends the built command line with its code; --json gives it as an object too', async () => {
    const result = await p2w(['export', '--run', '/no/such/run', '--out', 'x', '--json'], folder);
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('does not contain a run') });
    expect(lastJson(result).error).toMatchObject({ kind: 'run', where: '/no/such/run' });
  });
});

describe('p2w graph', () => {
  test('prints layers, parameters, FLOPs and activation bytes', async () => {
    const { code, stdout } = await p2wHere([
      'graph',
      '--preset',
      'paper',
      '--what',
      'eval',
      '--summary',
      '--set',
      'batch=1',
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain('13,997,825 trainable parameters');
    expect(stdout).toMatch(/decoder\.0\.2 +\[1,64,64,128,128\] +\d+\.?\d* GFLOP/);
    expect(stdout).toMatch(/forms of UpsampleConv on this machine, by preference: \w+ ×3/);
  });

  test('switches all faster forms off when asked to', async () => {
    const result = await p2wHere(['graph', '--set', 'forms=plain', '--json']);
    expect(lastJson(result).forms).toMatchObject({ Conv: { plain: 12 }, UpsampleConv: { plain: 3 } });
  });

  test('counts the work of the paper’s network as the method does: 743.9 GMAC forward', async () => {
    const result = await p2wHere(['graph', '--preset', 'paper', '--what', 'eval', '--json']);
    expect(lastJson(result).summary.flops / 2e9).toBeCloseTo(744.7, 0);
  });

  test('overwrites a graph of its own, but nothing else', async () => {
    const out = join(folder, 'again.onnx');
    const graph = (...more: string[]) => p2wHere(['graph', '--out', out, '--json', ...more]);
    for (const what of ['eval', 'encoder']) expect((await graph('--what', what)).code).toBe(0);
    const model = ['--model', out, '--what', 'eval', '--loss', 'meanSquaredError', '--output', 'features'];
    expect((await graph(...model)).stderr).toContain('would overwrite the model');
    copyFileSync(join(ROOT, 'models/chest/encoder.onnx'), out);
    expect((await graph()).stderr).toContain('this file is no result of this command');
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    const { stderr } = await p2wHere(['graph', '--out', join(folder, 'notes.txt')]);
    expect(stderr).toContain('the file extension sets the format of the results');
  });

  test('writes a gradient model that takes every parameter and returns every gradient', async () => {
    const out = join(folder, 'gradient.onnx');
    const result = await p2wHere(['graph', '--preset', 'tiny', '--what', 'gradient', '--out', out, '--json']);
    expect(result.code).toBe(0);
    const { graph } = decodeModel(readFileSync(out));
    // Whatever this machine would use, the file runs everywhere.
    expect([...new Set(graph.nodes.map((node) => node.domain))]).toEqual(['']);
    const trainable = graph.inputs
      .map((v) => v.name)
      .filter((name) => /weight|bias/.test(name) && !/running/.test(name));
    const gradients = graph.outputs.map((v) => v.name).filter((name) => name.startsWith('gradient:'));
    expect(gradients.sort()).toEqual(trainable.map((name) => `gradient:${name}`).sort());
    expect(gradients).toHaveLength(58);
  });
});

test('p2w demo and p2w bench touch nothing of others', async () => {
  mkdirSync(join(folder, 'mine/run'), { recursive: true });
  const demo = await p2wHere(['demo', '--out', join(folder, 'mine')]);
  expect(demo.stderr).toContain('was not made by `p2w demo`');
  expect(existsSync(join(folder, 'mine/run'))).toBe(true);
  const chart = join(folder, 'chart.svg');
  writeFileSync(chart, '<svg>mine</svg>');
  for (const [out, message] of [
    [chart, 'this file is no result of this command'],
    [join(folder, 'mine'), 'this is a folder, not a file'],
  ] as const) {
    const { stderr, code } = await p2wHere(['bench', 'data', '--rounds', '1', '--out', out]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  }
});

test('p2w prepare fails when no scan could be used, and says why for each', async () => {
  const scan = join(folder, 'broken.nii');
  writeFileSync(scan, 'no scan');
  const { code, stdout } = await p2wHere([
    'prepare',
    '--input',
    scan,
    '--out',
    join(folder, 'no-tiles'),
    '--size',
    '16x16x16',
  ]);
  expect(code).toBe(1);
  expect(stdout).toMatch(/broken\.nii/);
});

test('p2w doctor proves the CPU by running a model', async () => {
  const result = await p2w(['doctor', '--json']);
  const report = lastJson(result);
  expect(result.code).toBe(0);
  expect(report.ok).toBe(true);
  expect(report.providers).toContainEqual({ name: 'cpu', usable: true, problem: null, missing: [] });
  expect(report.machine.onnxruntime).toMatch(/^\d+\.\d+\.\d+/);
});

describe('p2w inspect', () => {
  test('shows a model', async () => {
    const out = join(folder, 'encoder.onnx');
    await p2wHere(['graph', '--what', 'encoder', '--out', out]);
    const { stdout } = await p2wHere(['inspect', out]);
    expect(stdout).toContain('hu: float32 [N,D,H,W]');
    expect(stdout).toContain('features: float32 [N,128]');
  });

  test.each(['model.onnx', 'weights.safetensors', 'scan.nii', 'scan.mhd', 'array.npy'])(
    'refuses a damaged %s in words',
    async (name) => {
      writeFileSync(join(folder, name), 'not what the name says');
      const { code, stderr } = await p2wHere(['inspect', join(folder, name)]);
      expect(code).toBe(1);
      expect(stderr).not.toContain('internal error');
    },
  );
});
