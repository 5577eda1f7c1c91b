import { authLines } from './auth-lines.ts';
import { limitLines, openTableLines, rateTableLines } from './limit-lines.ts';

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
const ms = '[0-9]+ms';
const networks = '(?: [0-9a-f.:]+(?:/[0-9]{1,3})?)+';
const header = '[A-Za-z0-9][A-Za-z0-9_-]{0,63}';
// One word of a format: what separates, quotes or comments is behind a backslash, and a percent sign is doubled.
const format = '(?:[^\\x00-\\x20"\'#%\\\\\\x7f-\\uffff]|%%|\\\\[t "\'#\\\\])+';
// The same for a word that is no format.
const escaped = '(?:[^\\x00-\\x20"\'#\\\\\\x7f-\\uffff]|\\\\[ "\'#\\\\])+';
// A name of DNS in small letters.
const hostName = '[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?';
const cookie = '[A-Za-z0-9_][A-Za-z0-9._-]{0,63}';
const pem = '(?:@system-ca|/[A-Za-z0-9._/-]+/[A-Za-z0-9][A-Za-z0-9._-]*)';
const word = '[A-Za-z0-9._:/[\\]@+,*=~-]+';

/** The keywords of a server line, in a file and in a command. */
export const serverKeywords = [
  '(?: id [0-9]{1,10})?',
  `(?: check inter ${ms} rise [0-9]+ fall [0-9]+(?: port ${port})?(?: check-ssl)?(?: check-send-proxy)?)?`,
  '(?: observe layer[47] error-limit [0-9]+ on-error mark-down)?',
  `(?: slowstart ${ms})?(?: maxconn [0-9]+)?(?: maxqueue [0-9]+)?`,
  '(?: proto h2(?: check-proto h2)?)?',
  `(?: ssl (?:verify none|verify required ca-file ${pem})(?: crt ${pem})?(?: sni str\\((${name})\\) verifyhost \\S+ check-sni \\S+)?(?: alpn h2(?: check-alpn h2)?)?)?`,
  '(?: send-proxy(?:-v2)?)?(?: backup)?',
].join('');

const line = (text: string) => new RegExp(`^ {4}${text}$`);

/** The lines of a policy whose redirect waits for a certificate. */
const withoutTls = '\\{ var\\(txn.tls_host\\) -m found \\}';
const map = '/[A-Za-z0-9._/-]+';
const secure =
  '\\{ req.hdr\\(X-Forwarded-Proto\\) -i https \\} \\|\\| \\{ ssl_fc \\} !\\{ req.hdr\\(X-Forwarded-Proto\\) -i http \\}';
const certificateLines: readonly RegExp[] = [
  line(
    `http-request set-var\\(txn.tls_host\\) req.fhdr\\(host\\),host_only,lower,regsub\\(\\\\\\.\\$,\\) unless ${secure}`,
  ),
  line(
    `http-request set-var\\(txn.tls_host\\) str\\(${hostName}\\) if ${withoutTls} \\{ var\\(txn.moved\\) -m found \\}`,
  ),
  line(
    `http-request set-var\\(txn.certified\\) str\\(CERTIFICATE:\\),concat\\(,txn.tls_host\\),map_str\\(${map}\\) if ${withoutTls}`,
  ),
  line(
    `http-request set-var\\(txn.certified\\) var\\(txn.tls_host\\),regsub\\(\\^\\[\\^\\.\\]\\*,CERTIFICATE:\\*\\),map_str\\(${map}\\) if ${withoutTls} !\\{ var\\(txn.certified\\) -m found \\}`,
  ),
];
const serverLine = line(
  `server (${id}) ${target} weight [0-9]{1,3}${serverKeywords}(?: init-addr last,libc,none)?(?: disabled)?(?: check-sni ${word})?`,
);

/** A line in which only the port and the path of the map differ. */
const lineOnPort = (text: string) =>
  line(
    text
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('PORT', port)
      .replaceAll('MAP', '/[A-Za-z0-9._/-]+'),
  );

const unlessFound = '!{ var(txn.service) -m found }';

/** The sections that the registry has a say in, and the lines that may stand in each. */
/** The rules for requests that ask for a version. */
const versionLines = [
  line(
    `http-request set-var\\(txn\\.group\\) str\\(VERSION:${name}/@canary\\) if \\{ req\\.(?:hdr|cook)\\([A-Za-z0-9!#$%&'*+.^_|~\`-]+\\) -m str [A-Za-z0-9._+-]+ \\}`,
  ),
  line('http-request set-var\\(txn\\.(?:version|group|counts|numbers|instances|pick)\\) [^"\'\\\\]+'),
  line('http-response set-var\\(txn\\.answered\\) [^"\'\\\\]+'),
  line('http-response add-header Cache-Control private if [^"\'\\\\]+'),
  line(
    `http-response add-header Set-Cookie "[A-Za-z0-9!#$%&'*+.^_|~\`-]+=%\\[var\\(txn\\.answered\\)\\]; path=/; HttpOnly(?:; Secure)?(?:; SameSite=(?:Lax|Strict|None))?" if [^"'\\\\]+`,
  ),
  line(
    'use-server %\\[var\\(txn\\.group\\),concat\\(/,txn\\.pick\\),map_str\\([^ ]+\\),field\\(2,=\\)\\] if [^"\'\\\\]+',
  ),
];

