/** The choice of forms for a whole graph by measured times, changes of layout between neighbours included. */
import { grouped } from '../onnx/grouped.js';
import type { OperatorName } from '../onnx/ops/index.js';
import { operatorOf } from '../onnx/registry.js';
import type { Graph, Value } from '../onnx/types.js';
import { needed, readsOf } from '../passes/needed.js';
import { callsOf } from './calls.js';
import type { Call } from './form.js';
import { type ChooseForm, candidatesFor, type FormedName, fastForms, hasForms } from './index.js';
import type { BlockedLayout, Layout } from './layout.js';
import { lower } from './lower.js';
import { conversionGraph, conversionKey, patternKey, type Trial, trialOf } from './trial.js';

/** The form of each pattern, by the pattern's key. */
export type FormTable = Readonly<Record<string, string>>;

/** Seconds of every form of every pattern, by key and name. */
export type FormTimes = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Calls of one operator on one set of shapes, or the changes of layout of one feature map, as graphs to be timed. */
export interface Pattern {
  readonly key: string;
  /** By the name of the form, the best known one first; by the new layout where it is changed. */
  readonly graphs: Readonly<Record<string, Graph>>;
}

/** A call with its place in a graph. */
interface Site {
  readonly key: string;
  readonly operator: FormedName;
  readonly call: Call<OperatorName>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

interface Surveyed {
  readonly sites: readonly Site[];
  /** Values that operators without forms read. */
  readonly read: readonly string[];
  readonly values: ReadonlyMap<string, Value>;
}

/** All that there is to choose in a graph. */
export interface Survey {
  /** What must be timed for it. */
  readonly patterns: readonly Pattern[];
  /** Forms of each call, the best known one first, by key. */
  readonly trials: ReadonlyMap<string, ReadonlyMap<string, Trial>>;
  /** Keys by the size of the feature map that they work on: such calls are likely to want one layout. */
  readonly sizes: ReadonlyMap<string, readonly string[]>;
  readonly graph: Surveyed;
}

function sitesOf(graph: Graph, blocked: BlockedLayout | null): Surveyed {
  const nodes = needed(graph);
  const callOf = callsOf((name) => graph.values.get(name)!, blocked);
  const sites: Site[] = [];
  const read: string[] = [];
  for (const node of nodes) {
    const operator = operatorOf(node);
    if (hasForms(operator)) {
      const call = callOf(node, operator);
      const key = patternKey(operator, call);
      sites.push({ key, operator, call, inputs: node.inputs, outputs: node.outputs });
    } else read.push(...readsOf(node));
  }
  return { sites, read, values: graph.values };
}

/** Finds the distinct calls of a graph that is not lowered yet, with the forms that could serve them. */
export function survey(graph: Graph, blocked: BlockedLayout | null): Survey {
  const surveyed = sitesOf(graph, blocked);
  const trials = new Map<string, ReadonlyMap<string, Trial>>();
  const sizes = new Map<string, string[]>();
  for (const { key, operator, call } of surveyed.sites) {
    if (trials.has(key)) continue;
    const names = candidatesFor(operator, call);
    trials.set(key, new Map(names.map((name) => [name, trialOf(operator, call, name)])));
    const size = call.inputs[0]!.shape.slice(2).join();
    sizes.set(size, [...(sizes.get(size) ?? []), key]);
  }
  const calls = [...trials]
    .filter(([, candidates]) => candidates.size > 1)
    .map(([key, candidates]) => {
      const graphs = [...candidates].map(([name, { graph }]) => [name, graph] as const);
      return { key, graphs: Object.fromEntries(graphs) };
    });
  return { patterns: [...calls, ...conversions(surveyed, trials, blocked)], trials, sizes, graph: surveyed };
}

/** The changes of layout that some choice of forms needs. */
function conversions(
  { sites, read, values }: Surveyed,
  trials: Survey['trials'],
  blocked: BlockedLayout | null,
): Pattern[] {
  const made = new Map<string, Set<Layout>>();
  const wanted = new Map(read.map((name) => [name, new Set<Layout>(['plain'])]));
  const note = (map: Map<string, Set<Layout>>, name: string | undefined, layout: Layout | undefined) => {
    if (name && layout) map.set(name, (map.get(name) ?? new Set()).add(layout));
  };
  for (const { key, inputs, outputs } of sites) {
    for (const { takes, gives } of trials.get(key)!.values()) {
      for (const [i, layout] of takes.entries()) note(wanted, inputs[i], layout);
      for (const [i, layout] of gives.entries()) note(made, outputs[i], layout);
    }
  }
  const found = new Map<string, Record<string, Graph>>();
  for (const [name, layouts] of wanted) {
    const from = made.get(name) ?? new Set(['plain']);
    for (const to of layouts) {
      if (from.size === 1 && from.has(to)) continue;
      const value = values.get(name)!;
      const key = conversionKey(value);
      found.set(key, { ...found.get(key), [to]: conversionGraph(to, value, blocked!) });
    }
  }
  return [...found].map(([key, graphs]) => ({ key, graphs }));
}

/** Seconds of the calls with the forms of a table, and of the changes of layout between them. */
function secondsOf({ trials, graph }: Survey, table: ReadonlyMap<string, string>, times: FormTimes): number {
  const paired = new Set<string>();
  const changed = new Set<string>();
  const want = (name: string, layout: Layout) => {
    if (paired.has(name) !== (layout === 'slicePairs')) changed.add(name);
  };
  let total = 0;
  for (const { key, inputs, outputs } of graph.sites) {
    const name = table.get(key)!;
    const { takes, gives } = trials.get(key)!.get(name)!;
    total += times[key]?.[name] ?? 0;
    takes.forEach((layout, i) => {
      if (layout) want(inputs[i]!, layout);
    });
    gives.forEach((layout, i) => {
      if (layout === 'slicePairs') paired.add(outputs[i]!);
    });
  }
  for (const name of graph.read) want(name, 'plain');
  for (const name of changed)
    total += times[conversionKey(graph.values.get(name)!)]![paired.has(name) ? 'plain' : 'slicePairs']!;
  return total;
}

/** Another form must be this much faster than the best known one: less may be chance. */
const MARGIN = 1.1;

/**
 * The forms with which the graph takes the least time by `times`, which must hold every pattern of the survey: from
 * the best known forms and from those that are fastest by themselves, by changing one call, or all calls of one size
 * of feature map to one layout, for as long as that helps.
 */
export function chooseForms(found: Survey, times: FormTimes): FormTable {
  const { trials, sizes } = found;
  const open = [...trials].filter(([, candidates]) => candidates.size > 1);
  const weighed = Object.fromEntries(
    open.map(([key, candidates]) => {
      const seconds = [...candidates.keys()].map((name, i) => [
        name,
        times[key]![name]! * (i > 0 ? MARGIN : 1),
      ]);
      return [key, Object.fromEntries(seconds) as Record<string, number>];
    }),
  );
  const all: FormTimes = { ...times, ...weighed };
  /** The fastest form of a call, among those of one layout if it has any. */
  const fastest = (key: string, layout?: Layout): string => {
    const names = [...trials.get(key)!.keys()];
    const inLayout = names.filter((name) => layoutOf(trials.get(key)!.get(name)!) === layout);
    const list = inLayout.length > 0 ? inLayout : names;
    return list.reduce((best, name) => ((all[key]?.[name] ?? 0) < (all[key]?.[best] ?? 0) ? name : best));
  };
  const moves: ReadonlyMap<string, string>[] = [
    ...open.flatMap(([key, candidates]) => [...candidates.keys()].map((name) => new Map([[key, name]]))),
    ...[...sizes.values()].flatMap((keys) =>
      (['plain', 'slicePairs'] as const).map(
        (layout) => new Map(keys.map((key) => [key, fastest(key, layout)])),
      ),
    ),
  ];
  const improved = (start: ReadonlyMap<string, string>) => {
    let best = { table: start, seconds: secondsOf(found, start, all) };
    for (let before = Number.POSITIVE_INFINITY; best.seconds < before; ) {
      before = best.seconds;
      for (const move of moves) {
        const table = new Map([...best.table, ...move]);
        const seconds = secondsOf(found, table, all);
        if (seconds < best.seconds) best = { table, seconds };
      }
    }
    return best;
  };
  const known = new Map([...trials].map(([key, candidates]) => [key, [...candidates.keys()][0]!]));
  const alone = new Map([...trials.keys()].map((key) => [key, fastest(key)]));
  const [a, b] = [improved(known), improved(alone)];
  const { table } = b.seconds < a.seconds ? b : a;
  return Object.fromEntries(open.map(([key]) => [key, table.get(key)!]));
}

const layoutOf = ({ takes, gives }: Trial): Layout =>
  takes.includes('slicePairs') || gives.includes('slicePairs') ? 'slicePairs' : 'plain';

/**
 * A choice made for one graph, for a graph of the same nodes with other sizes; calls that the chosen form cannot serve
 * there are left out.
 */
export function transferForms(
  table: FormTable,
  [from, to]: readonly [from: Graph, to: Graph],
  blocked: BlockedLayout | null,
): FormTable {
  const known = sitesOf(from, blocked).sites;
  const pairs = sitesOf(to, blocked).sites.flatMap(({ key, operator, call }, i) => {
    const name = table[known[i]!.key];
    return name !== undefined && candidatesFor(operator, call).includes(name) ? [[key, name] as const] : [];
  });
  return Object.fromEntries(pairs);
}

/** Chooses by a table; what is not in it takes the fastest known form. */
export const byTable =
  (table: FormTable): ChooseForm =>
  (operator, call) =>
    table[patternKey(operator, call)] ?? fastForms(operator, call);

/** A graph in chosen forms. */
export interface InForms {
  readonly graph: Graph;
  /** The form of each of its operators that has some, in order. */
  readonly names: readonly string[];
  /** The forms of calls that have one of several, and the same everywhere. */
  readonly table: FormTable;
}

export function inForms(graph: Graph, choose: ChooseForm, blocked: BlockedLayout | null): InForms {
  const chosen: { key: string; name: string; isOpen: boolean }[] = [];
  const noted: ChooseForm = (operator, call) => {
    const name = choose(operator, call);
    const isOpen = candidatesFor(operator, call).length > 1;
    chosen.push({ key: patternKey(operator, call), name, isOpen });
    return name;
  };
  const lowered = lower(graph, { choose: noted, blocked });
  const byKey = grouped(chosen, ({ key }) => key);
  const settled = chosen.filter(
    ({ key, name, isOpen }) => isOpen && byKey.get(key)!.every((other) => other.name === name),
  );
  return {
    graph: lowered,
    names: chosen.map(({ name }) => name),
    table: Object.fromEntries(settled.map(({ key, name }) => [key, name])),
  };
}
