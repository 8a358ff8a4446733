import { testDocument } from './document.js';

testDocument('docs/cluster.md', 4);
