import { expect, test } from 'vitest';
import { findMpi } from '../../src/distributed/mpi-finding.js';

const noLibrary = (how: string) => ({
  library: null,
  problem: `a process that loads the MPI library ${how}`,
});

test('an MPI library that ends its process when it is loaded is a finding', async () => {
  expect(await findMpi(['-e', 'process.kill(process.pid, "SIGSEGV"); setInterval(() => {}, 1000)'])).toEqual(
    noLibrary('ended by SIGSEGV'),
  );
  expect(await findMpi(['-e', 'process.exit(3)'])).toEqual(noLibrary('ended by code 3'));
});

test('an MPI library that never comes back is a finding', async () => {
  expect(await findMpi(['-e', 'setInterval(() => {}, 1000)'], 500)).toEqual(
    noLibrary('has not ended after 0.5 s'),
  );
});

test('what an MPI library prints is no finding', async () => {
  const found = { library: 'MPICH 4.0.2, libmpich.so.12', problem: null };
  const program = `console.log('no HCA found'); console.log('${JSON.stringify(found)}'); console.log('null')`;
  expect(await findMpi(['-e', program])).toEqual(found);
  expect(await findMpi(['-e', 'console.log("no HCA found"); process.exit(3)'])).toEqual(
    noLibrary('ended by code 3, and has printed: no HCA found'),
  );
  expect(await findMpi(['-e', 'console.log("{}")'])).toEqual(
    noLibrary('ended by code 0, and has printed: {}'),
  );
});

test('what was found counts, though its process does not end', async () => {
  const found = { library: 'MPICH 4.0.2, libmpich.so.12', problem: null };
  const program = `console.log('${JSON.stringify(found)}'); setInterval(() => {}, 1000)`;
  expect(await findMpi(['-e', program], 1000)).toEqual(found);
});
