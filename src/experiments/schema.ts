/** What an experiment's configuration file says. */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { parseConfig } from '../config/layers.js';
import { PRESET_NAMES } from '../config/pretraining.js';
import { fromSystemError, UserError } from '../errors.js';
import { PAPER_TASKS } from './paper.js';

export const EXPERIMENTS = ['table1', 'table2', 'fig2', 'fig3'] as const;
export type ExperimentName = (typeof EXPERIMENTS)[number];

const settings = z.array(z.string().regex(/^[^=]+=/, 'written key=value')).default([]);
/** The preset has a key of its own, as all pre-trainings share it. */
const pretraining = settings.refine((all) => !all.some((setting) => /^preset\s*=/.test(setting)), {
  error: 'the preset is "preset" of the experiment',
});
const names = z.string().regex(/^[^/\\]+$/, 'a name without slashes');

/** Where a network's first weights come from. */
const sourceShape = z.strictObject({
  name: names,
  /** Settings of a pre-training; null begins at random, or from `init`. Sources with the same tiles and settings share one. */
  pretrain: pretraining.nullable(),
  /** What `finetune --init` takes, instead of a pre-training: a file of weights, or an ONNX model of any other method. */
  init: z.string().min(1).optional(),
  /** Pre-trained on these tiles instead of the experiment's. */
  tiles: z.string().optional(),
  /** Which checkpoint of the pre-training: a step that it keeps, `best` or `last`. */
  checkpoint: z.union([z.int().min(0), z.enum(['best', 'last'])]).default('best'),
  /** Parts that are loaded into classifiers and segmenters. */
  load: z
    .strictObject({
      classification: z.string().default('encoder'),
      segmentation: z.string().default('encoder'),
    })
    .prefault({}),
});
const sourceSchema = sourceShape.refine(({ pretrain, init }) => pretrain === null || init === undefined, {
  error:
    'a source is pre-trained or begins from a file: not both: "pretrain" is null where there is an "init"',
});
export type Source = z.infer<typeof sourceSchema>;

/** How much of the training data is used: a share of the samples, or the samples of a number of patients. */
export type Amount = { readonly fraction: number } | { readonly patients: number };

const targetSchema = z.strictObject({
  name: names,
  /** The paper's task that this one stands for. */
  paper: z.enum(PAPER_TASKS).nullable().default(null),
  /** A sample store of `p2w prepare --task`. */
  data: z.string(),
  /** Of scores.json, a share of which more is better; `auc` or `iou_fg@0.5` without it. */
  metric: z
    .string()
    .refine((name) => !name.endsWith('_mm'), {
      error: 'distances are not shares, of which tables are: take surface_dice, for example',
    })
    .optional(),
  /** Classification: trains a classifier on the features of the encoders as they are, which are computed once. */
  probe: z.boolean().default(false),
  /** Shares of the training samples; all of them where neither these nor patients are given. */
  fractions: z.array(z.number().positive().max(1)).default([]),
  /** Numbers of training patients. */
  patients: z.array(z.int().positive()).default([]),
  /** Instead of the experiment's. */
  trials: z.int().min(1).optional(),
  /** Of the fine-tuning. */
  settings: settings.refine((all) => !all.some((setting) => /^(fraction|patients|seed)\s*=/.test(setting)), {
    error: 'amounts of data are "fractions" and "patients" of the target, and seeds "seed" and "trials"',
  }),
});
export type Target = z.infer<typeof targetSchema>;

/** What a target is trained with, from few to many labels as far as it can be told. */
export const amountsOf = ({ fractions, patients }: Target): readonly Amount[] => {
  const asked = [
    ...patients.map((count) => ({ patients: count })),
    ...fractions.map((f) => ({ fraction: f })),
  ];
  return asked.length > 0 ? asked : [{ fraction: 1 }];
};

/** A refinement that refuses an item with the name of an earlier one, if they clash. */
const refuseSameNames =
  <T extends { readonly name: string }>(message: string, clash: (a: T, b: T) => boolean) =>
  (items: readonly T[], context: z.RefinementCtx): void => {
    for (const [i, item] of items.entries())
      if (items.slice(0, i).some((other) => other.name === item.name && clash(other, item)))
        context.addIssue({ code: 'custom', path: [i, 'name'], message });
  };

/** All that targets of one name have in common: they differ in their amounts of data, and in how often each is trained. */
const keyOf = ({ data, metric, probe, settings, paper }: Target): string =>
  JSON.stringify([data, metric, probe, settings, paper]);

const experimentSchema = z.strictObject({
  /** A tile store of `p2w prepare`, to pre-train on; not needed where no source is pre-trained, or each has its own. */
  tiles: z.string().optional(),
  preset: z.enum(PRESET_NAMES as [string, ...string[]]).default('tiny'),
  /** Settings of every pre-training. */
  pretrain: pretraining,
  /** Of one name, they are one target with other amounts of its data. */
  targets: z
    .array(targetSchema)
    .superRefine(
      refuseSameNames<Target>(
        'another target has this name, with other data, settings, or another metric',
        (a, b) => keyOf(a) !== keyOf(b),
      ),
    )
    .default([]),
  /** Instead of the experiment's own. */
  sources: z
    .array(sourceSchema)
    .min(1)
    .superRefine(refuseSameNames<Source>('another source has this name', () => true))
    .optional(),
  /** Of Fig. 2: wholes in the maps, and parts of each. */
  maps: z.strictObject({ wholes: z.int().min(2), parts: z.int().min(2) }).default({ wholes: 10, parts: 200 }),
  /** Trainings of each source on each target, with the seeds `seed`, `seed` + 1, … */
  trials: z.int().min(1).default(10),
  seed: z.int().default(1),
  /** Threads of each training; others run beside it. */
  threads: z.int().min(0).default(1),
});
export type ExperimentConfig = z.infer<typeof experimentSchema>;

/** Reads an experiment's file; paths in it are from the working directory. @throws UserError naming each wrong key */
export function readExperiment(path: string): ExperimentConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fromSystemError(error, path);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new UserError('config', {
      what: 'this is not JSON',
      where: path,
      got: (cause as Error).message,
      cause,
    });
  }
  return parseConfig(experimentSchema, content, path, 'docs/experiments.md explains every key');
}
