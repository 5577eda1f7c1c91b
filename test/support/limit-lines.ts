const holes: Readonly<Record<string, string>> = {
  number: '[0-9]+',
  ms: '[0-9]+ms',
  policy: 'policy-[0-9a-f]{32}',
  header: '[A-Za-z0-9][A-Za-z0-9_-]{0,63}',
  cookie: '[A-Za-z0-9_][A-Za-z0-9._-]{0,63}',
  map: '/[A-Za-z0-9._/-]+',
};

/** A line of a section as the templates mean it, with `<number>` and the like where a value may be. */
const form = (text: string): RegExp => {
  const parts = text.split(/<(\w+)>/);
  const patterns = parts.map((part, i) => (i % 2 === 1 ? holes[part] : part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')));
  return new RegExp(`^ {4}${patterns.join('')}$`);
};

const tooLarge = 'content-type text/plain string "the body of this request is too large\\n"';
const client = [
  'set-var-fmt(txn.rated) %[be_name]/%[src]',
  'set-var-fmt(txn.rated) %[be_name]/%[src,ipmask(32,64)] unless { src ::ffff:0:0/96 }',
  'track-sc1 var(txn.rated) table _<policy>-open',
  'track-sc2 var(txn.rated) table _<policy>-rates',
  'set-var(txn.weight) str(fleet),map_str_int(<map>,1000)',
  'set-var(txn.weight) var(txn.rated),map_str_int(<map>)',
  'sc-inc-gpc0(2)',
];

/** The lines of a policy's section that `rateLimit` and `limits` may make. */
export const limitLines: readonly RegExp[] = [
  ...client.flatMap((rule) => [form(`http-request ${rule}`), form(`tcp-request content ${rule}`)]),
  ...[
    'deny status 431 content-type text/plain string "the headers of this request are too large\\n" if { req.hdrs,length gt <number> }',
    'deny status 429 content-type text/plain hdr Retry-After 1 string "too many requests at once\\n" if { sc_conn_cur(1) gt <number> }',
    'set-var(txn.by) path',
    'set-var(txn.by) var(txn.path)',
    'set-var-fmt(txn.rated) %[be_name]/%[var(txn.by),sha1,hex]',
    'set-var-fmt(txn.rated) %[be_name]/%[req.fhdr(<header>),sha1,hex] if { req.fhdr(<header>),length gt 0 }',
    'set-var-fmt(txn.rated) %[be_name]/%[req.cook(<cookie>),sha1,hex] if { req.cook(<cookie>),length gt 0 }',
    'deny status 429 content-type text/plain hdr Retry-After <number> string "too many requests\\n" if { sc_gpc0_rate(2) ge <number> }',
    'deny status 429 content-type text/plain hdr Retry-After <number> string "too many requests\\n" if { sc_gpc0_rate(2),mul(txn.weight) ge <number> }',
    `deny status 413 ${tooLarge} if { req.hdr(content-length),set-var(txn.sized),length gt 15 } || { var(txn.sized),add(0) gt <number> }`,
    'wait-for-body time 10s at-least 8192 unless { var(txn.sized) -m found } || { req.hdr(upgrade) -i websocket } { method GET } !{ req.hdr(transfer-encoding) -m found }',
    'set-var(txn.unsized) req.body_len if { req.body_len gt 0 } !{ var(txn.sized) -m found } !{ req.hdr(upgrade) -i websocket } || { req.body_len gt 0 } !{ var(txn.sized) -m found } !{ method GET } || { req.body_len gt 0 } !{ var(txn.sized) -m found } { req.hdr(transfer-encoding) -m found }',
    `deny status 413 ${tooLarge} if { var(txn.unsized) -m int gt <number> }`,
    'set-var(txn.sized) bool(true) if { var(txn.unsized) -m int lt 8192 } { req.hdrs,length le 4096 } { url,length le 2048 }',
    'deny status 411 content-type text/plain string "a large body needs the header Content-Length\\n" if { var(txn.unsized) -m found } !{ var(txn.sized) -m found }',
  ].map((rule) => form(`http-request ${rule}`)),
  ...['sc_gpc0_rate(2) ge', 'sc_gpc0_rate(2),mul(txn.weight) ge', 'sc_conn_cur(1) gt'].map((condition) =>
    form(`tcp-request content reject if { ${condition} <number> }`),
  ),
];

const rateTable = 'stick-table type string len 128 size 100k expire <ms> store gpc0_rate(<ms>)';

/** The lines of the sections with their tables. */
export const rateTableLines: readonly RegExp[] = ['', ',http_req_rate(<ms>)', ',conn_rate(<ms>)'].flatMap((demand) =>
  ['_rates', '_<policy>-peers'].map((peers) => form(`${rateTable}${demand} peers ${peers}`)),
);

export const openTableLines: readonly RegExp[] = [
  form('stick-table type string len 128 size 100k expire 1m store conn_cur'),
];
