/**
 * Reads a haproxy.cfg made from the shipped templates as a suspicious stranger: it knows each section and each form of a
 * line that the templates can mean, and shares no code with what wrote them.
 */
export type ReadConfig = {
  /** `backend/server`, with the whole line. */
  readonly servers: ReadonlyMap<string, string>;
  readonly backends: ReadonlySet<string>;
  /** Lines that no template meant. */
  readonly strange: readonly string[];
};

const name = '[A-Za-z0-9][A-Za-z0-9._-]{0,62}';
const id = '[A-Za-z0-9][A-Za-z0-9._:-]{0,126}';
const port = '[1-9][0-9]{0,4}';
const target = `(?:[A-Za-z0-9.-]{1,253}|\\[[0-9a-f:.]{2,45}\\]):${port}`;
const word = '[A-Za-z0-9._:/[\\]@+,*=~-]+';

const line = (text: string) => new RegExp(`^ {4}${text}$`);
const serverLine = line(
  `server (${id}) ${target} weight [0-9]{1,3}(?: check inter [0-9]+ms rise [0-9]+ fall [0-9]+)?(?: init-addr last,libc,none)?(?: disabled)?(?: check-sni ${word})?`,
);

/** The sections that the registry has a say in, and the lines that may stand in each. */
const sections: readonly { readonly opening: RegExp; readonly lines: readonly RegExp[] }[] = [
  {
    opening: new RegExp(`^frontend _tcp-${name} from base$`),
    lines: [line(`bind 127\\.0\\.0\\.1:${port}`), line('mode tcp'), line(`default_backend ${name}`)],
  },
  {
    opening: /^defaults policy-[0-9a-f]{12} from base$/,
    lines: [
      line('mode tcp'),
      line('balance (?:leastconn|roundrobin|random|first|source)'),
      line('option httpchk GET /[A-Za-z0-9._~/@:+-]*'),
      line(
        'http-request set-header X-Forwarded-Prefix /%\\[path,field\\(2,/,[1-9]\\)\\] if \\{ var\\(txn.strip\\) -m str [1-9] \\}',
      ),
      line('http-request set-path /%\\[path,field\\([0-9]+,/,0\\)\\] if \\{ var\\(txn.strip\\) -m str [1-9] \\}'),
    ],
  },
  { opening: new RegExp(`^backend (${name}) from policy-[0-9a-f]{12}$`), lines: [serverLine] },
];

/** `bare` is the configuration of an empty registry: its lines are the templates' own. */
export function readConfig(config: string, bare: string): ReadConfig {
  const own = sectionsOf(bare);
  const servers = new Map<string, string>();
  const backends = new Set<string>();
  const strange: string[] = [];
  for (const [opening, lines] of sectionsOf(config)) {
    const known = own.get(opening);
    if (known !== undefined) {
      if (known.join('\n') !== lines.join('\n')) strange.push(opening, ...lines);
      continue;
    }
    const section = sections.find((one) => one.opening.test(opening));
    if (section === undefined) {
      strange.push(opening);
      continue;
    }
    const backend = /^backend (\S+)/.exec(opening)?.[1];
    if (backend !== undefined) backends.add(backend);
    for (const text of lines) {
      if (!section.lines.some((form) => form.test(text))) strange.push(text);
      const server = serverLine.exec(text)?.[1];
      if (server === undefined || backend === undefined) continue;
      if (servers.has(`${backend}/${server}`)) strange.push(text);
      servers.set(`${backend}/${server}`, text);
    }
  }
  return { servers, backends, strange };
}

/** The opening line of each section with the lines in it; empty ones and comments are left out. */
function sectionsOf(config: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let open: string[] | undefined;
  // A carriage return, a form feed or a NUL is no end of a line to HAProxy, and strange here.
  for (const text of config.split('\n')) {
    if (/^\s*(#.*)?$/.test(text)) continue;
    if (/^ /.test(text)) open?.push(text);
    else {
      open = [];
      // The same section twice shows as one that was never meant.
      found.set(found.has(text) ? `again: ${text}` : text, open);
    }
  }
  return found;
}
