/** The OpenAPI document as a page for people, which needs nothing else. */
import type { OpenAPIHono } from '@hono/zod-openapi';
import { type Html, html } from '../report/html.js';
import { renderPage } from '../report/page.js';
import { version } from '../version.js';

type Document = ReturnType<OpenAPIHono['getOpenAPI31Document']>;

/** What the page shows of a schema. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly description?: string;
  readonly $ref?: string;
}
interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly description?: string;
    readonly schema?: Schema;
  }[];
  readonly requestBody?: { readonly description?: string };
  readonly responses?: Readonly<
    Record<
      string,
      {
        readonly description?: string;
        readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>;
      }
    >
  >;
}

/** What a parameter may be, in a few words. */
function valuesOf({ enum: choices, type, minimum, maximum }: Schema): string {
  if (choices) return choices.join(', ');
  const range = maximum === undefined ? '' : `, ${minimum} to ${maximum}`;
  return `${[type].flat().join(' or ')}${range}`;
}

function parametersTable({ parameters = [] }: Operation): Html | null {
  if (parameters.length === 0) return null;
  return html`<h3>Options</h3><div class="scroll" tabindex="0"><table class="facts"><thead><tr><th>name</th><th>value</th><th>default</th><th>meaning</th></tr></thead><tbody>
${parameters.map(
  ({ name, description = '', schema = {} }) =>
    html`<tr><th><code>${name}</code></th><td>${valuesOf(schema)}</td><td>${schema.default === undefined ? '' : String(schema.default)}</td><td>${description || (schema.description ?? '')}</td></tr>`,
)}
</tbody></table></div>`;
}

function answersTable({ responses = {} }: Operation): Html {
  const rows = Object.entries(responses).flatMap(([status, { description = '', content = {} }]) =>
    Object.entries(content).map(([type, { schema = {} }]) => ({
      ...{ status: status === 'default' ? 'other' : status, type },
      what: schema.$ref
        ? `${schema.$ref.replace(/^.*\//, '')}: see the OpenAPI document`
        : (schema.description ?? description),
    })),
  );
  return html`<h3>Answers</h3><div class="scroll" tabindex="0"><table class="facts"><thead><tr><th>status</th><th>type</th><th>content</th></tr></thead><tbody>
${rows.map(({ status, type, what }) => html`<tr><th>${status}</th><td><code>${type}</code></td><td>${what}</td></tr>`)}
</tbody></table></div>`;
}

const section = (path: string, method: string, operation: Operation) => html`<section>
<h2>${operation.summary ?? path}</h2>
<p><code>${method.toUpperCase()} ${path}</code></p>
<p>${operation.description ?? null}</p>
${operation.requestBody ? html`<p>Body: ${operation.requestBody.description ?? ''}</p><pre><code>curl --data-binary @scan.nii.gz http://127.0.0.1:8080${path}</code></pre>` : null}
${parametersTable(operation)}
${answersTable(operation)}
</section>`;

/** Renders a document as HTML. */
export const referencePage = ({ paths = {} }: Document): string =>
  renderPage({
    kicker: 'parts2whole',
    title: 'The service’s interface',
    lead: html`Scans are sent as the body of a request and recognised by their content; answers are chosen by <code>Accept</code>. A token, where the service has one, is sent as <code>Authorization: Bearer TOKEN</code>. The same as a document for programs: <a href="openapi.json">openapi.json</a>. Beside it, the service speaks the KServe v2 protocol at <code>/v2</code>, with binary tensors, for clients of Triton and KServe.`,
    main: Object.entries(paths).flatMap(([path, item]) =>
      (['get', 'post'] as const).flatMap((method) =>
        item?.[method] ? section(path, method, item[method] as Operation) : [],
      ),
    ),
    source: `Version ${version}.`,
  });
