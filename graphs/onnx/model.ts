import { OPSET } from './registry.js';
import type { Graph, Model } from './types.js';
import { version } from './version.js';

const IR_VERSION = 8;

/** Who models say that they are made by. */
export const PRODUCER = { name: 'parts2whole', version } as const;

/** Every domain that the nodes use, sub-graphs included. */
function domainsOf(graph: Graph): Set<string> {
  const domains = new Set(graph.nodes.map((node) => node.domain));
  for (const node of graph.nodes) {
    for (const attribute of Object.values(node.attributes)) {
      if (attribute.kind === 'graph') for (const domain of domainsOf(attribute.value)) domains.add(domain);
    }
  }
  return domains;
}

/** What a model says of itself. */
export interface ModelFacts {
  readonly documentation?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Wraps a lowered graph, which must be written in our operator sets, into a model. */
export function toModel(graph: Graph, facts: ModelFacts = {}): Model {
  const own = [...domainsOf(graph)].filter((domain) => domain !== '').map((domain) => [domain, 1] as const);
  return {
    graph,
    irVersion: IR_VERSION,
    opsets: { '': OPSET, ...Object.fromEntries(own) },
    producer: PRODUCER,
    documentation: facts.documentation ?? '',
    metadata: facts.metadata ?? {},
  };
}
