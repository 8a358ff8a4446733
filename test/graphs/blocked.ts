import type { TestContext } from 'vitest';
import type { BlockedLayout } from '../../graphs/forms/layout.js';
import { blockedLayout } from '../../src/execution/blocked-layout.js';
import { nodeEngine } from '../../src/runtime/node.js';

/** The blocked layout of ONNX Runtime on this processor. */
export const offered: BlockedLayout | null = await blockedLayout(nodeEngine);

/** The same, for a test that needs it: where there is none, the test is reported as skipped, and why. */
export function needBlockedLayout(context: TestContext): BlockedLayout {
  return (
    offered ?? context.skip('ONNX Runtime has no blocked layout on this processor: on x64 it needs AVX2')
  );
}
