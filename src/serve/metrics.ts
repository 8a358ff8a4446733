/** What can be watched: in the format of Prometheus. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** The metrics of one service, with a registry of their own. */
export function makeMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers });
  return {
    registry,
    requests: new Counter({
      name: 'p2w_requests_total',
      help: 'Requests by route, method and status; 499 is a client that left.',
      labelNames: ['route', 'method', 'status'] as const,
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'p2w_request_seconds',
      help: 'Time from the headers of a request to its answer, before that is sent.',
      labelNames: ['route'] as const,
      buckets: SECONDS,
      registers,
    }),
    queueSeconds: new Histogram({
      name: 'p2w_queue_seconds',
      help: 'Time that jobs waited for a worker.',
      buckets: SECONDS,
      registers,
    }),
    batchWindows: new Histogram({
      name: 'p2w_batch_windows',
      help: 'Windows that were computed at once.',
      buckets: [1, 2, 4, 8, 16, 32],
      registers,
    }),
    uploadBytes: new Counter({
      name: 'p2w_upload_bytes_total',
      help: 'Bytes of uploads received.',
      registers,
    }),
    workerDeaths: new Counter({
      name: 'p2w_worker_deaths_total',
      help: 'Workers that ended unasked and were replaced.',
      registers,
    }),
    swaps: new Counter({
      name: 'p2w_model_swaps_total',
      help: 'Replaced model files, by whether they were taken over.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    waiting: gauge('p2w_jobs_waiting', 'Jobs in the queue.'),
    running: gauge('p2w_jobs_running', 'Jobs that workers are at.'),
    workers: gauge('p2w_workers_ready', 'Workers that are ready.'),
    workerRss: gauge(
      'p2w_workers_resident_memory_bytes',
      'Memory of all workers at the end of their last jobs.',
    ),
    scratchBytes: gauge('p2w_scratch_bytes', 'Bytes of uploads in the scratch folder.'),
    models: gauge('p2w_model_info', 'Models that are served.', ['name', 'kind', 'sha256']),
    build: gauge('p2w_build_info', 'Versions.', ['version', 'runtime', 'node']),
  };
}

export type Metrics = ReturnType<typeof makeMetrics>;
