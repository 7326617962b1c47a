import { CircleAlert, CircleCheck, TriangleAlert } from 'lucide-react';
import type { ReactElement } from 'react';

import type { Finding } from '../../generated/api';
import { revealLine, selectNode } from '../../store/actions';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { closed, sentence } from '../../text/format';
import { Words } from '../../text/Words';

const NONE: readonly never[] = [];

/** All that is wrong, errors first; a click shows the place. */
export function Problems(): ReactElement {
  const findings = useStore((state) => state.document?.findings ?? NONE);
  if (findings.length === 0) {
    return (
      <p className="empty ok">
        <CircleCheck size={18} aria-hidden />
        {en.dock.noProblems}
      </p>
    );
  }
  const ordered = [...findings].sort((a, b) => Number(b.severity === 'error') - Number(a.severity === 'error'));
  return (
    <ul className="problems scroll" tabIndex={-1}>
      {ordered.map((finding, index) => (
        <li key={index}>
          <Problem finding={finding} />
        </li>
      ))}
    </ul>
  );
}

function Problem({ finding }: { finding: Finding }): ReactElement {
  const error = finding.severity === 'error';
  const Shape = error ? CircleAlert : TriangleAlert;
  const show = (): void => {
    if (finding.node !== undefined) selectNode(finding.node);
    if (finding.line > 0) revealLine(finding.line);
  };
  const extra = [
    finding.expected !== undefined ? en.form.expected(finding.expected) : '',
    finding.nearest !== undefined ? en.form.nearest(finding.nearest) : '',
    finding.help === undefined ? '' : sentence(finding.help),
  ].filter((part) => part !== '');
  return (
    <button type="button" className="problem" onClick={show}>
      <span className={error ? 'error' : 'warn'}>
        <Shape size={14} aria-hidden />
        <span className="unseen">{error ? en.dock.errorWord : en.dock.warningWord}</span>
      </span>
      <span className="mono mute">{finding.code}</span>
      <span className="problem-place mono">{[finding.node, finding.field].filter((part) => part !== undefined).join('.')}</span>
      <span>
        <Words text={extra.length === 0 ? finding.message : closed(finding.message)} />{' '}
        <span className="mute">
          <Words text={extra.map(closed).join(' ')} />
        </span>
      </span>
      <span className="mute">{finding.line > 0 ? en.dock.atLine(finding.line, finding.column) : ''}</span>
    </button>
  );
}
