import './shell.css';

import { lazy, Suspense, useEffect, type ReactElement } from 'react';

import { Home } from '../home/Home';
import { usePhase } from '../store/select';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { Boundary } from './Boundary';
import { Dialogs } from './Dialogs';
import { LinkLost } from './LinkLost';
import { Rail } from './Rail';
import { StatusBar } from './StatusBar';
import { Toasts } from './Toasts';
import { TopBar } from './TopBar';
import { useKeys } from './useKeys';

const Pipeline = lazy(() => import('../pipeline/PipelineScreen'));
const Live = lazy(() => import('../live/Live'));
const Events = lazy(() => import('../events/Events'));
const Cluster = lazy(() => import('../cluster/Cluster'));

export function App(): ReactElement {
  useKeys();
  const open = useStore((state) => state.document !== undefined);
  const screen = useStore((state) => state.screen);
  const phase = usePhase();
  const name = useStore((state) => state.document?.name);
  useEffect(() => {
    document.title = name === undefined ? en.product : en.titleOf(name);
  }, [name]);
  return (
    <>
      {open ? (
        <div className="shell" data-phase={phase}>
          <TopBar />
          <Rail />
          <main className="screen">
            <Boundary of={screen}>
              <Suspense fallback={null}>
                {screen === 'pipeline' && <Pipeline />}
                {screen === 'live' && <Live />}
                {screen === 'events' && <Events />}
                {screen === 'cluster' && <Cluster />}
              </Suspense>
            </Boundary>
          </main>
          <StatusBar />
        </div>
      ) : (
        <Home />
      )}
      <LinkLost />
      <Dialogs />
      <Toasts />
    </>
  );
}
