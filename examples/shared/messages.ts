/** What a page and its worker say to each other. */

/** @typeParam Start what the user chose */
export type ToWorker<Start> = { readonly kind: 'start'; readonly start: Start } | { readonly kind: 'stop' };

/** @typeParam Shown what the page shows of a validation, besides its loss */
export type FromWorker<Shown> =
  | { readonly kind: 'says'; readonly text: string }
  | { readonly kind: 'step'; readonly step: number; readonly loss: number; readonly seconds: number }
  | { readonly kind: 'validation'; readonly step: number; readonly loss: number; readonly shown: Shown }
  | { readonly kind: 'done'; readonly files: Files }
  | { readonly kind: 'failed'; readonly message: string };

/** Contents by the name of the file. */
export type Files = Readonly<Record<string, Uint8Array>>;
