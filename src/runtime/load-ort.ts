import type * as ort from 'onnxruntime-node';

// From 1.29 on, ONNX Runtime's builds for Linux and macOS tell Microsoft of the machine and of the models that they load, unless this
// says no before they start. It must be set in the main thread: other threads have an environment of their own, which they do not see.
process.env.ORT_DISABLE_TELEMETRY ??= '1';

/** ONNX Runtime's own build for Node.js, loaded when it is first needed: where it is missing, all else still works. */
export const loadOrt = (): Promise<typeof ort> => import('onnxruntime-node');
