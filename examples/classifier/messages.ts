/** What the page and its worker say to each other. */
import type { WebProvider } from 'parts2whole/browser';
import type { Normalisation, Size } from './classifier.js';

export interface PictureClass {
  readonly name: string;
  readonly pictures: readonly File[];
}

export interface Start {
  readonly model: File;
  /** Of the pictures that the network gets, in pixels. */
  readonly size: Size;
  readonly normalisation: Normalisation;
  readonly learningRate: number;
  readonly provider: WebProvider;
  /** In the order of the network's outputs. */
  readonly classes: readonly PictureClass[];
}

/** What the network says of a picture that it is not trained on. */
export interface Answer {
  /** Where it is among the classes and their pictures. */
  readonly of: number;
  readonly picture: number;
  /** The output that is the largest, which may belong to none of the classes. */
  readonly said: number;
  readonly probability: number;
}
export type Answers = readonly Answer[];
