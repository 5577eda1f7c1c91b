// Makes docs/pictures/terminal.svg from a run: types commands into a shell on a terminal, records what it shows, and draws that.
// `node scripts/terminal-picture.mjs`; it needs HAProxy, script(1), and the ports 8080, 8404, 9001 and 9002.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { terminalSvg } from './terminal-svg.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const picture = join(root, 'docs/pictures/terminal.svg');
const [columns, rows] = [80, 24];
const title =
  'A terminal: pointsman starts, serves an instance milliseconds after it is written, and deploys without a failed request';
const prompt = '\u001b[32m$\u001b[0m ';
/** @type {readonly number[]} */
const ports = [8080, 8404, 9001, 9002];
const commandMs = 60_000;
const [keyMs, readMs, endMs] = [35, 1200, 5000];

/** Typed one after the other. */
const commands = [
  'mkdir keys; export POINTSMAN_REGISTRY=dir:keys',
  'pointsman balance --http 127.0.0.1:8080 2>balance.log &',
  'pointsman register --service web=127.0.0.1:9001 --id web-1 2>web.log &',
  'pointsman wait web/web-1',
  'echo 127.0.0.1:9002 >keys/instances/web/web-2  # or: etcdctl put …',
  'pointsman events --most 1',
  'curl -H "Host: web" http://127.0.0.1:8080/',
  'pointsman status',
  'pointsman demo --show deploy',
];

/** Records the commands on a terminal. Rejects when one fails or takes too long. */
async function record() {
  const folder = await mkdtemp(join(tmpdir(), 'pointsman-picture-'));
  const shell = startShell(folder);
  const apps = [9001, 9002].map((port) => startApp(port));
  try {
    await shell.prompted();
    for (const command of commands) {
      await pause(readMs);
      await shell.run(command);
    }
    const failed = /pointsman: .*|command not found/.exec(shell.outputs.map(({ text }) => text).join(''));
    if (failed !== null) throw new Error(`a command of the picture failed: ${failed[0]}`);
    return [...shell.outputs];
  } finally {
    await shell.end();
    for (const app of apps) app.kill('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  }
}

/** @param {number} port */
function startApp(port) {
  const args = ['demo', '--app', `web-${port - 9000}`, '--port', String(port)];
  return spawn(join(root, 'bin/pointsman'), args, { stdio: 'ignore' });
}

/** @param {string} folder */
function startShell(folder) {
  const begun = performance.now();
  /** @type {import('./terminal-svg.mjs').Output[]} */
  const outputs = [];
  const env = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(POINTSMAN_|NO_COLOR|CI$)/.test(name))),
    ...{ PATH: `${join(root, 'bin')}:${process.env['PATH']}:/usr/sbin`, TERM: 'xterm-256color', SHELL: '/bin/bash' },
    ...{ PROMPT: `\\[\u001b[32m\\]$\\[\u001b[0m\\] `, HISTFILE: '/dev/null', POINTSMAN_DIR: join(folder, 'state') },
  };
  const bash = `stty cols ${columns} rows ${rows}; exec env PS1="$PROMPT" bash --norc --noprofile -i`;
  const child = spawn('script', ['-qefc', bash, '/dev/null'], { cwd: folder, env, stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    outputs.push({ atMs: performance.now() - begun, text });
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const shown = () => outputs.map(({ text }) => text).join('');
  const prompted = async (from = 0) => {
    const deadline = performance.now() + commandMs;
    while (!shown().slice(from).includes(prompt)) {
      if (performance.now() > deadline) throw new Error(`no prompt after ${commandMs} ms: ${shown().slice(from)}`);
      await pause(10);
    }
  };
  return {
    outputs,
    prompted,
    /** @param {string} command */
    async run(command) {
      for (const key of command) {
        child.stdin.write(key);
        await pause(keyMs);
      }
      const before = shown().length;
      child.stdin.write('\r');
      await prompted(before);
    },
    async end() {
      child.stdin.write('kill $(jobs -p); wait; exit\r');
      await ended;
    },
  };
}

/** @param {number} port */
function isFree(port) {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', () => resolve(true));
  });
}

export async function makeTerminalPicture() {
  for (const port of ports)
    if (!(await isFree(port))) throw new Error(`port ${port} is in use: stop what listens there`);
  await build();
  const svg = terminalSvg(await record(), { columns, rows, title, endMs });
  await mkdir(dirname(picture), { recursive: true });
  await writeFile(picture, svg);
  return { path: picture, bytes: Buffer.byteLength(svg) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { path, bytes } = await makeTerminalPicture();
  console.log(`${path}: ${(bytes / 1024).toFixed(0)} KB`);
}
