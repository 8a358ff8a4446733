/** The page: takes a model and pictures, and shows what the model learns of them. */
import type { WebProvider } from 'parts2whole/browser';
import { element, say, showNames, takeDrops } from '../shared/elements.js';
import { goOffline } from '../shared/go-offline.js';
import { train } from '../shared/training.js';
import { type Normalisation, readClassifier, type Size } from './classifier.js';
import type { Answer, Answers, PictureClass, Start } from './messages.js';

const LEAST_CLASSES = 2;
const modelInput = element<HTMLInputElement>('#model');
const classList = element('#classes');
const sizeInputs = {
  height: element<HTMLInputElement>('#height'),
  width: element<HTMLInputElement>('#width'),
};
const chosen = (selector: string): string => element<HTMLSelectElement>(selector).value;

/** Sizes that the model fixes are no choice of the user. */
async function showSizes(): Promise<void> {
  const [file] = modelInput.files ?? [];
  if (!file) return;
  try {
    const classifier = readClassifier(file.name, new Uint8Array(await file.arrayBuffer()));
    for (const [name, input] of Object.entries(sizeInputs)) {
      const size = classifier[name as keyof Size];
      input.disabled = size !== null;
      if (size !== null) input.value = String(size);
    }
    say('ready');
  } catch (error) {
    say((error as Error).message, true);
  }
}

function onClassesChanged(): void {
  const rows = [...classList.children];
  for (const row of rows) element<HTMLButtonElement>('.remove', row).disabled = rows.length <= LEAST_CLASSES;
}

/** A name that no class has. */
function freeName(): string {
  const taken = classes().map(({ name }) => name);
  for (let i = 1; ; i++) if (!taken.includes(`Class ${i}`)) return `Class ${i}`;
}

function addClass(): void {
  const { content } = element<HTMLTemplateElement>('#class');
  const row = content.firstElementChild!.cloneNode(true) as Element;
  const pictures = element<HTMLInputElement>('input[type="file"]', row);
  element<HTMLInputElement>('.name', row).value = freeName();
  showNames(pictures, element('strong', row), ({ length }) =>
    length === 1 ? '1 picture' : `${length} pictures`,
  );
  takeDrops(element('.drop', row), pictures);
  element('.remove', row).addEventListener('click', () => {
    row.remove();
    onClassesChanged();
  });
  classList.append(row);
  onClassesChanged();
}

const classes = (): PictureClass[] =>
  [...classList.children].map((row) => ({
    name: element<HTMLInputElement>('.name', row).value.trim(),
    pictures: [...(element<HTMLInputElement>('input[type="file"]', row).files ?? [])],
  }));

/** A picture as the network sees it, with what it says. */
function figureOf({ of, picture, said, probability }: Answer, { classes, size }: Start): HTMLElement {
  const figure = document.createElement('figure');
  const image = new Image();
  const caption = document.createElement('figcaption');
  const { pictures } = classes[of]!;
  image.src = URL.createObjectURL(pictures[picture]!);
  image.alt = pictures[picture]!.name;
  image.style.aspectRatio = `${size.width} / ${size.height}`;
  image.onload = () => URL.revokeObjectURL(image.src);
  const name = classes[said]?.name ?? `none of them (output ${said})`;
  caption.textContent = `${said === of ? '✓' : '✗'} ${name}, ${Math.round(100 * probability)} %`;
  figure.classList.toggle('wrong', said !== of);
  figure.append(image, caption);
  return figure;
}

function showAnswers(answers: Answers, start: Start): void {
  const right = answers.filter(({ of, said }) => said === of).length;
  const percent = Math.round((100 * right) / answers.length);
  element('#accuracy').textContent = `${right} of ${answers.length} are classified correctly (${percent} %).`;
  element('#pictures').replaceChildren(...answers.map((answer) => figureOf(answer, start)));
}

element('#form').addEventListener('submit', (event) => {
  event.preventDefault();
  const [model] = modelInput.files ?? [];
  if (!model) {
    say('choose a model first', true);
    return;
  }
  const start: Start = {
    model,
    size: { height: sizeInputs.height.valueAsNumber, width: sizeInputs.width.valueAsNumber },
    normalisation: chosen('#normalisation') as Normalisation,
    learningRate: Number(chosen('#learning-rate')),
    provider: chosen('#provider') as WebProvider,
    classes: classes(),
  };
  train<Start, Answers>(start, (answers) => showAnswers(answers, start));
});
element('#add').addEventListener('click', addClass);
for (let i = 0; i < LEAST_CLASSES; i++) addClass();
showNames(modelInput, element('#model-name'));
modelInput.addEventListener('change', showSizes);
takeDrops(element('#drop'), modelInput);
goOffline();
