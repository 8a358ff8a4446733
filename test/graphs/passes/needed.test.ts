import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../graphs/onnx/builder.js';
import { needed } from '../../../graphs/passes/needed.js';

test('nodes stay when an output depends on them, in order, and through bodies of bodies', () => {
  const g = new GraphBuilder('g');
  const x = g.input('x', 'float32', [2]);
  const yes = g.input('yes', 'bool', []);
  const kept = g.scope('kept', () => g.add('Neg', [x]));
  g.scope('dropped', () => g.add('Exp', [g.add('Neg', [kept])]));
  const branch = (
    name: string,
    outer: GraphBuilder,
    build: (body: GraphBuilder) => ReturnType<typeof g.add>,
  ) => {
    const body = new GraphBuilder(name, { outer });
    body.output(`${name}.y`, build(body));
    return body.build();
  };
  const inner = (name: string) =>
    branch(name, g, (body) =>
      body.add('If', [yes], {
        then_branch: branch(`${name}.then`, body, (deep) => deep.add('Abs', [kept])),
        else_branch: branch(`${name}.else`, body, (deep) => deep.add('Abs', [x])),
      }),
    );
  g.output('y', g.add('If', [yes], { then_branch: inner('a'), else_branch: inner('b') }));
  expect(needed(g.build()).map(({ operator }) => operator)).toEqual(['Neg', 'If', 'Identity']);
});
