import { expect, test } from 'vitest';
import { builtinNames } from './builtins.ts';
import { execute } from './execute.ts';
import { parse } from './parse.ts';
import { anyType, GoFunction, type GoValue } from './value.ts';

const dec = new GoFunction(['int'], ([n]) => (typeof n === 'bigint' ? n - 1n : n), anyType);

const isFunction = (name: string): boolean => name === 'dec' || [...builtinNames].includes(name);

const run = (source: string, data: GoValue): string =>
  execute(parse(source, { file: 't', isFunction }), 't', data, {
    functions: new Map([['dec', dec]]),
  });

test('templates call each other as deep as in Go, through other blocks, and go on where they were', () => {
  const source =
    '{{define "r"}}{{$n := .}}{{if gt . 0}}{{range $i := 2}}{{if eq $i 0}}{{with dec $n}}{{template "r" .}}{{end}}{{continue}}{{end}}{{break}}{{end}}{{end}}{{if eq $n 1 99000}}<{{$n}}>{{end}}{{end}}{{template "r" .}}.';
  expect(run(source, 99_000n)).toBe('<1><99000>.');
});

test('a template that calls itself without end is refused, with the place', () => {
  expect(() => run('{{define "r"}}x{{if true}}{{template "r"}}{{end}}{{end}}{{template "r"}}', undefined)).toThrow(
    'template: t:1:28: executing "r" at <{{template "r"}}>: exceeded maximum template depth (100000)',
  );
});

test('break in the else of a range leaves the range around it', () => {
  expect(run('{{range 3}}{{.}}{{range 0}}{{else}}{{break}}{{end}}never{{end}}.', undefined)).toBe('0.');
  expect(run('{{range $i := 3}}{{if eq $i 1}}{{continue}}{{end}}{{$i}}{{$x := 1}}{{end}}.', undefined)).toBe('02.');
});
