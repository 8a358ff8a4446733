import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { crc32c, openEvents } from '../../src/runs/tensorboard.js';
import { errorOf, temporaryFolder } from '../data/store/tiles-sample.js';

const root = temporaryFolder();

/** One message of protobuf's wire format: the values of each field number, in order. */
function decodeMessage(bytes: Buffer): Map<number, (number | Buffer)[]> {
  const fields = new Map<number, (number | Buffer)[]>();
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number) => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  const read: Record<number, () => number | Buffer> = {
    0: varint,
    1: () => take(8).readDoubleLE(),
    2: () => take(varint()),
    5: () => take(4).readFloatLE(),
  };
  while (at < bytes.length) {
    const key = varint();
    const values = fields.get(key >> 3) ?? [];
    fields.set(key >> 3, [...values, read[key & 7]!()]);
  }
  return fields;
}

/** TFRecord's masked checksum, as its documentation writes it. */
const masked = (crc: number) =>
  Number((((BigInt(crc) >> 15n) | (BigInt(crc) << 17n)) + 0xa282ead8n) & 0xffffffffn);

/** The events of a file, every length and checksum verified. Field numbers are those of tensorflow's event.proto. */
function readEvents(path: string) {
  const bytes = readFileSync(path);
  const events = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const payload = bytes.subarray(at + 12, at + 12 + length);
    expect(bytes.readUInt32LE(at + 8)).toBe(masked(crc32c(bytes.subarray(at, at + 8))));
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(masked(crc32c(payload)));
    at += 16 + length;
    const event = decodeMessage(payload);
    const message = (field: number) => event.get(field) as [Buffer] | undefined;
    const value = message(5) && decodeMessage(decodeMessage(message(5)![0]).get(1)![0] as Buffer);
    events.push({
      wallTime: event.get(1)![0] as number,
      step: event.get(2)?.[0] ?? 0,
      version: message(3)?.toString(),
      session: message(7) && decodeMessage(message(7)![0]).get(1)![0],
      scalar: value && [String(value.get(1)![0]), value.get(2)![0]],
    });
  }
  return events;
}

/** Vectors of RFC 3720, appendix B.4, and the usual check value. */
test.each([
  [Buffer.from('123456789'), 0xe3069283],
  [Buffer.alloc(32), 0x8a9136aa],
  [Buffer.alloc(32, 0xff), 0x62a8ab43],
  [Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
])('CRC-32C of %j', (bytes, crc) => {
  expect(crc32c(bytes)).toBe(crc);
});

test('an event file holds its version, the start, and the scalars', () => {
  const folder = join(root, 'events');
  const before = Date.now() / 1000;
  const events = openEvents(folder, 3);
  events.scalar('train/loss', 3, 0.5);
  events.flush();
  events.scalar('val/mse', 2 ** 40, -1.25e-3);
  events.close();
  const [name, ...others] = readdirSync(folder);
  expect(others).toEqual([]);
  expect(name).toMatch(/^events\.out\.tfevents\./);
  const read = readEvents(join(folder, name!));
  expect(read).toMatchObject([
    { version: 'brain.Event:2', step: 0 },
    { session: 1, step: 3 },
    { scalar: ['train/loss', 0.5], step: 3 },
    { scalar: ['val/mse', Math.fround(-1.25e-3)], step: 2 ** 40 },
  ]);
  for (const { wallTime } of read) {
    expect(wallTime).toBeGreaterThanOrEqual(before);
    expect(wallTime).toBeLessThanOrEqual(Date.now() / 1000);
  }
});

test('what was flushed is in the file, also when the process is killed then', () => {
  const folder = join(root, 'flushed');
  const events = openEvents(folder, 1);
  events.scalar('train/loss', 1, 0.5);
  events.flush();
  expect(readEvents(join(folder, readdirSync(folder)[0]!))).toHaveLength(3);
  events.close();
});

test('a resumed run writes a second file, which sorts behind the first and takes back its later steps', async () => {
  const folder = join(root, 'resumed');
  for (const step of [1, 11]) {
    openEvents(folder, step).close();
    await sleep(5);
  }
  const starts = readdirSync(folder)
    .sort()
    .map((name) => readEvents(join(folder, name))[1]);
  expect(starts).toMatchObject([
    { session: 1, step: 1 },
    { session: 1, step: 11 },
  ]);
});

test('a place that cannot be written is an error', () => {
  writeFileSync(join(root, 'file'), '');
  expect(errorOf(() => openEvents(join(root, 'file'), 1))).toMatchObject({ name: 'UserError', kind: 'disk' });
});
