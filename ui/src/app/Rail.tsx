import { House, Keyboard, LayoutGrid, List, Monitor, Moon, Network, Sun, Workflow, type LucideIcon } from 'lucide-react';
import { useState, type ReactElement } from 'react';

import { leave, openDialog, showScreen } from '../store/actions';
import { LOCAL, type Screen } from '../store/state';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { charts } from '../charts/host';
import { applyTheme, storedChoice, type ThemeChoice } from '../theme/theme';

const SCREENS: readonly { screen: Screen; icon: LucideIcon; title: string }[] = [
  { screen: 'pipeline', icon: Workflow, title: en.rail.pipeline },
  { screen: 'live', icon: LayoutGrid, title: en.rail.live },
  { screen: 'events', icon: List, title: en.rail.events },
  { screen: 'cluster', icon: Network, title: en.rail.cluster },
];

const NEXT_THEME: Record<ThemeChoice, ThemeChoice> = { system: 'light', light: 'dark', dark: 'system' };
const THEME_ICONS: Record<ThemeChoice, LucideIcon> = { system: Monitor, light: Sun, dark: Moon };

export function Rail(): ReactElement {
  const shown = useStore((state) => state.screen);
  const remote = useStore((state) => state.target !== LOCAL);
  return (
    <nav className="rail" aria-label={en.rail.label}>
      {SCREENS.filter(({ screen }) => screen !== 'cluster' || remote).map(({ screen, icon: Shape, title }) => (
        <button
          key={screen}
          type="button"
          className="rail-button"
          aria-current={shown === screen ? 'page' : undefined}
          aria-label={title}
          title={title}
          onClick={() => showScreen(screen)}
        >
          <Shape size={17} strokeWidth={1.7} aria-hidden />
        </button>
      ))}
      <span className="rail-gap" />
      <ThemeButton />
      <button type="button" className="rail-button" aria-label={en.rail.keys} title={`${en.rail.keys} (?)`} onClick={() => openDialog({ is: 'keys' })}>
        <Keyboard size={17} strokeWidth={1.7} aria-hidden />
      </button>
      <button type="button" className="rail-button" aria-label={en.rail.home} title={en.rail.home} onClick={() => void leave('home')}>
        <House size={17} strokeWidth={1.7} aria-hidden />
      </button>
    </nav>
  );
}

export function ThemeButton(): ReactElement {
  const [choice, setChoice] = useState(storedChoice);
  const Shape = THEME_ICONS[choice];
  const next = (): void => {
    const chosen = NEXT_THEME[choice];
    setChoice(chosen);
    charts.setTheme(applyTheme(chosen));
  };
  return (
    <button type="button" className="rail-button" aria-label={en.theme[choice]} title={en.theme[choice]} onClick={next}>
      <Shape size={17} strokeWidth={1.7} aria-hidden />
    </button>
  );
}
