/** Attributes of nodes: as rules read them, with defaults filled in, and as nodes hold them, each with its kind. */
import { ASSUMED } from './assumed.js';
import type { AttributeSpec, Operator, ResolvedAttributes } from './operator.js';
import { type AttributesOf, type OperatorName, operators } from './ops/index.js';
import { describeNode } from './registry.js';
import { type Attribute, GraphError, type Node } from './types.js';

/**
 * The attributes of an operator with the standard's defaults filled in; without those that change nothing and that no
 * rule knows.
 */
export function resolveAttributes<K extends OperatorName>(
  operator: K,
  given: Readonly<Record<string, unknown>>,
): ResolvedAttributes<AttributesOf<K>> {
  const specs = operators[operator].attributes as Record<string, AttributeSpec>;
  for (const name in given) {
    if (name in specs) continue;
    const value = given[name];
    const assumed = ASSUMED[operator]?.[name];
    if (!assumed)
      throw new GraphError(
        `unknown attribute "${name}"${Object.keys(specs).length > 0 ? `; known: ${Object.keys(specs).join(', ')}` : ''}`,
      );
    if (!assumed.holds(value))
      throw new GraphError(
        `attribute "${name}" is ${JSON.stringify(value)}: only ${assumed.only} is supported`,
      );
  }
  const resolved: Record<string, unknown> = {};
  for (const name in specs) {
    const { required, fallback } = specs[name]!;
    resolved[name] = given[name] ?? fallback;
    if (required && resolved[name] === undefined) throw new GraphError(`attribute "${name}" is missing`);
  }
  return resolved as ResolvedAttributes<AttributesOf<K>>;
}

/** Values with the kinds that an operator's attributes have. */
export function tagAttributes(
  definition: Operator,
  values: Readonly<Record<string, unknown>>,
): Record<string, Attribute> {
  const tagged: Record<string, Attribute> = {};
  for (const name in definition.attributes) {
    const value = values[name];
    if (value !== undefined) tagged[name] = { kind: definition.attributes[name]!.kind, value } as Attribute;
  }
  return tagged;
}

/** @throws GraphError when an attribute is of another kind than the operator's */
function valuesOf(node: Node, operator: OperatorName): Readonly<Record<string, unknown>> {
  const specs = operators[operator].attributes as Record<string, AttributeSpec>;
  return Object.fromEntries(
    Object.entries(node.attributes).map(([name, { kind, value }]) => {
      const expected = specs[name]?.kind ?? kind;
      if (kind !== expected) throw new GraphError(`attribute "${name}" is of kind ${kind}, not ${expected}`);
      return [name, value];
    }),
  );
}

/** The attributes of a node as its operator's rules read them. @throws GraphError for one that does not suit it */
export function attributesOf<K extends OperatorName>(
  node: Node,
  operator: K,
): ResolvedAttributes<AttributesOf<K>> {
  try {
    return resolveAttributes(operator, valuesOf(node, operator));
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    throw new GraphError(`${describeNode(node)}: ${error.message}`);
  }
}
