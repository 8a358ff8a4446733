import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { P2W } from '../commands/cli.js';
import { temporaryFolder } from '../data/store/tiles-sample.js';

const folder = temporaryFolder();

/** What is left in the folders for temporary and cached files by a command that runs a model. */
function leftBy(name: string, environment: Readonly<Record<string, string>>): string[] {
  const left = join(folder, name);
  mkdirSync(left);
  const { CI: _, ORT_DISABLE_TELEMETRY: __, ...others } = process.env;
  const env = { ...others, HOME: left, XDG_CACHE_HOME: left, TMPDIR: left, ...environment };
  execFileSync(process.execPath, [P2W, 'verify', 'models/chest/encoder.onnx'], { env });
  return readdirSync(left, { recursive: true, encoding: 'utf8' });
}

test('ONNX Runtime collects nothing to send, unless the user has asked for it', () => {
  expect(leftBy('usual', {})).toEqual([]);
  const isKnown = process.platform === 'linux' && process.arch === 'x64';
  if (isKnown)
    expect(leftBy('asked for', { ORT_DISABLE_TELEMETRY: '0' }).join()).toMatch(/deviceid|mat-debug/);
});
