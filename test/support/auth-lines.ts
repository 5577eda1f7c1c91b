const texts = '[A-Za-z0-9_][A-Za-z0-9_:/.@=+~-]*';
const parts: Readonly<Record<string, string>> = {
  FILE: '[A-Za-z0-9][A-Za-z0-9._-]{0,62}',
  FILE_OR_NONE: '[A-Za-z0-9._-]{0,63}',
  HOSTS: '/[A-Za-z0-9._/-]+/hosts\\.map',
  MAP: '/[A-Za-z0-9._/-]+/auth\\.map',
  POLICY: 'policy-[0-9a-f]{32}',
  NUMBER: '[0-9]{1,4}',
  MS: '[0-9]{1,8}',
  ALLOW: '(?:deny|allow)',
  BY: '[a-z]+',
  ALGORITHM: '(?:RS|ES|PS|HS)(?:256|384|512)',
  CLAIM: '[A-Za-z_][A-Za-z0-9_.-]*(?:\\[[0-9]{1,2}\\])?',
  TEXTS: `${texts}(?: ${texts})*`,
  TEXT: texts,
  HEADER: '[A-Za-z0-9][A-Za-z0-9_-]{0,63}',
  ANY_SPELLING: '(?:[a-z0-9]|\\[\\^a-z0-9\\])+',
  COOKIE: '[A-Za-z0-9_][A-Za-z0-9._-]{0,63}',
  REALM: '[A-Za-z0-9](?:[A-Za-z0-9._-]|\\\\ )*',
  TOKEN: '(?:http_auth_bearer|req\\.cook\\([A-Za-z0-9_][A-Za-z0-9._-]{0,63}\\))',
  DECODED: '(?:,ub64dec)?',
  UNLESS_KNOWN: '(?: if !\\{ var\\(txn\\.jwt_ok\\) -m found \\})?',
  CLAIM_NAME: '[A-Za-z_][A-Za-z0-9_-]*',
  WORD: '[A-Za-z0-9._:/[\\]@+,*=~-]+',
  LIST: '[A-Za-z0-9,_-]+',
  SPELLINGS: '\\^\\((?:[a-z0-9|]|\\[\\^a-z0-9\\])+\\)\\$',
  ANSWER:
    'http-request return status (?:400|401|403|503) content-type text/plain(?: hdr Cache-Control no-store)?(?: hdr WWW-Authenticate Bearer(?:\\\\ error=\\\\"invalid_token\\\\")?)? string "[a-zA-Z ]+\\\\n"',
};

const refusal = (status: string) =>
  `http-request return status ${status} content-type text/plain hdr Cache-Control no-store`;
const notValid = `${refusal('403')} string "the client certificate is not valid\\n"`;
const certificateForms = `
${refusal('403')} string "this service needs TLS\\n" unless { ssl_fc } || { so_name passed-on-tls }
http-request set-var(txn.cert_host) req.fhdr(host),host_only,lower
${refusal('421')} hdr Connection close string "this host needs a connection of its own\\n" unless { ssl_fc_sni,lower,strcmp(txn.cert_host) eq 0 }
${refusal('421')} hdr Connection close string "this host needs a new session of TLS\\n" if { ssl_fc_is_resumed }
http-request set-var(txn.cert_trust) var(txn.cert_host),map_str(<HOSTS>)
http-request set-var(txn.cert_trust) var(txn.cert_host),regsub(^[^.]*,*),map_str(<HOSTS>) unless { var(txn.cert_trust) -m found }
${refusal('503')} string "the authorities of this service are not known\\n" unless { var(txn.cert_trust) -m str <FILE>/<FILE_OR_NONE> }
${refusal('403')} lf-string "the client certificate is not valid (OpenSSL error %[ssl_c_verify])\\n" if { ssl_c_used } !{ ssl_c_verify 0 } || { ssl_c_used } !{ ssl_c_err 0 } || { ssl_c_used } !{ ssl_c_ca_err 0 }
${refusal('403')} string "a client certificate is needed\\n" unless { ssl_c_used }
${notValid} if { ssl_c_s_dn(cn) -m reg [[:cntrl:]] }
http-request set-header <HEADER> %[ssl_c_s_dn(cn)] if { ssl_c_used }
${notValid} if { ssl_c_s_dn(,0,rfc2253) -m reg [[:cntrl:]] }
http-request set-header <HEADER> %[ssl_c_s_dn(,0,rfc2253)] if { ssl_c_used }
http-request set-header <HEADER> %[ssl_c_serial,hex] if { ssl_c_used }
http-request set-header <HEADER> %[ssl_c_der,sha2(256),hex] if { ssl_c_used }
http-request set-header <HEADER> %[ssl_c_der,base64] if { ssl_c_used }
`;

