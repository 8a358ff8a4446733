import { testDocument } from './document.js';

testDocument('docs/browser.md', 0);
