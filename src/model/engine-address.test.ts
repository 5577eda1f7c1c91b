import { expect, test } from 'vitest';
import { formatEngineAddress, parseEngineAddress } from './engine-address.ts';

test.each([
  ['unix:///var/run/docker.sock', 'unix:///var/run/docker.sock'],
  ['/run/podman/podman.sock', 'unix:///run/podman/podman.sock'],
  ['tcp://socket-proxy:2375', 'tcp://socket-proxy:2375'],
  ['tcp://[::1]:2375', 'tcp://[::1]:2375'],
])('the engine %s is at %s', (text, location) => {
  const read = parseEngineAddress(text);
  expect(read.ok ? formatEngineAddress(read.value) : read.reason).toBe(location);
});

test.each(['docker.sock', 'unix://docker.sock', 'tcp://host', 'http://host:1', ''])(
  '%j is no address of an engine',
  (text) => {
    expect(parseEngineAddress(text).ok).toBe(false);
  },
);
