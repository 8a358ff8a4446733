import { UserError } from '../errors.js';
import { Contestant, type Introduction, type Lap } from './contestant.js';
import type { Entry } from './works/entry.js';

/** Median and extremes of several rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One contestant's result. */
export interface Row extends Introduction {
  readonly name: string;
  readonly seconds: Spread;
  readonly peakBytes: number;
}

/** A peer that could not take part. */
export interface Absent {
  readonly name: string;
  readonly missing: string;
}

/** How many times as long a peer took as this package, round by round. */
export interface Ratio extends Spread {
  readonly against: string;
}

export interface Race {
  readonly rows: readonly Row[];
  readonly absent: readonly Absent[];
  readonly ratios: readonly Ratio[];
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

interface Started {
  readonly entry: Entry;
  readonly contestant: Contestant;
  readonly introduction: Introduction;
}

async function start(entry: Entry): Promise<Started | Absent> {
  const contestant = new Contestant(entry.command);
  const introduction = await contestant.introduce();
  if (!('missing' in introduction)) return { entry, contestant, introduction };
  await contestant.stop();
  return { name: entry.name, missing: introduction.missing };
}

/** Laps in which several configurations of a peer are compared. */
const QUALIFYING_LAPS = 2;

/** The fastest of several configurations of one peer, each tried alone in a process of its own. */
async function fastest(entries: readonly Entry[], log: (line: string) => void): Promise<Entry | Absent> {
  if (entries.length === 1) return entries[0]!;
  let best: { entry: Entry; seconds: number } | undefined;
  let absent: Absent = { name: entries[0]!.name, missing: 'no configuration ran' };
  for (const entry of entries) {
    const started = await start(entry);
    if ('missing' in started) {
      absent = started;
      // Without an interpreter, or the library, no other configuration will do either.
      if (!best) return absent;
      continue;
    }
    const laps: Lap[] = [];
    try {
      for (let i = 0; i < QUALIFYING_LAPS; i++) laps.push(await started.contestant.lap());
    } finally {
      await started.contestant.stop();
    }
    const seconds = Math.min(...laps.map((lap) => lap.seconds));
    log(
      `${started.introduction.detail}, ${started.introduction.threads} threads: ${seconds.toPrecision(3)} s`,
    );
    if (!best || seconds < best.seconds) best = { entry, seconds };
  }
  return best?.entry ?? absent;
}

/**
 * Times this package against peers: each peer's fastest configuration, all in processes of their own that take turns,
 * round by round, so that a change of the machine's load meets all of them.
 * @param rounds at least 1
 * @throws UserError when this package cannot do the work, or a contestant ends before its last round
 */
export async function race(
  own: Entry,
  peers: readonly (readonly Entry[])[],
  rounds: number,
  log: (line: string) => void,
): Promise<Race> {
  const absent: Absent[] = [];
  const chosen: Entry[] = [own];
  for (const entries of peers) {
    const entry = await fastest(entries, log);
    if ('missing' in entry) absent.push(entry);
    else chosen.push(entry);
  }
  const running: Started[] = [];
  const laps = new Map<Started, Lap[]>();
  try {
    for (const entry of chosen) {
      const started = await start(entry);
      if ('missing' in started) {
        if (entry === own)
          throw new UserError('runtime', { what: 'this package cannot do the work', got: started.missing });
        absent.push(started);
      } else {
        started.contestant.rest();
        running.push(started);
      }
    }
    for (const started of running) laps.set(started, []);
    for (let round = 1; round <= rounds; round++) {
      const times: string[] = [];
      for (const started of running) {
        const lap = await started.contestant.lap();
        laps.get(started)!.push(lap);
        times.push(`${started.entry.name} ${lap.seconds.toPrecision(3)} s`);
      }
      log(`round ${round} of ${rounds}: ${times.join(', ')}`);
    }
  } finally {
    await Promise.all(running.map(({ contestant }) => contestant.stop()));
  }
  const secondsOf = (started: Started) => laps.get(started)!.map((lap) => lap.seconds);
  const mine = secondsOf(running[0]!);
  return {
    rows: running.map((started) => ({
      name: started.entry.name,
      ...started.introduction,
      seconds: spreadOf(secondsOf(started)),
      peakBytes: Math.max(...laps.get(started)!.map((lap) => lap.peakBytes)),
    })),
    absent,
    ratios: running.slice(1).map((started) => ({
      against: started.entry.name,
      ...spreadOf(secondsOf(started).map((seconds, i) => seconds / mine[i]!)),
    })),
  };
}
