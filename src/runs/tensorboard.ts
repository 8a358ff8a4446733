/** TensorBoard's event files: TFRecords that each hold one Event message. */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import protobuf from 'protobufjs/light.js';
import { fromSystemError } from '../errors.js';
import { checkLinked, makeFolder, writeAll } from '../files.js';

const field = (id: number, type: string, rule?: string) => (rule ? { id, type, rule } : { id, type });
/** The part of tensorflow's event.proto and summary.proto that scalars need. */
const Event = protobuf.Root.fromJSON({
  nested: {
    Value: { fields: { tag: field(1, 'string'), simpleValue: field(2, 'float') } },
    Summary: { fields: { value: field(1, 'Value', 'repeated') } },
    SessionLog: { fields: { status: field(1, 'int32') } },
    Event: {
      fields: {
        wallTime: field(1, 'double'),
        step: field(2, 'int64'),
        fileVersion: field(3, 'string'),
        summary: field(5, 'Summary'),
        sessionLog: field(7, 'SessionLog'),
      },
    },
  },
}).lookupType('Event');

/** SessionLog.SessionStatus: what an earlier file has at or after this step is void. */
const START = 1;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let c = byte;
  for (let i = 0; i < 8; i++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c >>> 0;
});

/** CRC-32C (Castagnoli polynomial, reflected). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** The checksum as TFRecord stores it: rotated, plus a constant. */
const masked = (crc: number) => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

function record(payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(16 + payload.length);
  bytes.writeBigUInt64LE(BigInt(payload.length), 0);
  bytes.writeUInt32LE(masked(crc32c(bytes.subarray(0, 8))), 8);
  bytes.set(payload, 12);
  bytes.writeUInt32LE(masked(crc32c(payload)), 12 + payload.length);
  return bytes;
}

export interface EventWriter {
  scalar(tag: string, step: number, value: number): void;
  flush(): void;
  close(): void;
}

/** That of a rank that writes nothing. */
export const noEvents: EventWriter = { scalar: () => {}, flush: () => {}, close: () => {} };

/**
 * Opens a new event file in a folder of an existing run.
 * @param step first step that will be written: events of earlier files from there on are taken back
 * @throws UserError when it cannot be written
 */
export function openEvents(folder: string, step: number): EventWriter {
  const seconds = () => Date.now() / 1000;
  // TensorBoard reads the files of a folder in the order of their names.
  const path = join(
    folder,
    `events.out.tfevents.${String(Date.now()).padStart(15, '0')}.${hostname()}.${process.pid}`,
  );
  const guarded = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      throw fromSystemError(error, path);
    }
  };
  makeFolder(folder, dirname(folder));
  const fd = guarded(() => openSync(path, 'ax'));
  let pending: Buffer[] = [];
  const add = (event: object) =>
    pending.push(record(Event.encode({ wallTime: seconds(), ...event }).finish()));
  const write = () => {
    const bytes = Buffer.concat(pending);
    pending = [];
    guarded(() => writeAll(fd, bytes));
  };
  add({ fileVersion: 'brain.Event:2' });
  add({ step, sessionLog: { status: START } });
  return {
    scalar: (tag, at, value) => void add({ step: at, summary: { value: [{ tag, simpleValue: value }] } }),
    flush() {
      checkLinked(fd, path);
      write();
      guarded(() => fsyncSync(fd));
    },
    close() {
      write();
      closeSync(fd);
    },
  };
}
