import { Minus, Plus } from 'lucide-react';
import { useEffect, useRef, type ReactElement } from 'react';

import { MOST_TASKS } from '../store/actions';
import { en } from '../text/en';

interface StepperProps {
  label: string;
  /** What is so now. */
  now: number;
  /** What it is to be; undefined where nothing was stepped. */
  wanted: number | undefined;
  title: string;
  step: (by: number) => void;
  act: () => void;
  /** Shown where nothing was stepped. */
  rest: string;
  testId?: string;
  /** Why it cannot be stepped, if it cannot. */
  refused?: string | undefined;
}

/** A number of tasks with one button for less and one for more, and one that carries it out. */
export function Stepper({ label, now, wanted, title, step, act, rest, testId, refused }: StepperProps): ReactElement {
  const at = wanted ?? now;
  const group = useRef<HTMLSpanElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  // Stepped to by a key from elsewhere: Enter is to carry it out. Who steps with the buttons keeps them.
  useEffect(() => {
    if (wanted !== undefined && group.current?.contains(document.activeElement) !== true) button.current?.focus();
  }, [wanted]);
  return (
    <span ref={group} className="stepper" role="group" aria-label={label} title={refused === undefined ? title : `${title}\n${refused}`} data-testid={testId}>
      <button type="button" className="icon-button" aria-label={en.change.fewer} disabled={refused !== undefined || at <= 1} onClick={() => step(-1)}>
        <Minus size={12} aria-hidden />
      </button>
      <span className="stepper-value number" aria-live="polite">
        {wanted === undefined ? rest : en.change.draft(now, wanted)}
      </span>
      <button type="button" className="icon-button" aria-label={en.change.more} disabled={refused !== undefined || at >= MOST_TASKS} onClick={() => step(1)}>
        <Plus size={12} aria-hidden />
      </button>
      {refused !== undefined && <span className="unseen">{refused}</span>}
      {wanted !== undefined && (
        <button ref={button} type="button" className="button stepper-act" title={en.change.rescaleHelp} onClick={act}>
          {en.change.rescale}
        </button>
      )}
    </span>
  );
}
