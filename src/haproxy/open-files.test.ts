import { expect, test } from 'vitest';
import { hardLimitOf, readConfiguredLimits, readShortage, readWorkerLimits } from './open-files.ts';

test.each([
  '[ALERT]    (20368) : [haproxy.main()] Cannot raise FD limit to 540, limit is 400.',
  "[ALERT]    (20843) : [haproxy.main()] Cannot raise FD limit to 540, current limit is 300 and hard limit is 400. You may prefer to let HAProxy adjust the limit by itself; for this, please just drop any 'maxconn' and 'ulimit-n' from the global section",
])('the words of each HAProxy for too few open files are understood', (text) => {
  expect(readShortage(text)).toEqual({ needed: 540, limit: 400 });
});

test('another failure is not one of too few open files', () => {
  expect(readShortage("[ALERT] (1) : config : parsing [/x:3] : unknown keyword 'x'")).toBeUndefined();
});

test('a worker tells how many connections it accepts', () => {
  expect(readWorkerLimits('Ulimit-n: 400\nMaxsock: 399\nMaxconn: 110\nHard_maxconn: 110\n')).toEqual({
    connections: 110,
    files: 399,
  });
  expect(readWorkerLimits('Permission denied')).toBeUndefined();
});

test('what a configuration limits itself is read from its global section alone', () => {
  const config = 'global\n    maxconn 500\n    ulimit-n 4096\n\ndefaults a\n    maxconn 7\n';
  expect(readConfiguredLimits(config)).toEqual({ maxconn: 500, files: 4096 });
  expect(readConfiguredLimits('global\n\ndefaults a\n    maxconn 7\n')).toEqual({});
});

test('the hard limit of a process is read, and is not known of one that is gone', async () => {
  expect(await hardLimitOf('self')).toBeGreaterThan(0);
  expect(await hardLimitOf(2 ** 30)).toBeUndefined();
});
