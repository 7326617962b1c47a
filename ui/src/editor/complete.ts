import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';

import type { Column, FunctionInfo } from '../generated/api';

export interface Vocabulary {
  columns: readonly Column[];
  functions: readonly FunctionInfo[];
  /** Whether aggregates may stand here. */
  aggregate: boolean;
}

const WORDS = ['AND', 'OR', 'NOT', 'IS NULL', 'IS NOT NULL', 'IN', 'BETWEEN', 'LIKE', 'CASE WHEN', 'CAST'];

const bare = /^[a-z_][a-z0-9_]*$/;

/** Everything that may stand in an expression: columns first, then functions, then words. */
export function completions({ columns, functions, aggregate }: Vocabulary): Completion[] {
  return [
    ...columns.map((column) => ({
      label: column.name,
      apply: bare.test(column.name) ? column.name : `"${column.name.replaceAll('"', '""')}"`,
      detail: column.type,
      type: 'property',
      boost: 2,
    })),
    ...functions
      .filter((one) => aggregate || !one.is_aggregate)
      .map((one) => ({ label: one.name, apply: `${one.name}(`, detail: one.signature.replace(one.name, ''), info: one.summary, type: 'function', boost: one.is_aggregate ? 1 : 0 })),
    ...WORDS.map((word) => ({ label: word, type: 'keyword', boost: -1 })),
  ];
}

/** A completion source over what `vocabulary` gives at the moment. */
export function completionSource(vocabulary: () => Vocabulary) {
  return (context: CompletionContext): CompletionResult | null => {
    const word = context.matchBefore(/[A-Za-z_][A-Za-z0-9_]*/);
    if (word === null && !context.explicit) return null;
    return { from: word?.from ?? context.pos, options: completions(vocabulary()), validFor: /^[A-Za-z0-9_]*$/ };
  };
}
