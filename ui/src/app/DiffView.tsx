import type { ReactElement } from 'react';

import type { DiffLineKind, TextDiff } from '../generated/api';
import { en } from '../text/en';

const SIGNS: Record<DiffLineKind, string> = { same: '', removed: '−', added: '+', gap: '⋯' };

const number = (line: number): string => (line === 0 ? '' : String(line));

/** Two texts by line: the sign and the colour say which side a line is on. */
export function DiffView({ diff }: { diff: TextDiff }): ReactElement {
  if (diff.lines.length === 0) return <p className="mute">{en.diff.none}</p>;
  return (
    <>
      <p className="mute">
        <span className="error">− {diff.old_title}</span> <span className="ok">+ {diff.new_title}</span>
      </p>
      <div className="diff scroll" role="group" aria-label={en.diff.title} tabIndex={0}>
        {diff.lines.map((line, index) => (
          <div key={index} className={`diff-line ${line.kind}`}>
            <span>{number(line.old_line)}</span>
            <span>{number(line.new_line)}</span>
            <span>{SIGNS[line.kind]}</span>
            <span>{line.text}</span>
          </div>
        ))}
      </div>
    </>
  );
}
