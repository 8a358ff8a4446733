import { dataWorkload } from './data.js';
import { dicomWorkload } from './dicom.js';
import { encoderWorkload } from './encoder.js';
import { prepareWorkload } from './prepare.js';
import { segmentWorkload } from './segment.js';
import { stepWorkload } from './step.js';
import type { Workload, WorkloadOptions } from './workload.js';

/** A kind of workload: the names of its baselines are known before anything is made for it. */
export interface WorkloadKind<Baseline extends string = string> {
  readonly baselines: readonly Baseline[];
  open(options: WorkloadOptions): Workload<Baseline> | Promise<Workload<Baseline>>;
}

const kind = <Baseline extends string>(
  open: WorkloadKind<Baseline>['open'],
  baselines: readonly Baseline[],
): WorkloadKind<Baseline> => ({ baselines, open });

/** Everything that can be timed. */
export const WORKLOADS = {
  step: kind(stepWorkload, ['torch', 'monai', 'onnxruntime-plain']),
  encoder: kind(encoderWorkload, ['torch', 'openvino', 'onnxruntime-plain']),
  data: kind(dataWorkload, ['torch', 'scipy', 'monai']),
  prepare: kind(prepareWorkload, ['nibabel', 'simpleitk']),
  segment: kind(segmentWorkload, ['monai', 'openvino']),
  dicom: kind(dicomWorkload, ['simpleitk']),
};

export type WorkloadName = keyof typeof WORKLOADS;
