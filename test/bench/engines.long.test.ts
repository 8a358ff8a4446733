import { test } from 'vitest';
import { hasChromium } from '../browser/chromium.js';
import { documented, expectAgreement } from './engines.js';

test('50 steps of every engine agree to 1e-4', () =>
  expectAgreement('bench engines --steps 50', 50, hasChromium));

test.skipIf(!hasChromium)('so do three of the command of docs/runtimes.md, in a browser too', () =>
  expectAgreement(documented, 3, true),
);
