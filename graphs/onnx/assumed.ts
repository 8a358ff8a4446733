/**
 * Attributes of the standard that rules and forms do not know, each at the one value at which it changes nothing. Other
 * exporters write them out; with another value a node is refused.
 */
import type { OperatorName } from './ops/index.js';

interface Assumed {
  readonly holds: (value: unknown) => boolean;
  /** For messages. */
  readonly only: string;
}
export type AssumedAttributes = Readonly<Record<string, Assumed>>;

const only = (expected: number | string): Assumed => ({
  holds: (value) => value === expected,
  only: JSON.stringify(expected),
});
const ones: Assumed = { holds: (value) => (value as readonly number[]).every((v) => v === 1), only: 'all 1' };

const padding = { auto_pad: only('NOTSET') };
const reduction = { noop_with_empty_axes: only(0) };

export const ASSUMED: Readonly<Partial<Record<OperatorName, AssumedAttributes>>> = {
  Conv: padding,
  ConvTranspose: padding,
  MaxPool: { ...padding, ceil_mode: only(0), storage_order: only(0) },
  AveragePool: { ...padding, ceil_mode: only(0), dilations: ones },
  BlockedConv: padding,
  BlockedMaxPool: { ...padding, ceil_mode: only(0), dilations: ones, storage_order: only(0) },
  Cast: { saturate: only(1) },
  GatherND: { batch_dims: only(0) },
  FusedMatMul: { transBatchA: only(0), transBatchB: only(0) },
  ReduceSum: reduction,
  ReduceMean: reduction,
  ReduceLogSumExp: reduction,
  ReduceMax: reduction,
  ReduceMin: reduction,
  ReduceProd: reduction,
  ReduceSumSquare: reduction,
  Reshape: { allowzero: only(0) },
  Resize: {
    antialias: only(0),
    cubic_coeff_a: only(-0.75),
    exclude_outside: only(0),
    extrapolation_value: only(0),
    keep_aspect_ratio_policy: only('stretch'),
  },
};
