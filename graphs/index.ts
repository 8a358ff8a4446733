/** The compiler, and the networks and objectives of Parts2Whole. Knows nothing of files or runtimes. */

export * from './compiler.js';
export { features, type UNet3dOptions } from './models/unet3d.js';
export { type ClassificationOptions, classification } from './objectives/classification.js';
export { type ProxyOptions, reconstruction } from './objectives/reconstruction.js';
export { type RestorationOptions, restoration } from './objectives/restoration.js';
export { type SegmentationOptions, segmentation } from './objectives/segmentation.js';
export { autoencoderGraph, encoderGraph } from './programs/inference.js';
