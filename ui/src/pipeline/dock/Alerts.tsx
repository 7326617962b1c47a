import { BellRing, CircleCheck, CircleDashed, Hourglass, Plus, type LucideIcon } from 'lucide-react';
import { useState, type ReactElement } from 'react';

import { askDesktop, desktopStanding } from '../../app/desktop';
import { useNow } from '../../app/StatusBar';
import type { Alert } from '../../generated/api';
import { addAlert, showAlert } from '../../store/actions';
import { isOver, usePhase, useReadOnly } from '../../store/select';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { listed, type Shown } from '../alerts';

const NONE: readonly never[] = [];

const ICONS: Record<Shown['standing'], LucideIcon> = { firing: BellRing, pending: Hourglass, quiet: CircleCheck, unknown: CircleDashed };
const TONES: Record<Shown['standing'], string> = { firing: 'error', pending: 'warn', quiet: 'ok', unknown: 'mute' };

export function Alerts(): ReactElement {
  const running = useStore((state) => state.figures?.alerts ?? NONE);
  const file = useStore((state) => state.document?.graph.alerts ?? NONE);
  const readOnly = useReadOnly();
  const shown = listed(running, file);
  return (
    <div className="alerts">
      <div className="alerts-head">
        <button type="button" className="button" disabled={readOnly} title={readOnly ? en.alerts.broken : undefined} onClick={() => void addAlert()}>
          <Plus size={13} aria-hidden /> {en.alerts.add}
        </button>
        <OnDesktop />
      </div>
      {shown.length === 0 ? (
        <div className="empty">
          <p>{en.alerts.none}</p>
          <p className="mute">{en.alerts.noneHint}</p>
        </div>
      ) : (
        <div className="alerts-list scroll" tabIndex={-1}>
          <table className="rows-table alerts-table">
            <thead>
              <tr>
                <th scope="col">{en.alerts.state}</th>
                <th scope="col">{en.alerts.name}</th>
                <th scope="col">{en.alerts.rule}</th>
                <th scope="col" className="right">
                  {en.alerts.value}
                </th>
                <th scope="col" className="right">
                  {en.alerts.since}
                </th>
                <th scope="col" className="right">
                  {en.alerts.fired}
                </th>
                <th scope="col">{en.alerts.told}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((one) => (
                <Row key={one.name} {...one} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

function Row({ name, standing, rule, alert }: Shown): ReactElement {
  const now = useNow();
  const over = isOver(usePhase());
  return (
    <tr className={standing === 'firing' ? 'alert-firing' : ''}>
      <td>
        <Standing standing={standing} />
      </td>
      <td>
        <button type="button" className="link-button mono" aria-label={en.alerts.edit(name)} onClick={() => showAlert(name)}>
          {name}
        </button>
      </td>
      <td className="alert-wrap">{rule}</td>
      <td className="right">{alert?.value ?? ''}</td>
      <td className="right">{alert === undefined || over || standing === 'quiet' ? '' : en.alerts.firingFor(now - alert.since_ms)}</td>
      <td className="right">{alert === undefined || alert.fired === 0 ? '' : en.alerts.times(alert.fired)}</td>
      <td>{alert !== undefined && <Told alert={alert} />}</td>
    </tr>
  );
}

/** A status is icon, word and colour. */
export function Standing({ standing }: { standing: Shown['standing'] }): ReactElement {
  const Shape = ICONS[standing];
  return (
    <span className={`checkpoint-outcome ${TONES[standing]}`} title={en.alerts.standingHelp[standing]}>
      <Shape size={14} aria-hidden />
      {en.alerts.standing[standing]}
    </span>
  );
}

/** Who was told, and who could not be: of an address no more than its host. */
function Told({ alert }: { alert: Alert }): ReactElement {
  const parts = alert.webhooks.map(({ to, sent, lost, problem }) => (
    <span key={to} className={lost > 0 ? 'warn' : ''} title={problem}>
      {lost > 0 ? en.alerts.lost(to, lost) : en.alerts.sent(to, sent)}
    </span>
  ));
  return (
    <span className="alert-told">
      {alert.desktop && <span>{en.alerts.desktop}</span>}
      {parts}
    </span>
  );
}

/** In a browser, notifications are asked for by a click; the desktop app tells them itself. */
function OnDesktop(): ReactElement | null {
  const platform = useStore((state) => state.welcome?.platform);
  const [standing, setStanding] = useState(desktopStanding);
  if (platform !== 'browser' || standing === 'none') return null;
  if (standing === 'granted') return <span className="mute">{en.alerts.desktopOn}</span>;
  if (standing === 'denied') return <span className="mute">{en.alerts.desktopDenied}</span>;
  return (
    <button type="button" className="button" title={en.alerts.onDesktopHelp} onClick={() => void askDesktop().then(setStanding)}>
      {en.alerts.onDesktop}
    </button>
  );
}
