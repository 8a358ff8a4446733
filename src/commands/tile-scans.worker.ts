/** A thread of `prepare`: gets scans, answers with the records of their tiles. */
import { workerData } from 'node:worker_threads';
import { type KnownCatalogues, learnCatalogues } from '../data/scan/dicom/open.js';
import { answerRequests } from '../worker.js';
import { tileScan } from './tile-scan.js';

learnCatalogues(workerData as KnownCatalogues);
answerRequests(tileScan);
