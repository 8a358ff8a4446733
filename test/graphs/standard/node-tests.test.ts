import { describe, expect, test } from 'vitest';
import { nodeTests } from './cases.js';
import { check } from './check.js';
import { exclusionOf } from './exclusions.js';
import { operatorSection, writtenSection } from './features.js';

const named = (wanted: boolean) =>
  nodeTests
    .filter((nodeTest) => !exclusionOf(nodeTest) === wanted)
    .map((nodeTest) => [nodeTest.name, nodeTest] as const);

describe('the standard’s node tests', () => {
  test.each(named(true))('%s: shapes, values and gradients are right', async (_, nodeTest) => {
    expect(await check(nodeTest)).toBeNull();
  });

  test.each(named(false))('%s is excluded because it fails', async (_, nodeTest) => {
    const outcome = await check(nodeTest).catch((error: Error) => error.message);
    expect(outcome).not.toBeNull();
  });

  test('FEATURES.md says what is passed: npx tsx test/graphs/standard/features.ts writes it', () => {
    expect(writtenSection()).toBe(operatorSection());
  });
});
