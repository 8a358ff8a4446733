import type { Loaded } from '../command.js';

/** A command as the list shows it. Its options, and all that it works with, are loaded when it is called. */
interface Listed {
  /** Name, then positional arguments as yargs writes them. */
  readonly usage: string;
  readonly describe: string;
  readonly load: () => Promise<{ readonly default: Loaded }>;
}

/** All subcommands, in the order in which a newcomer needs them. */
export const commands: readonly Listed[] = [
  {
    usage: 'demo',
    describe:
      'Run every stage on generated data: phantom scans, tiles, pre-training, export, features, report',
    load: () => import('./demo.js'),
  },
  {
    usage: 'phantom',
    describe: 'Generate phantom chest CTs with ground truth',
    load: () => import('./phantom.js'),
  },
  {
    usage: 'prepare',
    describe: 'Cut scans into tiles for pre-training, or labelled data into samples of a target task',
    load: () => import('./prepare.js'),
  },
  {
    usage: 'pretrain',
    describe: 'Pre-train an encoder on tiles, or resume a run',
    load: () => import('./pretrain.js'),
  },
  {
    usage: 'finetune',
    describe: 'Train and test a network for a target task, from random or pre-trained weights',
    load: () => import('./finetune.js'),
  },
  {
    usage: 'export',
    describe: 'Export a trained encoder, classifier or segmenter as a portable ONNX model',
    load: () => import('./export.js'),
  },
  {
    usage: 'verify <model>',
    describe: 'Run the self-test of an exported model on this machine: yes or no',
    load: () => import('./verify.js'),
  },
  {
    usage: 'segment',
    describe: 'Segment whole scans: masks on their own grids, and volumes of classes',
    load: () => import('./segment.js'),
  },
  {
    usage: 'classify',
    describe: 'Classify whole scans, or every window of them',
    load: () => import('./classify.js'),
  },
  {
    usage: 'embed',
    describe: 'Compute feature vectors of scans or tiles',
    load: () => import('./embed.js'),
  },
  {
    usage: 'merge <parts..>',
    describe: 'Join feature vectors and tables that were made of different scans',
    load: () => import('./merge.js'),
  },
  {
    usage: 'index',
    describe: 'Make an index of feature vectors, to find similar scans or regions',
    load: () => import('./make-index.js'),
  },
  {
    usage: 'query',
    describe: 'Find the scans or regions of an index that are most like a scan or a box of it',
    load: () => import('./query.js'),
  },
  {
    usage: 'reconstruct',
    describe: 'Show what an autoencoder makes of whole scans',
    load: () => import('./reconstruct.js'),
  },
  {
    usage: 'serve',
    describe: 'Serve models over HTTP: masks, classes, features and reconstructions of scans',
    load: () => import('./serve.js'),
  },
  {
    usage: 'evaluate',
    describe: 'Evaluate masks, scores or detections from any model against a reference',
    load: () => import('./evaluate.js'),
  },
  {
    usage: 'analyze',
    describe: 'Analyse the features of encoders: maps of parts, cosine similarity, contrastive loss',
    load: () => import('./analyze.js'),
  },
  {
    usage: 'report',
    describe: 'Analyse a run’s checkpoints and write report.html',
    load: () => import('./report.js'),
  },
  {
    usage: 'experiment <name>',
    describe: 'Run an experiment of the paper on your own data: table1, table2, fig2, fig3',
    load: () => import('./experiment.js'),
  },
  {
    usage: 'average <runs..>',
    describe: 'Average the weights of runs from several sites, without sharing scans',
    load: () => import('./average.js'),
  },
  {
    usage: 'artifacts [action]',
    describe:
      'Write the files for ONNX Runtime’s on-device training, or import a checkpoint trained with them',
    load: () => import('./artifacts.js'),
  },
  {
    usage: 'graph',
    describe: 'Build a graph and print its cost, or write it as an ONNX model',
    load: () => import('./graph.js'),
  },
  {
    usage: 'inspect <file>',
    describe: 'Show what a scan, tile store, run, checkpoint or ONNX model contains',
    load: () => import('./inspect.js'),
  },
  {
    usage: 'doctor',
    describe: 'Check what this machine supports and what is missing',
    load: () => import('./doctor.js'),
  },
  {
    usage: 'bench <workload>',
    describe: 'Benchmark this package against others, in turns on this machine',
    load: () => import('./bench.js'),
  },
];