/** The lines that `auth` of a policy may make, each with the places of its values. */
const forms = `
http-request del-header ^<ANY_SPELLING>$ -m reg
http-request del-header Authorization
<ANSWER> if { req.hdr_cnt(authorization) gt 1 } || { req.fhdr(authorization),word(3,\\ ) -m len gt 0 }
<ANSWER> if { req.cook_cnt(<COOKIE>) gt 1 } || { req.fhdr(cookie) -m sub \\" } || { req.fhdr(cookie) -m reg [^;[:space:]][[:space:]]+<COOKIE>[[:space:]]*=|,[[:space:]]*<COOKIE>[[:space:]]*= }
http-request set-var(txn.auth_hex) req.fhdr(authorization),word(2,\\ ),b64dec,hex
<ANSWER> if { var(txn.auth_hex) -m found } !{ req.fhdr(authorization),word(2,\\ ),b64dec,concat(),hex,strcmp(txn.auth_hex) -m int 0 }
http-request set-var(txn.auth_user) http_auth_user
http-request set-var(txn.auth_stored) str(users:<FILE>/),concat(,txn.auth_user),map_str(<MAP>)
http-request set-var(txn.auth_salt) var(txn.auth_stored),field(1,.)
http-request set-var(txn.auth_digest) http_auth_pass,concat(,txn.auth_salt),sha2(256),base64
http-request set-var(txn.auth_ok) bool(true) if { var(txn.auth_stored),field(2,.),secure_memcmp(txn.auth_digest) }
<ANSWER> if !{ var(txn.auth_ok) -m found } !{ str(users:<FILE>/),map_str(<MAP>) -m found }
http-request return status 401 content-type text/plain hdr Cache-Control no-store hdr WWW-Authenticate Basic\\ realm=\\"<REALM>\\",\\ charset=\\"UTF-8\\" string "a user and a password are needed\\n" unless { var(txn.auth_ok) -m found }
http-request set-header <HEADER> %[var(txn.auth_user)]
http-request set-var(txn.jwt) <TOKEN>
http-request set-var(txn.jwt_head) var(txn.jwt),field(1,.),ub64dec
http-request set-var(txn.jwt_id) var(txn.jwt_head),json_query('$.kid')
http-request set-var(txn.jwt_key) str(<ALGORITHM>:<FILE>/),concat(,txn.jwt_id),map_str(<MAP>)<DECODED>
http-request set-var(txn.jwt_now) date()
http-request set-var(txn.jwt_seen) var(txn.jwt),concat(.,txn.jwt_key),sha2(256)
http-request set-var(txn.jwt_ok) bool(true) if { var(txn.jwt_key) -m found } { var(txn.jwt_seen),table_gpt0(_<POLICY>-tokens),sub(txn.jwt_now) -m int gt 0 }
http-request set-var(txn.jwt_body) var(txn.jwt),field(2,.),ub64dec<UNLESS_KNOWN>
.if version_atleast(3.0)
http-request set-var(txn.jwt_new) bool(true) if !{ var(txn.jwt_ok) -m found } { var(txn.jwt_key) -m found } { var(txn.jwt_head),json_query('$.alg') -m str <ALGORITHM> } { var(txn.jwt),jwt_verify(<ALGORITHM>,txn.jwt_key) -m int 1 }
.else
<ANSWER>
<ANSWER> if !{ var(txn.jwt_ok) -m found } !{ var(txn.jwt_new) -m found } !{ str(keys:<FILE>/),map_str(<MAP>) -m found }
<ANSWER> if !{ var(txn.jwt_ok) -m found } !{ var(txn.jwt) -m found }
http-request unset-var(txn.jwt_new) if !{ var(txn.jwt_ok) -m found } { var(txn.jwt_id) -m reg [[:cntrl:]] }
http-request unset-var(txn.jwt_new) if !{ var(txn.jwt_ok) -m found } { var(txn.jwt_body) -m reg \\"(exp|nbf)\\"[[:space:]]*:[[:space:]]*([-tf{[]|[0-9.]+[eE]) }
http-request unset-var(txn.jwt_new) if !{ var(txn.jwt_ok) -m found } !{ var(txn.jwt_body),json_query('$.exp','int'),hex -m reg ^000000[0-9A-D] }
http-request unset-var(txn.jwt_new) if !{ var(txn.jwt_ok) -m found } { var(txn.jwt_body),json_query('$.nbf') -m found } !{ var(txn.jwt_body),json_query('$.nbf','int'),hex -m reg ^000000[0-9A-D] }
http-request unset-var(txn.jwt_new) if !{ var(txn.jwt_ok) -m found } !{ var(txn.jwt_body),json_query('$.exp','int'),sub(txn.jwt_now),add(<NUMBER>) -m int gt 0 }
http-request unset-var(txn.jwt_new) if !{ var(txn.jwt_ok) -m found } { var(txn.jwt_body),json_query('$.nbf','int'),sub(txn.jwt_now) -m int gt <NUMBER> }
http-request unset-var(txn.jwt_new) if !{ var(txn.jwt_ok) -m found } !{ var(txn.jwt_body),json_query('$.iss') -m str <TEXT> }
acl jwt-audience var(txn.jwt_body),json_query('$.<CLAIM>') -m str <TEXTS>
http-request unset-var(txn.jwt_new) if !{ var(txn.jwt_ok) -m found } !jwt-audience
<ANSWER> if !{ var(txn.jwt_ok) -m found } !{ var(txn.jwt_new) -m found }
acl jwt-claim-<NUMBER> var(txn.jwt_body),json_query('$.<CLAIM>') -m str <TEXTS>
<ANSWER> if !{ var(txn.jwt_ok) -m found } !jwt-claim-<NUMBER>
http-request track-sc0 var(txn.jwt_seen) table _<POLICY>-tokens if !{ var(txn.jwt_ok) -m found }
http-request sc-set-gpt0(0) var(txn.jwt_body),json_query('$.exp','int'),add(<NUMBER>) if !{ var(txn.jwt_ok) -m found }
http-request unset-var(txn.jwt_claim)<UNLESS_KNOWN>
http-request set-var(txn.jwt_claim) var(txn.jwt_body),json_query('$.<CLAIM>','int')<UNLESS_KNOWN>
http-request set-var(txn.jwt_text) var(txn.jwt_claim),concat(),hex if !{ var(txn.jwt_ok) -m found }
<ANSWER> if !{ var(txn.jwt_ok) -m found } { var(txn.jwt_claim) -m reg ^$|^[[:space:]]|[[:space:]]$|[[:cntrl:]]|^[[] }
<ANSWER> if !{ var(txn.jwt_ok) -m found } !{ var(txn.jwt_claim),hex,strcmp(txn.jwt_text) -m int 0 } { var(txn.jwt_body) -m reg \\"<CLAIM_NAME>\\"[[:space:]]*:[[:space:]]*([-tf{[]|[0-9]+[.eE]|[0-9]{16}|\\"[^\\"]*[\\\\\\\\]u00) }
http-request set-header <HEADER> %[var(txn.jwt_claim)] if { var(txn.jwt_claim) -m found }
`;

const forwardForms = `
http-request return status 508 content-type text/plain string "the service that is asked about this request asks another service itself\\n" if { fe_name _forward-auth }
http-request del-header <SPELLINGS> -m reg
.if feature(LUA) && defined(POINTSMAN_FORWARD_AUTH)
http-request lua.pointsman_forward_auth <FILE> <WORD> <MS> <ALLOW> <MS> <BY> <LIST> <LIST>
http-request return status 503 content-type text/plain hdr Retry-After 5 hdr Cache-Control no-store string "this request could not be authenticated\\n" unless { var(txn.authenticated) -m bool }
http-response lua.pointsman_auth_cookies if { var(txn.auth_cookies) -m found }
`;

/** Forms of the lines that `auth` of a policy may make. */
export const authLines: readonly RegExp[] = `${forms.trim()}${certificateForms}${forwardForms.trimStart()}`
  .trim()
  .split('\n')
  .map((form) => {
    const escaped = form.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return new RegExp(`^ {4}${escaped.replace(/<([A-Z_]+)>/g, (_, part: string) => parts[part] ?? '')}$`);
  });
