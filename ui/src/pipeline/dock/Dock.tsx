import './dock.css';

import { lazy, Suspense, type ReactElement, type ReactNode } from 'react';

import { ChartTools } from '../../charts/ChartTools';
import { showDock } from '../../store/actions';
import { useFiring } from '../../store/select';
import type { DockTab } from '../../store/state';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { count } from '../../text/format';
import { Tabs } from '../Tabs';
import { Alerts } from './Alerts';
import { ChartDock } from './ChartDock';
import { Checkpoints } from './Checkpoints';
import { Problems } from './Problems';
import { RowsDock } from './RowsDock';

const TextDock = lazy(async () => ({ default: (await import('./TextDock')).TextDock }));

const PANEL = 'dock-panel';

export function Dock(): ReactElement {
  const shown = useStore((state) => state.dock);
  const problems = useStore((state) => state.document?.findings.length ?? 0);
  const errors = useStore((state) => state.document?.findings.some((finding) => finding.severity === 'error') === true);
  const failed = useStore((state) => state.figures?.checkpoints.filter((one) => one.outcome === 'failed').length ?? 0);
  const firing = useFiring();
  const tabs: { id: DockTab; title: ReactNode }[] = [
    { id: 'text', title: en.dock.text },
    { id: 'chart', title: en.dock.chart },
    { id: 'rows', title: en.dock.rows },
    {
      id: 'checkpoints',
      title: (
        <>
          {en.dock.checkpoints} {failed > 0 && <span className="tab-count error">{count(failed)}</span>}
        </>
      ),
    },
    {
      id: 'alerts',
      title: (
        <>
          {en.alerts.title} {firing > 0 && <span className="tab-count error">{count(firing)}</span>}
        </>
      ),
    },
    {
      id: 'problems',
      title: (
        <>
          {en.dock.problems} <span className={`tab-count ${problems === 0 ? '' : errors ? 'error' : 'warn'}`}>{count(problems)}</span>
        </>
      ),
    },
  ];
  return (
    <section className="dock" aria-label={en.dock.label}>
      <Tabs label={en.dock.label} tabs={tabs} shown={shown} show={showDock} panel={PANEL}>
        {shown === 'chart' && <ChartTools />}
      </Tabs>
      <div id={PANEL} role="tabpanel" className="dock-body">
        <Suspense fallback={null}>
          {shown === 'text' && <TextDock />}
          {shown === 'chart' && <ChartDock />}
          {shown === 'rows' && <RowsDock />}
          {shown === 'checkpoints' && <Checkpoints />}
          {shown === 'alerts' && <Alerts />}
          {shown === 'problems' && <Problems />}
        </Suspense>
      </div>
    </section>
  );
}
