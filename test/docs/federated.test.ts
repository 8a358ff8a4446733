import { testDocument } from './document.js';

testDocument('docs/federated.md', 15);
