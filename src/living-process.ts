/** Whether a process of this system is still the one that it was. */
import { readFileSync, readlinkSync } from 'node:fs';

/** From /proc/<pid>/stat (proc(5)); null where there is no /proc, or no such process but its zombie. */
export function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command in field 2 may hold spaces and brackets; the state follows as field 3, the start is field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

/** The start of the system and the namespace that numbers of processes are of; null where there is no /proc. */
function systemOf(): string | null {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return null;
  }
}
export const SYSTEM = systemOf();

/** Whether a process has a number: this user's, or one of another user, of which less may be known. */
function userOf(pid: number): 'own' | 'other' | null {
  try {
    process.kill(pid, 0);
    return 'own';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? 'other' : null;
  }
}

/** A process, as it is told from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it was started, in clock ticks since boot; null where that is not known. */
  readonly processStart: string | null;
}

/** Whether it still runs. Of another user's, whose start cannot be read, its number is enough. */
export function isAlive({ pid, processStart: start }: ProcessIdentity): boolean {
  const user = userOf(pid);
  if (user === null || start === null) return user !== null;
  const found = processStart(pid);
  return found === start || (found === null && user === 'other');
}
