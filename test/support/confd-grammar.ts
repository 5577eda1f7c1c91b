import fc from 'fast-check';

/** Keys that the templates of the grammar name. Each character of a key or a value is one byte. */
export const grammarKeys: Readonly<Record<string, string>> = {
  '/s/a': '1',
  '/s/b': '22',
  '/s/c/d': 'x',
  '/s/c/e.f': 'y z',
  '/x': '10',
  '/j': '{"a":1,"b":[1,2.5,null],"c":{"d":"<e>"}}',
  '/arr': '["x",null,{"k":"v"},1.5,true]',
  '/e': '',
  '/n': '42',
  '/\xc3\xbc': '\xc3\xa9',
  '/s/\xff': '\xff\xfe\x80a\xc3\xa9',
  '/s/\xc3\xa9/': '\xe2\x82',
  '/\xf0\x9f\x98\x80': '{"k":"\xff"}',
  '/list': 'a,b,,c',
};

const text = fc.constantFrom(
  ...[
    '"a"',
    '""',
    '"x y"',
    '"%d"',
    '"é"',
    '`raw`',
    '"/s/a"',
    '"/s/*"',
    '"/s"',
    '"/"',
    '"/*"',
    '","',
    '"/n"',
    '"42"',
    '"\\n"',
    '"\\xff"',
    '"\\xc3\\xa9\\x80"',
    '"/s/\\xff"',
    '"/s/?"',
    '"/s/[^a-c]"',
    '"/\\U0001F600"',
  ],
);
const number = fc.constantFrom(
  ...['0', '1', '2', '-1', '3', '10', '0x1F', '1.5', '1e3', "'a'", '1_0', '-0.0', '1e-7', '2.5', '1e21', '233', '1i'],
);
const one = fc.constantFrom(
  ...['len', 'not', 'html', 'js', 'urlquery', 'print', 'println', 'base', 'dir', 'getv', 'get', 'gets', 'getvs', 'ls'],
  ...['lsdir', 'exists', 'json', 'jsonArray', 'toUpper', 'toLower', 'atoi', 'parseBool', 'reverse', 'sortByLength'],
  ...['sortKVByLength', 'base64Encode', 'base64Decode'],
);
const two = fc.constantFrom(
  ...['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'and', 'or', 'index', 'slice', 'printf', 'print', 'println', 'add', 'sub'],
  ...['mul', 'div', 'mod', 'split', 'join', 'contains', 'trimSuffix', 'map', 'getv'],
);
const verbs = fc.constantFrom(
  '%d',
  '%s',
  '%v',
  '%q',
  '%5d',
  '%-5s|',
  '%05d',
  '%t',
  '%.2f',
  '%g',
  '%+v',
  '%#v',
  '%T',
  '%%',
  '%x',
  '% X',
  '%#x',
  '%+q',
  '%c',
  '%U',
  '%b',
  '%e',
  '%8.3f',
  '%+.1e',
  '%*d',
  '%[2]v',
  '%.2s',
  '%z',
);
const ranged = fc.constantFrom(
  ...['gets "/s/*"', 'getvs "/*"', 'ls "/"', 'lsdir "/"', 'split (getv "/list") ","', 'jsonArray (getv "/arr")'],
  ...['json (getv "/j")', 'seq 1 3', 'gets "/s/*/*"', 'ls "/s"', 'reverse (gets "/s/*")'],
);
/** February 29, 2024, at 13:08:09: a time that is the same whenever it is made. */
const fixedTime =
  '{{$n := datetime.UTC}}{{$m := printf "%d" $n.Month | atoi}}{{$t := (($n.Truncate 86400000000000).AddDate (sub 2024 $n.Year) (sub 2 $m) (sub 29 $n.Day)).Add 47289123456789}}';
const time = fc.constantFrom(
  ...['$t', '($t.Add 1500000000)', '($t.AddDate 0 1 1)', '($t.Truncate 3600000000000)', '($t.AddDate -1 -14 31)'],
);
const ofTime = fc.constantFrom(
  ...[
    'Month',
    'Weekday',
    'Year',
    'YearDay',
    'Unix',
    'Hour',
    'Nanosecond',
    'IsZero',
    'String',
    'Month.String',
    'Location',
  ],
  ...['Format "Mon Jan _2 15:04:05.000 MST 2006"', 'Format "02/01/06 3PM -07:00 Z0700 002"', 'MarshalText', 'GoString'],
  ...['Round 60000000000', 'Sub $t', 'Before $t', 'Equal $t'],
);
const plain = fc.constantFrom('text', ' ', '\n', '\n  x ', 'a\n\n', '{ ', '} ', '{{/* c */}}', '{{- "" -}}');
const left = fc.constantFrom('{{', '{{', '{{', '{{- ');
const right = fc.constantFrom('}}', '}}', '}}', ' -}}');
const tag = (inside: fc.Arbitrary<string>) => fc.tuple(left, inside, right).map((parts) => parts.join(''));
const joined = (...parts: readonly (fc.Arbitrary<string> | string)[]) =>
  fc.tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part))).map((all) => all.join(''));

/** Templates as the language allows them; many fail when they are executed, as they do with confd. */
export const templates: fc.Arbitrary<string> = fc
  .letrec<{ pipe: string; body: string }>((tie) => {
    const operand = fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      text,
      number,
      fc.constantFrom('.', '$', '$v', '$i', '.Key', '.Value', '.a', '.k', 'true', 'nil'),
      joined('(', tie('pipe'), ')'),
    );
    const command = fc.oneof(
      operand,
      joined(one, ' ', operand),
      joined(two, ' ', operand, ' ', operand),
      joined('printf "', verbs, '-', verbs, '" ', operand, ' ', operand),
      joined('replace ', text, ' ', text, ' ', text, ' ', number),
      joined(time, '.', ofTime),
      joined('(', time, '.Sub $t).', fc.constantFrom('Hours', 'Seconds', 'Milliseconds', 'String', 'Abs')),
    );
    const further = fc.oneof(one, joined(two, ' ', operand));
    const otherwise = fc.oneof(fc.constant(''), joined('{{else}}', tie('body')));
    return {
      pipe: fc.oneof({ depthSize: 'small' }, command, joined(command, ' | ', further)),
      body: fc
        .array(
          fc.oneof(
            { depthSize: 'small' },
            plain,
            tag(tie('pipe')),
            tag(joined('$v = ', tie('pipe'))),
            joined(tag(joined('if ', tie('pipe'))), tie('body'), otherwise, '{{end}}'),
            joined(tag(joined('with ', tie('pipe'))), tie('body'), otherwise, '{{end}}'),
            joined(tag(joined('range ', ranged)), tie('body'), otherwise, '{{end}}'),
            joined(tag(joined('range $i, $v := ', ranged)), tie('body'), otherwise, '{{end}}'),
          ),
          { minLength: 1, maxLength: 4 },
        )
        .map((parts) => parts.join('')),
    };
  })
  .body.map((body) => `${fixedTime}{{$v := getv "/x"}}{{$i := 0}}${body}`);
