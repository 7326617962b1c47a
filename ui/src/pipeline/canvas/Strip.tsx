import { CircleAlert, Unplug, X } from 'lucide-react';
import type { ReactElement } from 'react';

import { useNow } from '../../app/StatusBar';
import type { RunUpgraded } from '../../generated/api';
import { diffRunning, hideUpgrade, restart, revealLine, rollBack, selectNode, showScreen } from '../../store/actions';
import { isOver } from '../../store/select';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { clock, closed } from '../../text/format';
import { Words } from '../../text/Words';

/** One line over the canvas that says what stands in the way, the gravest first. */
export function Strip(): ReactElement | null {
  const broken = useStore((state) => state.document?.broken);
  const run = useStore((state) => state.run);
  if (broken !== undefined) {
    return (
      <div className="strip error" role="alert">
        <CircleAlert size={15} aria-hidden />
        <span className="strip-text">
          <strong>{en.strip.broken(broken.line)}</strong>: {closed(broken.message)} <span className="mute">{en.strip.brokenHint}</span>
        </span>
        <button type="button" className="link-button" onClick={() => revealLine(broken.line)}>
          {en.strip.goToLine}
        </button>
      </div>
    );
  }
  if (run?.phase === 'contact_lost') return <ContactLost since={run.last_heard_ms ?? run.started_at_ms} why={run.cause?.message} />;
  if (run?.phase === 'failed' && run.cause !== undefined) {
    const node = run.cause.node;
    return (
      <div className="strip error" role="alert">
        <CircleAlert size={15} aria-hidden />
        <span className="strip-text">
          <strong>{en.strip.failed}</strong>: <Words text={run.cause.message} />
        </span>
        {node !== undefined && (
          <button type="button" className="link-button" onClick={() => selectNode(node)}>
            {node}
          </button>
        )}
        <button type="button" className="link-button" onClick={() => showScreen('events')}>
          {en.strip.showEvents}
        </button>
      </div>
    );
  }
  if (run === null || isOver(run.phase)) return null;
  if (run.differs === undefined) return run.upgraded === undefined ? null : <Upgraded upgraded={run.upgraded} />;
  return (
    <div className="strip" role="status">
      <span className="strip-text">
        {en.strip.differs} <strong className="strip-count">{en.strip.changes(run.differs.changes)}</strong>
      </span>
      <button type="button" className="link-button" onClick={() => void diffRunning()}>
        {en.strip.diff}
      </button>
      <button
        type="button"
        className="link-button"
        disabled={!run.kept || run.phase !== 'running'}
        title={run.kept ? en.change.upgradeHelp : en.change.upgradeNotKept}
        onClick={() => void diffRunning()}
      >
        {en.change.upgrade}
      </button>
      <button type="button" className="link-button" onClick={() => void restart()}>
        {en.strip.restart}
      </button>
    </div>
  );
}

/** What the run was before its upgrade can be had back. */
function Upgraded({ upgraded }: { upgraded: RunUpgraded }): ReactElement | null {
  const hidden = useStore((state) => state.upgradeHidden === upgraded.at_ms);
  if (hidden) return null;
  return (
    <div className="strip" role="status" data-testid="upgraded">
      <span className="strip-text">
        <strong>{en.change.upgradedAt(clock(upgraded.at_ms))}</strong> <span className="mute">{en.change.savepoint(upgraded.savepoint)}</span>
      </span>
      <button type="button" className="link-button" onClick={() => void rollBack(upgraded.savepoint, false)}>
        {en.change.rollBack}
      </button>
      <button type="button" className="icon-button" aria-label={en.change.hide} title={en.change.hide} onClick={() => hideUpgrade(upgraded.at_ms)}>
        <X size={14} aria-hidden />
      </button>
    </div>
  );
}

function ContactLost({ since, why }: { since: number; why: string | undefined }): ReactElement {
  const now = useNow();
  return (
    <div className="strip error" role="alert">
      <Unplug size={15} aria-hidden />
      <span className="strip-text">
        <strong>{en.strip.contactLost(now - since)}</strong>: {closed(why ?? '')} <span className="mute">{en.strip.contactLostHint}</span>
      </span>
    </div>
  );
}
