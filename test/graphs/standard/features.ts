/** The part of FEATURES.md about operators. Run by hand to write it: npx tsx test/graphs/standard/features.ts */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { leftOut, type NodeTest, nodeTests, VERSION } from './cases.js';
import { exclusionOf } from './exclusions.js';

const FILE = new URL('../../../FEATURES.md', import.meta.url);
const SECTION = /(?<=<!-- operators: [^\n]*-->\n)[\s\S]*(?=<!-- \/operators -->)/;

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

/** What is written into FEATURES.md, from the standard's node tests and what is excluded of them. */
export function operatorSection(): string {
  const byOperator = [...grouped(nodeTests, ({ node }) => node.operator)].sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const right = nodeTests.filter((test) => !exclusionOf(test));
  const operators = byOperator.filter(([, tests]) => tests.some((test) => !exclusionOf(test)));
  const names = operators.map(([name, tests]) => {
    const good = tests.filter((test) => !exclusionOf(test)).length;
    return `${name} ${good}${good < tests.length ? `/${tests.length}` : ''}`;
  });
  const reasons = byOperator.flatMap(([name, tests]) => {
    const excluded = tests.filter((test) => exclusionOf(test));
    return [...grouped(excluded, (test: NodeTest) => exclusionOf(test)!)].map(
      ([reason, cases]) => `| ${name} | ${cases.length} of ${tests.length} | ${reason} |`,
    );
  });
  const notRun = Object.entries(leftOut)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([reason, count]) => `| ${reason} | ${count} |`);
  return `
Of ONNX models (operator sets 7 and later), \`graphs/standard\` translates operators into these. Measured by the standard's own
node tests (onnx ${VERSION}), ${right.length} of ${nodeTests.length} cases with floats, of ${operators.length} of ${byOperator.length} operators, give the expected shapes and values, and by
every input of floats the gradient that central differences give. Half precision is computed in float32.

Operators, with their cases: ${names.join(', ')}.

| not passed | cases | why |
|---|---|---|
${reasons.join('\n')}

| node tests that are not run | cases |
|---|---|
${notRun.join('\n')}

`;
}

/** The section as it stands in FEATURES.md. */
export const writtenSection = (): string => SECTION.exec(readFileSync(FILE, 'utf8'))![0];

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  writeFileSync(
    FILE,
    readFileSync(FILE, 'utf8').replace(SECTION, () => operatorSection()),
  );
