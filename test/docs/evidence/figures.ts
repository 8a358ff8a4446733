/** The figures of docs/evidence.md and docs/evidence/details.md. */
import type { Axis } from '../../../src/report/axes.js';
import { type Curve, figureOf, type Look } from './drawing.js';
import {
  ADRENAL_SHAPES,
  checkpointsFor,
  fineTuned,
  groupsFor,
  IN_DOMAIN,
  shown,
  sourcesOf,
  TASKS,
  withoutDraws,
} from './results.js';

const [GREY, BLUE, GREEN] = ['#4a545e', '#0a66a8', '#2e7d32'];
const LOOKS: Readonly<Record<string, Look>> = {
  untrained: { colour: GREY, dashes: '6 4' },
  Parts2Whole: { colour: BLUE },
  'Parts2Whole, 1000 steps': { colour: '#3d9be0', dashes: '7 3' },
  'Models Genesis, 1000 steps': { colour: '#c4560a', dashes: '7 3' },
  [IN_DOMAIN]: { colour: GREEN },
  [ADRENAL_SHAPES]: { colour: GREEN },
  'raw intensities': { colour: '#8e3a9d', dashes: '2 3' },
};
const BY_LABELS: Axis = { label: 'Training patients', scale: 'log' };
const BY_STEPS: Axis = { label: 'Steps of pre-training', scale: 'linear' };

/** Linear probes of all sources of an experiment. */
function probeCurves(experiment: string, task: string): Curve[] {
  const probes = withoutDraws(experiment, task);
  return sourcesOf(probes).map((source) => ({
    name: shown(source),
    look: LOOKS[source]!,
    points: probes
      .filter((group) => group.source === source)
      .sort((a, b) => a.trainingPatients - b.trainingPatients)
      .map((group) => ({ x: group.trainingPatients, group })),
  }));
}

/** The networks that were fine-tuned, as points. */
const tunedCurves = (task: string): Curve[] =>
  fineTuned(task).map((group, i) => ({
    name: group.source,
    look: { colour: [GREY, BLUE, GREEN][i]!, hollow: true },
    points: [{ x: group.trainingPatients, group }],
  }));

/** Of probes along the pre-training on the CT pool, for each number of patients. */
function stepCurves(task: string): Curve[] {
  const groups = groupsFor('steps', task).filter(({ source }) => /^\d+ steps$/.test(source));
  const dashes: Readonly<Record<number, string>> = { 16: '2 3', 64: '7 3', 244: 'none' };
  return [...new Set(groups.map(({ trainingPatients }) => trainingPatients))].map((patients) => ({
    name: `${patients} patients`,
    look: { colour: BLUE, dashes: dashes[patients]! },
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

/** Scores against the number of labels. */
export const mainFigure = (): string =>
  figureOf('AUC against the number of training patients', [
    TASKS.map((task) => ({
      title: `${task}: AUC of linear probes`,
      x: BY_LABELS,
      curves: [...probeCurves('probes', task), ...tunedCurves(task)],
    })),
  ]);

/** Another organ, and scores against the steps of pre-training and the error of reconstruction. */
export const detailFigure = (): string =>
  figureOf('AUC of another organ, during pre-training, and against the error of reconstruction', [
    [
      {
        title: 'adrenal glands: AUC of linear probes',
        x: BY_LABELS,
        curves: probeCurves('adrenal-again', 'adrenal'),
      },
    ],
    TASKS.map((task) => ({
      title: `${task}: AUC during pre-training`,
      x: BY_STEPS,
      curves: stepCurves(task),
    })),
    TASKS.map((task) => ({
      title: `${task}: AUC against reconstruction`,
      x: BY_ERROR,
      curves: checkpointCurves(task),
    })),
  ]);
