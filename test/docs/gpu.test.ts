import { testDocument } from './document.js';

testDocument('docs/gpu.md', 1);
