import type { ReactElement } from 'react';

import { rescale, stepScaling } from '../store/actions';
import { usePhase } from '../store/select';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { count, span } from '../text/format';
import { Stepper } from './Stepper';

/** In how many tasks what runs does so, and how it goes on in more or fewer. */
export function Parallelism(): ReactElement | null {
  const phase = usePhase();
  const now = useStore((state) => state.figures?.parallelism ?? 0);
  const wanted = useStore((state) => state.scaling);
  const kept = useStore((state) => state.run?.kept === true);
  const change = useStore((state) => state.figures?.change);
  if (phase !== 'running' || now === 0) return null;
  const last =
    change === undefined
      ? ''
      : change.epoch === undefined || change.pause_ms === undefined
        ? en.change.underWay(change.what)
        : en.change.last(change.what, count(change.epoch), span(change.pause_ms));
  return (
    <Stepper
      label={en.change.label}
      now={now}
      wanted={wanted}
      rest={en.change.now(now)}
      title={[en.change.nowLabel(now), last].filter((part) => part !== '').join('\n')}
      step={stepScaling}
      act={() => void rescale()}
      testId="parallelism"
      refused={kept ? undefined : en.change.notKept}
    />
  );
}
