import { test } from 'vitest';
import { documented, expectAgreement, installed } from './engines.js';

test('50 steps of every engine agree to 1e-4', () =>
  expectAgreement('bench engines --steps 50', 50, installed));

test.skipIf(!installed)('so do three of the command of docs/runtimes.md, in a browser too', () =>
  expectAgreement(documented, 3, installed),
);
