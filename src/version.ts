export { version } from '../graphs/onnx/version.js';
