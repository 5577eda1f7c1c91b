import { unexpectedAnswer } from './answers.ts';

/** A row of an answer to `show stat`: a column's text by its name, empty where HAProxy has no such column. */
export type StatRow = (column: string) => string;

/** The answer of HAProxy to `show stat` for a backend that it does not have. */
const noProxy = 'No such proxy.';

/**
 * The rows of so many answers to `show stat`, in one text. Columns are found by their heading, to which each version adds
 * some. A backend that HAProxy does not have has no rows. Throws a Fault `haproxy-runtime` for anything else, since an
 * error that is read as "no rows" would say that nothing is open.
 */
export function* statRows(answer: string, answers = 1): Generator<StatRow> {
  let heading: readonly string[] = [];
  let seen = 0;
  for (const line of answer.split('\n')) {
    if (line === '') continue;
    if (line.startsWith('# ')) heading = line.slice(2).split(',');
    if (line.startsWith('# ') || line.trim() === noProxy) {
      seen += 1;
      continue;
    }
    const cells = cellsOf(line);
    if (cells.length < 3 || heading.length === 0) throw unexpectedAnswer('show stat', line);
    const current = heading;
    yield (column) => cells[current.indexOf(column)] ?? '';
  }
  if (seen < answers) throw unexpectedAnswer('show stat', answer);
}

/** HAProxy puts a cell with a comma or a quote into quotes, in which each quote is written twice: the words of a check. */
function cellsOf(line: string): readonly string[] {
  if (!line.includes('"')) return line.split(',');
  const cells = `,${line}`.matchAll(/,(?:"((?:[^"]|"")*)"|([^,]*))/g);
  return Array.from(cells, ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '');
}

/** The counts of a backend or a server since its worker began, and the times of its newest requests. */
export type Traffic = {
  readonly requests: number;
  /** Answers by the first digit of their status; `other` for what is none of these. HTTP only. */
  readonly answers: Readonly<Record<'1xx' | '2xx' | '3xx' | '4xx' | '5xx' | 'other', number>>;
  /** Connections that could not be made, answers that broke off, and requests that were tried again. */
  readonly failures: {
    readonly connect: number;
    readonly response: number;
    readonly retries: number;
    /** Retries that another server got. */
    readonly redispatches: number;
  };
  readonly open: number;
  readonly queued: number;
  /** The mean of the newest 1024 requests, in ms: waiting in the queue, connecting, until the answer's head, and in all. */
  readonly meanMs: {
    readonly queue: number;
    readonly connect: number;
    readonly response: number;
    readonly total: number;
  };
};

export type ServerTraffic = Traffic & {
  /** As HAProxy says it: `UP`, `DOWN`, `MAINT`, `DRAIN`, `no check`, `UP 1/3` while checks disagree. */
  readonly status: string;
  /** The result of the last health check, `L4OK`; empty where there is none. */
  readonly check: string;
  /** The result of the last check, in HAProxy's words. */
  readonly checkDetail: string;
  /** Its share of the requests now; 0: it gets no new ones. */
  readonly weight: number;
  /** It gets requests only while no other server is up. */
  readonly backup: boolean;
  /** How often HAProxy took it down for errors in a row of its requests. */
  readonly markedDown: number;
  /** Since its status last changed, in s. */
  readonly sinceS: number;
};

const number = (text: string): number => (text === '' ? 0 : Number(text));

function readTraffic(cell: StatRow): Traffic {
  return {
    // Servers have no req_tot before 2.9; their sessions are requests in HTTP.
    requests: number(cell('req_tot') || cell('stot')),
    answers: {
      '1xx': number(cell('hrsp_1xx')),
      '2xx': number(cell('hrsp_2xx')),
      '3xx': number(cell('hrsp_3xx')),
      '4xx': number(cell('hrsp_4xx')),
      '5xx': number(cell('hrsp_5xx')),
      other: number(cell('hrsp_other')),
    },
    failures: {
      connect: number(cell('econ')),
      response: number(cell('eresp')),
      retries: number(cell('wretr')),
      redispatches: number(cell('wredis')),
    },
    open: number(cell('scur')),
    queued: number(cell('qcur')),
    meanMs: {
      queue: number(cell('qtime')),
      connect: number(cell('ctime')),
      response: number(cell('rtime')),
      total: number(cell('ttime')),
    },
  };
}

/** Reads the servers in an answer to `show stat BACKEND 4 -1`, by name. */
export function readServerTraffic(answer: string): ReadonlyMap<string, ServerTraffic> {
  const servers = new Map<string, ServerTraffic>();
  for (const cell of statRows(answer)) {
    servers.set(cell('svname'), {
      ...readTraffic(cell),
      status: cell('status'),
      check: cell('check_status').replace(/^\* /, ''),
      checkDetail: [cell('check_code'), cell('last_chk')].filter((text) => text !== '').join(' '),
      weight: number(cell('weight')),
      backup: number(cell('bck')) > 0,
      markedDown: number(cell('hanafail')),
      sinceS: number(cell('lastchg')),
    });
  }
  return servers;
}

/** How a server takes part in the balance of its backend. */
export type ServerChoice = Pick<ServerTraffic, 'status' | 'weight' | 'backup'> & {
  /** How often HAProxy chose it by the balance: without requests that a cookie led to it. */
  readonly chosen: number;
};

/** Reads only this of the servers in an answer to `show stat BACKEND 4 -1`, which may have ten thousand. */
export function readServerChoices(answer: string): ReadonlyMap<string, ServerChoice> {
  const servers = new Map<string, ServerChoice>();
  for (const cell of statRows(answer)) {
    servers.set(cell('svname'), {
      status: cell('status'),
      weight: number(cell('weight')),
      backup: number(cell('bck')) > 0,
      chosen: number(cell('lbtot')),
    });
  }
  return servers;
}

/** Reads the backends in an answer to `show stat -1 2 -1`, by name. */
export function readBackendTraffic(answer: string): ReadonlyMap<string, Traffic & { readonly up: number }> {
  const backends = new Map<string, Traffic & { readonly up: number }>();
  for (const cell of statRows(answer))
    backends.set(cell('pxname'), { ...readTraffic(cell), up: number(cell('act')) + number(cell('bck')) });
  return backends;
}
