import {
  Composer,
  type CST,
  type Document,
  Lexer,
  LineCounter,
  type ParsedNode,
  type ParseOptions,
  Parser,
  type SchemaOptions,
} from 'yaml';

/** The documents of a YAML text up to the place where it is nested too deep; they have the errors that the parser found. */
export type ComposedYaml = {
  readonly documents: readonly Document.Parsed<ParsedNode>[];
  readonly lines: LineCounter;
  /** The index at which the text is nested too deep. */
  readonly tooDeepAt: number | undefined;
};

/**
 * Composes the documents of a text. The parser keeps a list of open nodes. The composer recurses for each of them, and near the end
 * of the stack V8 ends the whole process, so a text that is nested deeper than `deepest` is not composed.
 */
export function composeYaml(text: string, deepest: number, options: ParseOptions & SchemaOptions): ComposedYaml {
  const lines = new LineCounter();
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  // The document and a scalar are in that list, too.
  const most = deepest + 2;
  let tooDeepAt: number | undefined;
  // The parser gives a document when it has all of it, so one that is too deep is never composed.
  function* tokens(): Generator<CST.Token> {
    for (const lexeme of new Lexer().lex(text)) {
      yield* parser.next(lexeme);
      if (parser.stack.length <= most) continue;
      tooDeepAt = parser.offset;
      return;
    }
    yield* parser.end();
  }
  const documents = [...new Composer(options).compose(tokens(), true, text.length)];
  return { documents, lines, tooDeepAt };
}
