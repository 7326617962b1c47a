import { CircleAlert, CircleCheck, CircleDashed, CircleDot, CircleStop, Loader, Unplug, type LucideIcon } from 'lucide-react';
import type { ReactElement } from 'react';

import { usePhase, type Phase } from '../store/select';
import { en } from '../text/en';

const LOOKS: Record<Phase, { icon: LucideIcon; tone: string }> = {
  draft: { icon: CircleDashed, tone: 'quiet' },
  starting: { icon: Loader, tone: 'quiet' },
  running: { icon: CircleDot, tone: 'ok' },
  draining: { icon: Loader, tone: 'warn' },
  finished: { icon: CircleCheck, tone: 'ok' },
  stopped: { icon: CircleStop, tone: 'quiet' },
  failed: { icon: CircleAlert, tone: 'error' },
  contact_lost: { icon: Unplug, tone: 'error' },
};

/** The run's state: an icon, a word and a colour. */
export function PhaseChip(): ReactElement {
  const phase = usePhase();
  const { icon: Shape, tone } = LOOKS[phase];
  return (
    <span className={`phase-chip ${tone}`} role="status" title={en.phaseTitle[phase]} data-testid="run-state" data-state={phase}>
      <Shape size={12} strokeWidth={2.2} aria-hidden />
      {en.phase[phase]}
    </span>
  );
}
