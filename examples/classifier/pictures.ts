/** The user's pictures, at the size that the network takes, divided into those to train on and those held out. */
import { UserError } from 'parts2whole/browser';
import type { Pixels, Size } from './classifier.js';
import type { PictureClass } from './messages.js';

const HELD_OUT_EVERY = 5;

/** A picture of a class. */
export interface Sample {
  /** Its class's place among the classes, and its place among the class's pictures. */
  readonly of: number;
  readonly picture: number;
  readonly pixels: Pixels;
}

/** Every fifth of a class. */
const isHeldOut = (picture: number): boolean => picture % HELD_OUT_EVERY === HELD_OUT_EVERY - 1;

/** The largest part in the middle of a picture that has the network's proportions. */
function middle(picture: ImageBitmap, { height, width }: Size) {
  const scale = Math.min(picture.width / width, picture.height / height);
  const [w, h] = [width * scale, height * scale];
  return { x: (picture.width - w) / 2, y: (picture.height - h) / 2, w, h };
}

/** Reads pictures one after the other, so that only one is in memory at its full size. */
export function pictureReader(size: Size): (file: File) => Promise<Pixels> {
  const { height, width } = size;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
  context.imageSmoothingQuality = 'high';
  return async (file) => {
    const picture = await createImageBitmap(file).catch((cause) => {
      throw new UserError('input', {
        what: 'this picture cannot be read',
        where: file.name,
        expected: 'a picture that this browser can show, such as JPEG, PNG or WebP',
        fix: 'leave this file out, or save it again as one of these',
        cause,
      });
    });
    const { x, y, w, h } = middle(picture, size);
    // What is transparent becomes white.
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.drawImage(picture, x, y, w, h, 0, 0, width, height);
    picture.close();
    const { data } = context.getImageData(0, 0, width, height);
    return Uint8Array.from({ length: 3 * width * height }, (_, i) => data[4 * Math.floor(i / 3) + (i % 3)]!);
  };
}

/** @throws UserError when there are too few classes or pictures, or two classes have the same name */
export function checkClasses(classes: readonly PictureClass[]): void {
  const refuse = (what: string, where: string, fix: string) => {
    throw new UserError('input', { what, where, fix });
  };
  const names = classes.map(({ name }) => name);
  for (const [i, { name, pictures }] of classes.entries()) {
    if (name === '') refuse('this class has no name', `class ${i + 1}`, 'give it one');
    if (names.indexOf(name) < i) refuse('two classes have this name', name, 'give each a name of its own');
    if (pictures.length < HELD_OUT_EVERY)
      refuse(
        pictures.length === 0 ? 'this class has no pictures' : `${pictures.length} pictures are too few`,
        name,
        `add pictures: at least ${HELD_OUT_EVERY} for each class, of which one is held out`,
      );
  }
}

/** The classes take turns, so that each counts alike, whatever the number of its pictures. */
export function trainingOrder(samples: readonly Sample[], classes: number): (position: number) => Sample {
  const byClass = Array.from({ length: classes }, (_, of) => samples.filter((sample) => sample.of === of));
  return (position) => {
    const own = byClass[position % classes]!;
    return own[Math.floor(position / classes) % own.length]!;
  };
}

export async function readSamples(
  classes: readonly PictureClass[],
  size: Size,
  say: (text: string) => void,
): Promise<{ training: readonly Sample[]; heldOut: readonly Sample[] }> {
  const read = pictureReader(size);
  const total = classes.reduce((sum, { pictures }) => sum + pictures.length, 0);
  const samples: Sample[] = [];
  for (const [of, { pictures }] of classes.entries())
    for (const [picture, file] of pictures.entries()) {
      say(`reading picture ${samples.length + 1} of ${total}`);
      samples.push({ of, picture, pixels: await read(file) });
    }
  return {
    training: samples.filter(({ picture }) => !isHeldOut(picture)),
    heldOut: samples.filter(({ picture }) => isHeldOut(picture)),
  };
}
