import { createConnection, type Socket } from 'node:net';
import { Fault } from '../model/fault.ts';
import { answerSplitter, isCommandText } from './answers.ts';

export type RuntimeOptions = {
  readonly path: string;
  /** The worker to speak with where `path` is the master's socket. */
  readonly throughMaster?: number | undefined;
  /** How long connecting and the first answer may take, in ms. */
  readonly greetingMs: number;
  /** How long HAProxy may be silent while answers are due, in ms. */
  readonly answerMs: number;
  /** Called once, when the connection is gone for whatever reason but `close`. */
  readonly onLost: (reason: string) => void;
};

/** One persistent connection to HAProxy's runtime API. Commands are pipelined and answered in order. */
export interface RuntimeConnection {
  /** Runs the commands in order. Rejects with Fault `haproxy-runtime` when the connection ends or HAProxy is silent. */
  run(commands: readonly string[]): Promise<readonly string[]>;
  /** One command that takes lines of text after it, such as a certificate; PEM only. */
  runWithPayload(command: string, payload: string): Promise<string>;
  /** Whether the master passes the commands on. Its prompt is another one after `experimental-mode on`, which must not be sent then. */
  readonly throughMaster: boolean;
  close(): void;
}

const mostWaiting = 200_000;

const pemLines = /^([A-Za-z0-9+/=-][A-Za-z0-9+/= -]{0,80}\n)+$/;

type PendingAnswer = {
  left: number;
  answers: string[];
  resolve: (answers: string[]) => void;
  reject: (e: Fault) => void;
};

/** Connects and enters prompt mode. Rejects with Fault `haproxy-runtime`. */
export async function connectRuntime(options: RuntimeOptions): Promise<RuntimeConnection> {
  const { path, throughMaster, greetingMs, answerMs, onLost } = options;
  const fault = (what: string, cause?: unknown) => new Fault('haproxy-runtime', what, { where: path, cause });
  const socket = createConnection(path);
  socket.setEncoding('latin1');
  const split = answerSplitter(throughMaster === undefined ? undefined : `\n${throughMaster}> `);
  const waiting: PendingAnswer[] = [];
  let due = 0;
  let patience = greetingMs;
  let ended = false;
  let silence: NodeJS.Timeout | undefined;

  const end = (reason: string, tell: boolean, cause?: unknown) => {
    if (ended) return;
    ended = true;
    clearTimeout(silence);
    socket.destroy();
    for (const { reject } of waiting.splice(0)) reject(fault(reason, cause));
    if (tell) onLost(reason);
  };
  const watchSilence = () => {
    clearTimeout(silence);
    silence = due === 0 ? undefined : setTimeout(() => end(`HAProxy was silent for ${patience} ms`, true), patience);
  };
  const take = (answer: string) => {
    const first = waiting[0];
    if (first === undefined) return;
    first.answers.push(answer);
    first.left -= 1;
    due -= 1;
    if (first.left > 0) return;
    waiting.shift();
    first.resolve(first.answers);
  };
  const send = (lines: readonly string[]): Promise<readonly string[]> =>
    new Promise((resolve, reject) => {
      if (ended) return reject(fault('the connection is closed'));
      if (lines.length === 0) return resolve([]);
      const bad = lines.find((line) => !isCommandText(line));
      if (bad !== undefined) return reject(fault(`not a single command: ${JSON.stringify(bad.slice(0, 100))}`));
      if (due + lines.length > mostWaiting) return reject(fault(`more than ${mostWaiting} commands are waiting`));
      waiting.push({ left: lines.length, answers: [], resolve, reject });
      due += lines.length;
      socket.write(`${lines.join('\n')}\n`, 'latin1');
      watchSilence();
    });
  const sendWithPayload = (command: string, payload: string): Promise<string> =>
    new Promise((resolve, reject) => {
      if (ended) return reject(fault('the connection is closed'));
      // An empty line would end it, and what follows would be commands.
      if (!isCommandText(command) || !pemLines.test(payload)) return reject(fault(`not a payload: ${command}`));
      const done = ([answer = '']: readonly string[]) => resolve(answer.replace(/^(\+ |\n)+/, ''));
      waiting.push({ left: 1, answers: [], resolve: done, reject });
      due += 1;
      socket.write(`${command} <<\n${payload}\n`, 'latin1');
      watchSilence();
    });

  socket.on('data', (chunk: string) => {
    for (const answer of split(chunk)) take(answer);
    watchSilence();
  });
  socket.on('error', (error) => end(error.message, true, error));
  socket.on('close', () => end('HAProxy closed the connection', true));
  await opened(socket, greetingMs, fault);
  if (throughMaster === undefined) await send(['prompt']);
  else {
    // The prompts that follow these two lines begin with no newline: they are part of the first answer.
    socket.write(`prompt\n@!${throughMaster}\n`);
    await send(['show version']);
  }
  patience = answerMs;
  return {
    run: send,
    runWithPayload: sendWithPayload,
    throughMaster: throughMaster !== undefined,
    close: () => end('closed', false),
  };
}

function opened(socket: Socket, deadlineMs: number, fault: (what: string, cause?: unknown) => Fault): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy();
      reject(fault(`no connection within ${deadlineMs} ms`));
    }, deadlineMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(fault(error.message, error));
    });
  });
}