const sections: readonly { readonly opening: RegExp; readonly lines: readonly RegExp[] }[] = [
  {
    opening: new RegExp(`^frontend _tcp-${name} from _base$`),
    lines: [
      line(`bind 127\\.0\\.0\\.1:${port}`),
      line('mode tcp'),
      line(`timeout client ${ms}`),
      line('log-format -'),
      line('tcp-request inspect-delay 1h'),
      line(`tcp-request content set-var\\(txn.service\\) str\\(${name}\\)`),
      line(`tcp-request content set-var\\(txn.state\\) str\\(SERVICE:${name}\\),map_str\\(/[A-Za-z0-9._/-]+\\)`),
      line('\\.if feature\\(LUA\\)'),
      line('tcp-request content lua.pointsman_pause if \\{ var\\(txn.state\\) -m beg pause/ \\}'),
      line('\\.endif'),
      line('tcp-request content reject if \\{ var\\(txn.state\\) -m str maintenance full \\}'),
      line(`default_backend ${name}`),
    ],
  },
  {
    opening: new RegExp(`^frontend _tls-${port} from _base$`),
    lines: [
      'bind 127.0.0.1:PORT',
      'mode tcp',
      'log-format -',
      'tcp-request inspect-delay 1h',
      'tcp-request session set-var(sess.began) date()',
      'tcp-request content set-var(txn.now) date()',
      'tcp-request content reject if !{ var(txn.greeted) -m found } { var(txn.now),sub(sess.began) -m int gt 10 }',
      'tcp-request content set-var(txn.greeted) bool(true)',
      'tcp-request content reject unless { req.ssl_hello_type 1 }',
      'tcp-request content set-var(txn.name) req.ssl_sni,lower',
      'tcp-request content reject if { var(txn.name) -m found } !{ var(txn.name) -m reg ^[a-z0-9._-]{1,255}$ }',
      'tcp-request content set-var(txn.domain) var(txn.name),field(2,.,0) if { var(txn.name) -m sub . }',
      `tcp-request content set-var(txn.alpn) 'req.ssl_alpn,field(1,",")'`,
      'tcp-request content set-var(txn.service) var(txn.name),concat(:PORT/,txn.alpn,/),map_str(MAP) if { var(txn.alpn) -m found } { var(txn.name) -m found }',
      `tcp-request content set-var(txn.service) str(*.),concat(,txn.domain,:PORT/),concat(,txn.alpn,/),map_str(MAP) if { var(txn.alpn) -m found } ${unlessFound} { var(txn.domain) -m found }`,
      `tcp-request content set-var(txn.service) str(*:PORT/),concat(,txn.alpn,/),map_str(MAP) if { var(txn.alpn) -m found } ${unlessFound}`,
      `tcp-request content set-var(txn.service) var(txn.name),concat(:PORT/),map_str(MAP) if ${unlessFound} { var(txn.name) -m found }`,
      `tcp-request content set-var(txn.service) str(*.),concat(,txn.domain,:PORT/),map_str(MAP) if ${unlessFound} { var(txn.domain) -m found }`,
      `tcp-request content set-var(txn.service) str(*:PORT/),map_str(MAP) if ${unlessFound}`,
      'tcp-request content reject unless { var(txn.service) -m found }',
      'tcp-request content set-var(txn.state) str(SERVICE:),concat(,txn.service),map_str(MAP)',
      '.if feature(LUA)',
      'tcp-request content lua.pointsman_pause if { var(txn.state) -m beg pause/ }',
      '.endif',
      'tcp-request content reject if { var(txn.state) -m str maintenance full }',
      'use_backend %[var(txn.service)]',
    ].map(lineOnPort),
  },
  {
    opening: /^defaults policy-[0-9a-f]{32} from _base$/,
    lines: [
      ...authLines,
      line('mode tcp'),
      line('option allbackups'),
      line('balance (?:leastconn|roundrobin|random|first)'),
      line(`balance (?:source|uri path-only(?: whole)?|hdr\\(${header}\\))`),
      line('hash-type consistent'),
      line(`cookie ${cookie} insert indirect nocache httponly(?: secure)?(?: attr SameSite=[A-Za-z]+)? dynamic`),
      line('dynamic-cookie-key [A-Za-z0-9._+-]+'),
      line(`timeout check ${ms}`),
      line(`timeout (?:connect|server|queue|tunnel) ${ms}`),
      line('retries [0-9]{1,2}'),
      line('retry-on conn-failure(?: (?:empty-response|junk-response|response-timeout|[45][0-9]{2}))+'),
      line('compression algo gzip'),
      line('compression type(?: [a-z0-9.+/-]+)+'),
      line('option httpchk'),
      line(`http-check send meth [A-Z]+ uri /(?:${escaped})? ver HTTP/1.1 hdr Host (?:[A-Za-z0-9.:-]+|%\\[be_name\\])`),
      line('http-check expect status [0-9,-]+'),
      line(`http-check expect string ${escaped}`),
      line('option tcp-check'),
      line('tcp-check send-binary [0-9a-f]+'),
      line('tcp-check expect binary 00000000020801'),
      line(`http-request deny deny_status 403 if \\{ src${networks} \\}`),
      line(`acl allowed src${networks}`),
      line('http-request deny deny_status 403 unless allowed'),
      ...limitLines,
      line('http-request set-var\\(txn.origin\\) path'),
      line(`http-request replace-path ${escaped} ${format}`),
      line('http-request replace-path \\^//\\+\\(\\.\\*\\)\\$ /\\\\\\\\1 if \\{ path -m beg // \\}'),
      line(
        'http-request return status 414 content-type text/plain string "the path of this request is too long\\\\n" if \\{ path,length gt 2048 \\}',
      ),
      line('http-request set-var\\(txn.moved\\) bool\\(true\\) unless \\{ path,strcmp\\(txn.origin\\) eq 0 \\}'),
      line(
        `http-request set-var\\(txn.moved\\) bool\\(true\\) unless \\{ req.hdr\\(host\\),host_only -m str -i ${hostName} \\}`,
      ),
      line(
        `http-request redirect location https?://(?:${hostName}(?::${port})?|%\\[req.hdr\\(host\\)(?:,host_only)?\\](?::${port})?)%\\[pathq\\] code 30[12378] if \\{ var\\(txn.moved\\) -m found \\}(?: \\{ var\\(txn.certified\\) -m found \\}| \\{ ssl_fc \\} \\|\\| \\{ var\\(txn.moved\\) -m found \\} \\{ req.hdr\\(X-Forwarded-Proto\\) -i https \\})?`,
      ),
      line(
        'http-request return status 400 content-type text/plain string "the path of this request is not valid\\\\n" if \\{ path -m reg /\\\\\\.\\\\\\.\\?\\(/\\|;\\|\\$\\) \\}',
      ),
      line(
        `http-request redirect location https://%\\[req.hdr\\(host\\),host_only\\](?::[0-9]+)?%\\[pathq\\] code 308 (?:if \\{ var\\(txn.certified\\) -m found \\}|unless ${secure})`,
      ),
      ...certificateLines,
      line('\\.if version_atleast\\(2.9\\)'),
      line(`http-request set-timeout client ${ms}`),
      line('\\.endif'),
      line('http-request disable-l7-retry unless \\{ method GET HEAD OPTIONS PUT DELETE \\}'),
      line(`http-(?:request|response) del-header ${header}`),
      line(`http-(?:request|response) (?:set|add)-header ${header} ${format}`),
      line(`tcp-request content reject if \\{ src${networks} \\}`),
      line('tcp-request content reject unless allowed'),
      line(
        'http-request set-header X-Forwarded-Prefix /%\\[path,field\\(2,/,[1-9]\\)\\] if \\{ var\\(txn.strip\\) -m str [1-9] \\}',
      ),
      line('http-request set-path /%\\[path,field\\([0-9]+,/,0\\)\\] if \\{ var\\(txn.strip\\) -m str [1-9] \\}'),
    ],
  },
  { opening: /^backend _policy-[0-9a-f]{32}-open from _base$/, lines: openTableLines },
  {
    opening: /^backend _policy-[0-9a-f]{32}-rates from _base$/,
    lines: [line('\\.if version_atleast\\(3\\.0\\)'), ...rateTableLines, line('\\.else')],
  },
  {
    opening: /^backend _policy-[0-9a-f]{32}-tokens from _base$/,
    lines: [line('stick-table type binary len 32 size 100k expire 1m store gpt0')],
  },
  {
    opening: /^peers _policy-[0-9a-f]{32}-peers$/,
    lines: [
      line('bind unix@/[A-Za-z0-9./_-]+/[A-Za-z0-9_-]{12} mode 600'),
      line('server "\\$\\{HAPROXY_LOCALPEER-pointsman\\}"'),
      line('\\.endif'),
    ],
  },
  {
    opening: /^backend _policy-[0-9a-f]{32}-pem from _base$/,
    lines: [
      line(`server none 127.0.0.1:1 disabled ssl (?:verify none|verify required ca-file ${pem})(?: crt ${pem})?`),
    ],
  },
  { opening: new RegExp(`^backend (${name}) from policy-[0-9a-f]{32}$`), lines: [serverLine, ...versionLines] },
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

// The end of a configuration, by which a worker shows which one it was loaded from.
const mark = /\n# [^\n]*\nglobal\n {4}set-var proc\.pointsman_config str\([0-9a-f]{16}\)\n$/;

/** The opening line of each section with the lines in it; empty ones and comments are left out. */
function sectionsOf(config: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let open: string[] | undefined;
  // A carriage return, a form feed or a NUL is no end of a line to HAProxy, and strange here.
  for (const text of config.replace(mark, '').split('\n')) {
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
