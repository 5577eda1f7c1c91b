import { expect, test } from 'vitest';
import { ownContainerId } from './own-container.ts';

const id = '071d19ab2fa608a31953b3d4713ee88d53b0439ea10dcf382668913624d2db5d';
const mount = (root: string, at: string) => `324 276 254:0 ${root} ${at} rw,relatime - ext4 /dev/vda rw,discard`;
const rootfs = mount('/', '/');

test.each([
  ['Docker', `/var/lib/docker/containers/${id}/hostname`, '/etc/hostname'],
  ['podman as root', `/containers/overlay-containers/${id}/userdata/hostname`, '/etc/hostname'],
  ['an engine that mounts only the resolver', `/data/containers/${id}/resolv.conf`, '/etc/resolv.conf'],
])('the id of the container that a process runs in is known in one of %s', (_, root, at) => {
  expect(ownContainerId([rootfs, mount(root, at), ''].join('\n'))).toBe(id);
});

test.each([
  ['on a machine', ''],
  ['that sees the files of containers elsewhere', mount(`/var/lib/docker/containers/${id}/mounts/shm`, '/mnt')],
  ['whose resolver is a file of the machine', mount('/systemd/resolve/stub-resolv.conf', '/etc/resolv.conf')],
])('a process %s is in no container', (_, line) => {
  expect(ownContainerId([rootfs, line].join('\n'))).toBeUndefined();
});
