import { StreamLanguage, type StreamParser } from '@codemirror/language';

const SQL_KEYWORDS = new Set(
  'and or not is null in between like ilike case when then else end cast as distinct true false filter where order by asc desc interval over'.split(' '),
);

const sql: StreamParser<null> = {
  name: 'expression',
  startState: () => null,
  token: (stream) => {
    if (stream.eatSpace()) return null;
    if (stream.match(/^'(?:[^']|'')*'?/)) return 'string';
    if (stream.match(/^"(?:[^"]|"")*"?/)) return 'propertyName';
    if (stream.match(/^\d+(\.\d+)?([eE][+-]?\d+)?/)) return 'number';
    if (stream.match(/^[A-Za-z_][A-Za-z0-9_]*/)) {
      if (SQL_KEYWORDS.has(stream.current().toLowerCase())) return 'keyword';
      return stream.match(/^\s*\(/, false) ? 'variableName.function' : 'propertyName';
    }
    stream.next();
    return 'operator';
  },
};

const toml: StreamParser<{ value: boolean }> = {
  name: 'pipeline',
  startState: () => ({ value: false }),
  token: (stream, state) => {
    if (stream.sol()) state.value = false;
    if (stream.eatSpace()) return null;
    if (stream.match(/^#.*/)) return 'comment';
    if (!state.value && stream.match(/^\[\[?[^\]]*\]?\]?/)) return 'heading';
    if (stream.match(/^"(?:[^"\\]|\\.)*"?/) || stream.match(/^'[^']*'?/)) return stream.match(/^\s*=/, false) ? 'propertyName' : 'string';
    if (stream.match(/^=/)) {
      state.value = true;
      return 'operator';
    }
    if (stream.match(/^[A-Za-z0-9_-]+(?=\s*=)/)) return 'propertyName';
    if (stream.match(/^(true|false)\b/)) return 'bool';
    if (stream.match(/^[+-]?\d[\d_.eE+:TZ-]*/)) return 'number';
    stream.next();
    return null;
  },
};

export const expressionLanguage = StreamLanguage.define(sql);
export const pipelineLanguage = StreamLanguage.define(toml);
export { SQL_KEYWORDS };
