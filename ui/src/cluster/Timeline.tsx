import { CircleAlert, CircleCheck, Info, TriangleAlert, type LucideIcon } from 'lucide-react';
import type { ReactElement } from 'react';

import type { Happening, Incident } from '../generated/api';
import { en } from '../text/en';
import { clock, sentence } from '../text/format';
import { Words } from '../text/Words';
import { outcome, tone, type Outcome, type Tone } from './select';

const ICONS: Record<Tone, LucideIcon> = { error: CircleAlert, warn: TriangleAlert, ok: CircleCheck, mute: Info };

/** What happened, newest first: each root cause, with what came of it folded below. */
export function Timeline({ incidents }: { incidents: readonly Incident[] }): ReactElement {
  if (incidents.length === 0) return <p className="cluster-note mute">{en.cluster.nothingYet}</p>;
  return (
    <ol className="timeline">
      {[...incidents].reverse().map((incident) => (
        <li key={incident.id} data-kind={incident.root.kind}>
          <Line what={incident.root} />
          {incident.victims.length > 0 && <Consequences incident={incident} />}
        </li>
      ))}
    </ol>
  );
}

function Consequences({ incident }: { incident: Incident }): ReactElement {
  const became = outcome(incident);
  return (
    <details className="timeline-fold">
      <summary>
        {en.cluster.consequences(incident.victims.length + incident.unlisted)}
        {became !== undefined && <span className={became.is === 'failed' ? 'error' : 'ink2'}>{words(became)}</span>}
      </summary>
      <ol>
        {incident.victims.map((victim, at) => (
          <li key={at} data-kind={victim.kind}>
            <Line what={victim} />
          </li>
        ))}
        {incident.unlisted > 0 && <li className="timeline-more mute">{en.cluster.unlisted(incident.unlisted)}</li>}
      </ol>
    </details>
  );
}

function words(became: Outcome): string {
  switch (became.is) {
    case 'running':
    case 'resumed':
    case 'over':
      return en.cluster.outcomes[became.is](became.after);
    case 'failed':
    case 'restarting':
      return en.cluster.outcomes[became.is];
  }
}

function Line({ what }: { what: Happening }): ReactElement {
  const colour = tone(what.kind);
  const Shape = ICONS[colour];
  return (
    <div className="timeline-line">
      <time className="mono mute" dateTime={new Date(what.at_ms).toISOString()} title={new Date(what.at_ms).toLocaleString()}>
        {clock(what.at_ms)}
      </time>
      <Shape size={14} className={colour} aria-hidden />
      <span className="timeline-text">
        <span className={`timeline-kind ${colour}`}>{en.cluster.kinds[what.kind] ?? what.kind}</span> <span className="mono timeline-who">{what.node ?? what.pipeline ?? ''}</span>
        <span className="timeline-why">
          {/* Names stand as they are. */}
          <Words text={what.kind === 'tasks_lost' || what.kind.startsWith('alert_') ? what.message : sentence(what.message)} />
        </span>
      </span>
    </div>
  );
}
