import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { formatDuration, startProgress } from '../src/terminal-progress.js';

let stderr: string[];
const terminal = Object.getOwnPropertyDescriptor(process.stderr, 'isTTY');
const setTerminal = (isTTY: boolean) =>
  Object.defineProperty(process.stderr, 'isTTY', { value: isTTY, configurable: true });

beforeEach(() => {
  vi.useFakeTimers();
  stderr = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => stderr.push(String(text)) > 0);
  vi.spyOn(process.stdout, 'write');
  setTerminal(false);
});
afterEach(() => {
  expect(process.stdout.write).not.toHaveBeenCalled();
  vi.restoreAllMocks();
  vi.useRealTimers();
  if (terminal) Object.defineProperty(process.stderr, 'isTTY', terminal);
  else Reflect.deleteProperty(process.stderr, 'isTTY');
});

/** Does units from..to, each taking so many milliseconds. */
function work(progress: ReturnType<typeof startProgress>, from: number, to: number, ms: number): void {
  for (let done = from; done <= to; done++) {
    vi.advanceTimersByTime(ms);
    progress.update(done, { loss: '0.0312' });
  }
}

test('without a terminal: a line first, every ten seconds, and last', () => {
  const progress = startProgress({ label: 'pretrain', total: 100, unit: 'steps' });
  work(progress, 1, 100, 250);
  progress.stop();
  expect(stderr).toEqual([
    'pretrain  1/100 steps  1 %  4.0 steps/s  25 s left  loss 0.0312\n',
    'pretrain  41/100 steps  41 %  4.0 steps/s  15 s left  loss 0.0312\n',
    'pretrain  81/100 steps  81 %  4.0 steps/s  5 s left  loss 0.0312\n',
    'pretrain  100/100 steps  100 %  4.0 steps/s  loss 0.0312\n',
  ]);
});

test('the rate is that of the last half minute', () => {
  const progress = startProgress({ label: 'pretrain', total: 10_000, unit: 'steps' });
  work(progress, 1, 100, 3000);
  expect(stderr.at(-1)).toContain('3.0 s/step');
  work(progress, 101, 500, 100);
  expect(stderr.at(-1)).toContain('10.0 steps/s  16 min left');
});

test('units that are slower than half a minute have a rate too', () => {
  const progress = startProgress({ label: 'report', total: 12, unit: 'checkpoints' });
  work(progress, 1, 3, 90_000);
  expect(stderr.at(-1)).toContain('3/12 checkpoints  25 %  90.0 s/checkpoint  14 min left');
});

test('what is told of a unit on its way changes neither its rate nor that of those before', () => {
  const progress = startProgress({ label: 'segment', total: 3, unit: 'scans' });
  for (let scan = 0; scan < 3; scan++)
    for (let window = 0; window < 60; window++) {
      vi.advanceTimersByTime(5000);
      progress.update(window < 59 ? scan : scan + 1, { windows: `${window + 1}/60` });
    }
  const rates = stderr.map((line) => /[\d.]+ s\/scan/.exec(line)?.[0]);
  expect(new Set(rates.slice(0, 29))).toEqual(new Set([undefined]));
  expect(new Set(rates.slice(30))).toEqual(new Set(['300.0 s/scan']));
  expect(stderr.find((line) => line.includes('1/3 scans'))).toContain('10 min left');
});

test('what was done before a resume does not count for the rate', () => {
  const progress = startProgress({ label: 'pretrain', total: 1000, unit: 'steps', start: 900 });
  work(progress, 901, 901, 1000);
  expect(stderr).toEqual(['pretrain  901/1000 steps  90 %  1.0 steps/s  2 min left  loss 0.0312\n']);
});

test('the total may be nothing', () => {
  const progress = startProgress({ label: 'prepare', total: 0, unit: 'scans' });
  progress.update(0);
  expect(stderr).toEqual(['prepare  0/0 scans\n']);
});

test('lines of their own are passed on', () => {
  startProgress({ label: 'x', total: 1, unit: 'steps' }).log('step 5: better');
  expect(stderr).toEqual(['step 5: better\n']);
});

test('on a terminal: a bar, lines above it, and nothing that a kill would leave switched off', () => {
  setTerminal(true);
  const progress = startProgress({ label: 'pretrain', total: 10, unit: 'steps' });
  work(progress, 1, 5, 1000);
  progress.log('step 5: better');
  work(progress, 6, 6, 1000);
  progress.stop();
  const shown = stderr.join('');
  expect(shown).toMatch(/pretrain █+░+ 6\/10 {2}60 % {2}1\.0 steps\/s {2}4 s left {2}loss 0\.0312/);
  expect(shown).toContain('\r\u001b[Kstep 5: better\n');
  // Cursor (?25) and line wrapping (?7) stay as they were.
  expect(shown).not.toContain('\u001b[?25l');
  expect(shown).not.toContain('\u001b[?7l');
  expect(vi.getTimerCount()).toBe(0);
});

/** The bars of ten units on a terminal of 40 columns. */
function narrowBars(label: string): string[] {
  setTerminal(true);
  const columns = Object.getOwnPropertyDescriptor(process.stderr, 'columns');
  Object.defineProperty(process.stderr, 'columns', { value: 40, configurable: true });
  work(startProgress({ label, total: 10, unit: 'steps' }), 1, 10, 1000);
  if (columns) Object.defineProperty(process.stderr, 'columns', columns);
  else Reflect.deleteProperty(process.stderr, 'columns');
  return stderr.map((text) => text.replace('\r\u001b[K', ''));
}

test('a bar stays on its line, however narrow the terminal is', () => {
  const lines = narrowBars('pretrain');
  expect(lines.at(-1)).toMatch(/^pretrain █{24} 10/);
  expect(Math.max(...lines.map((line) => line.length))).toBe(39);
});

test('a bar stays on its line, whatever letters and line ends are in its label', () => {
  expect(narrowBars('肺の断面\n1').at(-1)).toBe(`肺の断面 1 ${'█'.repeat(24)} 10/`);
});

test.each([
  [0.2, '1 s'],
  [89, '89 s'],
  [95, '2 min'],
  [5399, '90 min'],
  [5400, '1.5 h'],
  [Number.POSITIVE_INFINITY, '?'],
])('%d seconds read %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
