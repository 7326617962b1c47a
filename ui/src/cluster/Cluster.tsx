import './cluster.css';

import { CircleAlert, Loader, Unplug } from 'lucide-react';
import type { ReactElement, ReactNode } from 'react';

import { useNow } from '../app/StatusBar';
import type { Cluster as Told, ClusterContact } from '../generated/api';
import { openDialog } from '../store/actions';
import { toast } from '../store/session';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { closed } from '../text/format';
import { Words } from '../text/Words';
import { Control } from './Control';
import { Links } from './Links';
import { Nodes } from './Nodes';
import { inReach } from './select';
import { Tasks } from './Tasks';
import { Timeline } from './Timeline';

/** The nodes at the target, the links to them, where tasks run, and what went wrong. */
export default function Cluster(): ReactElement {
  const told = useStore((state) => state.cluster);
  return (
    <section className="cluster" aria-label={en.cluster.label}>
      {told === undefined || told.at_ms === undefined ? <NothingYet contact={told?.contact} /> : <Whole told={told} />}
    </section>
  );
}

function Whole({ told }: { told: Told }): ReactElement {
  const { there, all } = inReach(told.nodes);
  const alone = told.nodes.length === 1;
  const stale = told.contact.is === 'lost' || told.contact.is === 'reconnecting';
  return (
    <>
      <ContactStrip contact={told.contact} />
      {told.refused !== undefined && (
        <div className="cluster-strip error" role="alert">
          <CircleAlert size={15} className="error" aria-hidden />
          <span>{closed(told.refused)}</span>
        </div>
      )}
      <div className={`cluster-body scroll ${stale ? 'stale' : ''}`} tabIndex={-1}>
        <div className="cluster-main">
          <Part title={en.cluster.nodes} {...(alone ? {} : { aside: en.cluster.inReach(there, all) })}>
            <Nodes nodes={told.nodes} />
            {alone && (told.led_elsewhere > 0 ? <p className="cluster-note">{en.cluster.ledElsewhere(told.led_elsewhere)}</p> : <Alone target={told.target} />)}
          </Part>
          <Part title={en.cluster.links}>
            <Links links={told.links} />
          </Part>
          {told.control !== undefined && (
            <Part title={en.cluster.control} aside={en.cluster.controlSurvives(told.control.survives, told.control.nodes.length)}>
              <Control control={told.control} />
            </Part>
          )}
          <Part title={en.cluster.tasks}>
            <Tasks jobs={told.jobs} nodes={told.nodes} />
          </Part>
        </div>
        <Part title={en.cluster.timeline} className="cluster-side">
          <Timeline incidents={told.incidents} />
        </Part>
      </div>
    </>
  );
}

function Part({ title, aside, className = '', children }: { title: string; aside?: string; className?: string; children: ReactNode }): ReactElement {
  return (
    <section className={`cluster-part ${className}`} aria-label={title}>
      <header className="cluster-part-head">
        <h2 className="section-title">{title}</h2>
        {aside !== undefined && <span className="mute">{aside}</span>}
      </header>
      {children}
    </section>
  );
}

/** How others join. */
function Alone({ target }: { target: string }): ReactElement {
  const command = en.cluster.joinCommand(target);
  const copy = async (): Promise<void> => {
    // The system's clipboard may be denied; the command can be selected by hand.
    await navigator.clipboard.writeText(command).then(() => toast('info', en.cluster.copied), () => undefined);
  };
  return (
    <div className="cluster-note">
      <p>
        <strong>{en.cluster.alone}</strong> <Words text={en.cluster.aloneHint(target)} />
      </p>
      <div className="cluster-command">
        <code>{command}</code>
        <button type="button" className="link-button" onClick={() => void copy()}>
          {en.cluster.copy}
        </button>
      </div>
    </div>
  );
}

function ContactStrip({ contact }: { contact: ClusterContact }): ReactElement | null {
  const now = useNow();
  if (contact.is === 'lost') {
    return (
      <div className="cluster-strip error" role="alert">
        <Unplug size={15} className="error" aria-hidden />
        <span>
          <strong>{en.cluster.lost(now - contact.since_ms)}</strong>: {closed(contact.why)} <span className="mute">{en.cluster.lostHint}</span>
        </span>
        <AddAgain />
      </div>
    );
  }
  if (contact.is === 'reconnecting') {
    return (
      <div className="cluster-strip warn" role="status">
        <Loader size={15} className="warn" aria-hidden />
        <span>
          <strong>{en.cluster.reconnecting(now - contact.since_ms)}</strong>: {closed(contact.why)} <span className="mute">{en.cluster.lostHint}</span>
        </span>
      </div>
    );
  }
  return null;
}

function AddAgain(): ReactElement {
  return (
    <button type="button" className="link-button" onClick={() => openDialog({ is: 'target' })}>
      {en.cluster.addAgain}
    </button>
  );
}

/** Before the first look, or where none can be had. */
function NothingYet({ contact }: { contact: ClusterContact | undefined }): ReactElement {
  const ready = useStore((state) => state.targets.find((target) => target.id === state.target)?.state === 'ready');
  if (contact?.is === 'unknown') return <Empty title={en.cluster.unknown} hint={en.cluster.unknownHint} />;
  if (contact?.is === 'lost' || !ready) {
    return (
      <Empty title={en.cluster.unreachable} hint={en.cluster.unreachableHint}>
        <CircleAlert size={16} className="warn" aria-hidden />
        <AddAgain />
      </Empty>
    );
  }
  return <Empty title={en.cluster.asking} />;
}

function Empty({ title, hint, children }: { title: string; hint?: string; children?: ReactNode }): ReactElement {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {hint !== undefined && <p>{hint}</p>}
      {children}
    </div>
  );
}
