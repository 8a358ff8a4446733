/** The figures of docs/evidence.md and docs/evidence/details.md. */
import type { Group } from '../../../src/experiments/statistics.js';
import type { Axis } from '../../../src/report/axes.js';
import { type Curve, figureOf, type Look } from './drawing.js';
import {
  ADRENAL_SHAPES,
  checkpointsFor,
  fineTuned,
  groupsFor,
  IN_DOMAIN,
  inDomain,
  shown,
  sourcesOf,
  TASKS,
  withoutDraws,
} from './results.js';

const [GREY, BLUE, GREEN, ORANGE] = ['#4a545e', '#0a66a8', '#2e7d32', '#c4560a'];
const LOOKS: Readonly<Record<string, Look>> = {
  untrained: { colour: GREY, dashes: '6 4' },
  Parts2Whole: { colour: BLUE },
  'Parts2Whole, 1000 steps': { colour: '#3d9be0', dashes: '7 3' },
  'Models Genesis, 1000 steps': { colour: ORANGE, dashes: '7 3' },
  [IN_DOMAIN]: { colour: GREEN },
  [ADRENAL_SHAPES]: { colour: GREEN },
  'Parts2Whole, nodule crops': { colour: GREEN },
  'Models Genesis, nodule crops': { colour: ORANGE, dashes: '7 3' },
  'Parts2Whole, nodule crops, 0.003': { colour: '#7cb342', dashes: '7 3' },
  'Models Genesis, nodule crops, 0.003': { colour: '#e0a13d', dashes: '1 3' },
  'raw intensities': { colour: '#8e3a9d', dashes: '2 3' },
  'random, fine-tuned': { colour: GREY, dashes: '6 4', hollow: true },
  'Parts2Whole, CT pool, fine-tuned': { colour: BLUE, hollow: true },
  'Parts2Whole, nodule crops, fine-tuned': { colour: GREEN, hollow: true },
  'Parts2Whole, nodule crops, 1000 steps, fine-tuned': { colour: GREEN, hollow: true },
};
const BY_LABELS: Axis = { label: 'Training patients', scale: 'log' };
const BY_STEPS: Axis = { label: 'Steps of pre-training', scale: 'linear' };

/** A curve a source, against the number of patients. */
const labelCurves = (groups: readonly Group[]): Curve[] =>
  sourcesOf(groups).map((source) => ({
    name: shown(source),
    look: LOOKS[source]!,
    points: groups
      .filter((group) => group.source === source)
      .sort((a, b) => a.trainingPatients - b.trainingPatients)
      .map((group) => ({ x: group.trainingPatients, group })),
  }));

const DASHES: Readonly<Record<number, string>> = { 8: '1 4', 16: '2 3', 64: '7 3', 244: 'none' };

/** Of probes along a pre-training, for each number of patients. */
function stepCurves(experiment: string, task: string, images: string, colour: string): Curve[] {
  const groups = groupsFor(experiment, task).filter(({ source }) => /^\d+ steps$/.test(source));
  return [...new Set(groups.map(({ trainingPatients }) => trainingPatients))].map((patients) => ({
    name: `${images}, ${patients} patients`,
    look: { colour, dashes: DASHES[patients]! },
    points: groups
      .filter((group) => group.trainingPatients === patients)
      .map((group) => ({ x: Number.parseInt(group.source, 10), group })),
  }));
}

/** A dot a checkpoint. */
const checkpointCurves = (task: string): Curve[] => [
  {
    name: 'checkpoints of a pre-training on nodule crops',
    look: { colour: GREEN, scattered: true },
    points: checkpointsFor(task).map(({ validationMse, group }) => ({ x: 1 - validationMse, group })),
  },
];
const BY_ERROR: Axis = { label: '1 − validation MSE', scale: 'linear' };

/** Scores against the number of labels, in the domain. */
export const mainFigure = (): string =>
  figureOf('AUC against the number of training patients', [
    TASKS.map((task) => ({
      title: `${task}: AUC`,
      x: BY_LABELS,
      curves: labelCurves(inDomain(task)),
    })),
  ]);

/** Other images, another organ, and scores against the steps of pre-training and the error of reconstruction. */
export const detailFigure = (): string =>
  figureOf('AUC of other sources, during pre-training, and against the error of reconstruction', [
    TASKS.map((task) => ({
      title: `${task}: AUC of linear probes`,
      x: BY_LABELS,
      curves: labelCurves([...withoutDraws('probes', task), ...fineTuned(task)]),
    })),
    [
      {
        title: 'adrenal glands: AUC of linear probes',
        x: BY_LABELS,
        curves: labelCurves(withoutDraws('adrenal-again', 'adrenal')),
      },
    ],
    TASKS.map((task) => ({
      title: `${task}: AUC during pre-training`,
      x: BY_STEPS,
      curves: [
        ...stepCurves('steps-in-domain', task, 'nodule crops', GREEN),
        ...stepCurves('steps', task, 'CT pool', BLUE),
      ],
    })),
    TASKS.map((task) => ({
      title: `${task}: AUC against reconstruction`,
      x: BY_ERROR,
      curves: checkpointCurves(task),
    })),
  ]);
