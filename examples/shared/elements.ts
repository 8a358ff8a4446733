/** Elements that all pages have. */
export const element = <T extends Element = HTMLElement>(
  selector: string,
  within: ParentNode = document,
): T => within.querySelector<T>(selector)!;

/** Says what goes on, or what has gone wrong. */
export function say(text: string, failed = false): void {
  const status = element('#status');
  status.textContent = text;
  status.classList.toggle('failed', failed);
}

/** Shows which files were chosen. @param names of one or several */
export function showNames(
  input: HTMLInputElement,
  name: Element,
  names = (files: readonly File[]): string => files.map((file) => file.name).join(', '),
): void {
  const none = name.textContent;
  input.addEventListener('change', () => {
    const files = [...(input.files ?? [])];
    name.textContent = files.length > 0 ? names(files) : none;
  });
}

/** Files that are dropped on it are as good as chosen. */
export function takeDrops(drop: HTMLElement, input: HTMLInputElement): void {
  for (const name of ['dragover', 'dragleave', 'drop'])
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle('over', name === 'dragover');
    });
  drop.addEventListener('drop', ({ dataTransfer }) => {
    if (!dataTransfer?.files.length) return;
    input.files = dataTransfer.files;
    input.dispatchEvent(new Event('change'));
  });
}
