/** The metadata of a stored model; all else in it stays as it is stored, byte by byte. */
import {
  joined,
  type Message,
  ModelProto,
  type StoredField,
  StringStringEntryProto,
  storedFields,
} from '../onnx/messages.js';

/** What a small input gives, for whoever runs the model elsewhere. */
export const SELF_TEST = 'self_test';
/** A digest of all that the model is. */
export const CONTENT_DIGEST = 'content_sha256';

/** The field of onnx.proto. */
const METADATA = 14;

const isMetadata = ({ id }: StoredField) => id === METADATA;

/** The metadata of a model. Nothing else of it is decoded: models may have a gigabyte of weights. */
export function metadataOf(bytes: Uint8Array): Record<string, string> {
  const stored = storedFields(bytes).filter(isMetadata);
  const { metadataProps } = ModelProto.decode(joined(stored.map((field) => field.bytes))) as Message;
  return Object.fromEntries(
    ((metadataProps ?? []) as Message[]).map(({ key, value }) => [key, value] as const),
  );
}

/** A model with other metadata: new entries, other values of old ones, and none of those that are null. */
export function withMetadata(
  bytes: Uint8Array,
  metadata: Readonly<Record<string, string | null>>,
): Uint8Array {
  const entries = Object.entries({ ...metadataOf(bytes), ...metadata }).flatMap(([key, value]) =>
    value === null ? [] : [{ key, value }],
  );
  const added = storedFields(ModelProto.encode({ metadataProps: entries }).finish());
  const kept = storedFields(bytes).filter((field) => !isMetadata(field));
  return joined([...kept, ...added].map((field) => field.bytes));
}

/** Whether a field of a model is metadata that hold for the weights that it has, and for no others. */
export const isCheckOfWeights = ({ id, content }: StoredField): boolean =>
  id === METADATA &&
  [SELF_TEST, CONTENT_DIGEST].includes((StringStringEntryProto.decode(content!) as Message).key);
