/** Text that is markup already, and so is not escaped again. */
export class Html {
  constructor(readonly text: string) {}
}

/** What may stand in a template: anything but {@link Html} is escaped; lists are joined, null prints nothing. */
export type Content = Html | string | number | null | readonly Content[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function textOf(content: Content): string {
  if (content === null) return '';
  if (content instanceof Html) return content.text;
  if (typeof content === 'object') return content.map(textOf).join('');
  return String(content).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** Template tag for HTML and inline SVG that escapes every value, in text and in quoted attributes alike. */
export function html(strings: TemplateStringsArray, ...values: Content[]): Html {
  return new Html(String.raw({ raw: strings }, ...values.map(textOf)));
}
