import type { TestContext } from 'vitest';
import type { Native } from '../../graphs/forms/form.js';
import { nodeEngine } from '../../src/runtime/node.js';
import { nativeLayout } from '../../src/train/native.js';

/** The blocked layout of ONNX Runtime on this processor. */
export const offered: Native | null = await nativeLayout(nodeEngine);

/** The same, for a test that needs it: where there is none, the test is reported as skipped, and why. */
export function needBlockedLayout(context: TestContext): Native {
  return (
    offered ?? context.skip('ONNX Runtime has no blocked layout on this processor: on x64 it needs AVX2')
  );
}
