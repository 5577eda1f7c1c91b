import { describe, expect, test } from 'vitest';
import { parseProcesses } from './master.ts';

// As `show proc` of HAProxy 3.4.7 says it.
const heading = '#<PID>          <type>          <reloads>       <uptime>        <version>      \n';
const master = '9448            master          2 [failed: 1]   0d00h00m02s     3.4.7-1        \n';
const worker = (pid: number, reloads: number) =>
  `${pid}            worker          ${reloads}               0d00h00m01s\n`;

describe('show proc', () => {
  test('names the worker that serves and counts the old ones', () => {
    const answer = `${heading}${master}# workers\n${worker(9505, 0)}# old workers\n${worker(9454, 2)}\n`;
    expect(parseProcesses(answer)).toEqual({
      masterPid: 9448,
      failedReloads: 1,
      reloads: 2,
      workerPid: 9505,
      oldWorkers: 1,
      oldWorkerPids: [9454],
      version: '3.4.7',
    });
  });

  test('takes the youngest of the old ones where the new one died while loading', () => {
    const answer = `${heading}${master}# workers\n# old workers\n${worker(9454, 2)}${worker(9500, 1)}\n`;
    expect(parseProcesses(answer)).toMatchObject({ workerPid: 9500, oldWorkers: 1 });
  });

  test('is nothing while the master executes itself again', () => {
    expect(parseProcesses('')).toBeUndefined();
  });
});
