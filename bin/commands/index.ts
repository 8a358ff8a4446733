import { analyze } from './analyze.js';
import { artifacts } from './artifacts.js';
import { average } from './average.js';
import { bench } from './bench.js';
import { demo } from './demo.js';
import { doctor } from './doctor.js';
import { embed } from './embed.js';
import { evaluate } from './evaluate.js';
import { experiment } from './experiment.js';
import { exportCommand } from './export.js';
import { finetune } from './finetune.js';
import { graph } from './graph.js';
import { inspect } from './inspect.js';
import { phantom } from './phantom.js';
import { prepare } from './prepare.js';
import { pretrain } from './pretrain.js';
import { report } from './report.js';

/** All subcommands, in the order in which a newcomer needs them. */
export const commands = [
  demo,
  phantom,
  prepare,
  pretrain,
  finetune,
  exportCommand,
  embed,
  evaluate,
  analyze,
  report,
  experiment,
  average,
  artifacts,
  graph,
  inspect,
  doctor,
  bench,
];
