/** The one element that a selector means. */
export const element = <T extends Element = HTMLElement>(
  selector: string,
  within: ParentNode = document,
): T => within.querySelector<T>(selector)!;

type Attributes = Readonly<Record<string, string | number>>;

/** A new element. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...content: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...content);
  return made;
}

/** A new element of SVG. */
export function makeSvg(name: string, attributes: Attributes): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** Says what goes on, or what has gone wrong. */
export function say(output: Element, text: string, failed = false): void {
  output.textContent = text;
  output.classList.toggle('failed', failed);
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Work that was given up is no failure. */
export const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && error.name === 'AbortError';

const SECONDS = new Intl.NumberFormat('en', { maximumSignificantDigits: 2 });

/** Such as `0.42 s`. */
export const seconds = (value: number): string =>
  `${value < 10 ? SECONDS.format(value) : Math.round(value)} s`;
