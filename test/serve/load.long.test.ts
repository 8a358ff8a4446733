import { availableParallelism } from 'node:os';
import { expect, test } from 'vitest';
import { runLoad } from './load.js';

test('200 clients for five minutes, one in five hostile, with a worker killed and the model replaced twice', async () => {
  const report = await runLoad({
    ...{ seconds: 300, clients: 200, hostile: 0.2, preset: 'small', disturbed: true },
    workers: Math.min(availableParallelism(), 4),
  });
  expect(report).toMatchObject({ wrong: 0, lost: 0, workerDeaths: 1, swaps: 2, leftBehind: 0 });
  expect(report.answered).toBeGreaterThan(200);
  // Nothing that is meant to harm is taken for a scan, and nothing of it is a defect.
  const statuses = Object.keys(report.hostileStatuses).map(Number);
  expect(statuses.filter((status) => status >= 200 && (status < 400 || status >= 500))).toEqual([]);
  expect(report.rssMb.late).toBeLessThan(1.1 * report.rssMb.early);
});
