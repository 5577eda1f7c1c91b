import type { Listener } from './listeners.ts';

// A path that nothing can be made at, so that this HAProxy never gets to serving.
const never = 'unix@/dev/null/never';
const sections = [
  'defaults',
  '    mode tcp',
  '    timeout client 1s',
  '    timeout connect 1s',
  '    timeout server 1s',
];
const condition = /^\s*\.(if|elif|else|endif)\b/;
const environment = /^\s*(setenv|presetenv|resetenv|unsetenv)\s/;

/**
 * A configuration that listens on nothing but these, each in a section `probe-N`, and on one address that cannot be had. They
 * stay within the conditions that they have in their own configuration, for only HAProxy knows which of them hold.
 */
export function probeConfig(config: string, listeners: readonly Listener[]): string {
  const byLine = new Map<number, string[]>();
  for (const [number, listener] of listeners.entries()) {
    byLine.set(listener.line, [...(byLine.get(listener.line) ?? []), ...sectionOf(number, listener)]);
  }
  const lines = ['global', '    maxconn 16', '    noreuseport', ...sections];
  for (const [i, text] of config.split('\n').entries()) {
    if (condition.test(text)) lines.push(text);
    else if (environment.test(text)) lines.push('global', text);
    lines.push(...(byLine.get(i + 1) ?? []));
  }
  return [...lines, 'frontend probe-never', `    bind ${never}`, ''].join('\n');
}

function sectionOf(number: number, { protocol, address, options }: Listener): readonly string[] {
  if (protocol === 'tcp') return [`frontend probe-${number}`, `    bind ${address} ${options}`.trimEnd()];
  // QUIC needs certificates, and its socket is one like any other of UDP.
  const udp = address.replace(/^quic/, 'udp');
  return [`log-forward probe-${number}`, `    dgram-bind ${udp} ${options}`.trimEnd(), '    log 127.0.0.1:9 local0'];
}
