import { test } from 'vitest';
import { expectAgreement } from './engines.js';

test('50 steps of every engine agree to 1e-4', () => expectAgreement('bench engines --steps 50', 50));
