import { UserError } from '../errors.js';

/** Where models run: on the processor, or on an NVIDIA GPU, by its number. */
export type Device = 'cpu' | `cuda:${number}`;

/** What runs models: ONNX Runtime for Node.js, for the web, and for the web with its training interface. */
export const ENGINES = ['node', 'web', 'training-web'] as const;
export type EngineName = (typeof ENGINES)[number];

/** What a user may ask for. */
export const DEVICE = /^(auto|cpu|cuda(:\d{1,3})?)$/;
export const DEVICES = 'auto, cpu, cuda or cuda:N';

/**
 * The device that is meant: `auto` is the CPU, so that a run goes on where it began, and `cuda` is the first GPU.
 * @throws UserError when it is none
 */
export function resolveDevice(text: string): Device {
  if (!DEVICE.test(text))
    throw new UserError('usage', {
      what: 'this device does not exist',
      where: '--device',
      got: text,
      expected: DEVICES,
    });
  if (text === 'auto' || text === 'cpu') return 'cpu';
  return `cuda:${Number(text.split(':')[1] ?? 0)}`;
}

/** The number of a GPU; `null` for the CPU. */
export const gpuOf = (device: Device): number | null =>
  device === 'cpu' ? null : Number(device.split(':')[1]);
