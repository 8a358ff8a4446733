import { blocked } from './blocked.js';
import { control } from './control.js';
import { elementwise } from './elementwise.js';
import { highLevel } from './high-level.js';
import { linear } from './linear.js';
import { onDevice } from './on-device.js';
import { quantisation } from './quantise.js';
import { betweenRanks } from './ranks.js';
import { reductions } from './reduce.js';
import { shaping } from './shape.js';
import { spatial } from './spatial.js';

const standard = {
  ...elementwise,
  ...shaping,
  ...reductions,
  ...linear,
  ...spatial,
  ...control,
  ...quantisation,
};

/** Every operator that a graph may be built from, by its ONNX name. */
export const operators = {
  ...standard,
  ...blocked,
  ...onDevice,
  ...betweenRanks,
  ...highLevel,
};

export type OperatorName = keyof typeof operators;
/** Operators of the ONNX standard. */
export type StandardName = Exclude<keyof typeof standard, 'FusedMatMul'>;
export type HighLevelName = keyof typeof highLevel;
export type AttributesOf<K extends OperatorName> = (typeof operators)[K]['attributes'];
