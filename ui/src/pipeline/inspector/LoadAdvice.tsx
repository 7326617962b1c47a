import type { ReactElement } from 'react';

import type { TaskAdvice } from '../../generated/api';
import { rescaleNodes } from '../../store/actions';
import { usePhase } from '../../store/select';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { closed, sentence } from '../../text/format';
import { Words } from '../../text/Words';
import { adviceOf, isChange, wantsWords, whyWords } from '../autoscale';

/** What the load asks for of a node, and a button that has it so. */
export function LoadAdvice({ id }: { id: string }): ReactElement | null {
  const phase = usePhase();
  const autoscale = useStore((state) => state.figures?.autoscale);
  const advice = adviceOf(autoscale, id);
  if (phase !== 'running' || autoscale === undefined || advice === undefined) return null;
  return (
    <div className="load-advice" role="note" aria-label={en.autoscale.label} data-testid="load-advice">
      <p className="inspector-note">
        {advice.node !== id && `${en.autoscale.goesWith(advice.node)} `}
        <strong>{wantsWords(advice)}</strong> <Words text={whyWords(advice)} />
      </p>
      {isChange(advice) && autoscale.mode === 'advise' && <Apply advice={advice} />}
      {isChange(advice) && autoscale.mode === 'on' && <p className="inspector-note mute">{en.autoscale.byItself}</p>}
      {autoscale.waits !== undefined && (
        <p className="inspector-note mute">
          <Words text={closed(sentence(autoscale.waits))} />
        </p>
      )}
    </div>
  );
}

function Apply({ advice }: { advice: TaskAdvice }): ReactElement {
  const kept = useStore((state) => state.run?.kept === true);
  const change = useStore((state) => state.figures?.change);
  const isChanging = change !== undefined && change.pause_ms === undefined;
  return (
    <button type="button" className="button" title={kept ? en.autoscale.applyHelp : en.change.notKept} disabled={!kept || isChanging} onClick={() => void rescaleNodes(advice.asks)}>
      {en.autoscale.apply}
    </button>
  );
}
