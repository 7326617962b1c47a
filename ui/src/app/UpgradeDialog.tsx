import type { ReactElement } from 'react';

import type { TextDiff, UpgradeLook } from '../generated/api';
import { openDialog, restart, rollBack, upgrade } from '../store/actions';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { Words } from '../text/Words';
import { Dialog } from './Dialog';
import { DiffView } from './DiffView';

const close = (): void => openDialog(undefined);

/** What differs from what runs, what the run would keep of its state, and how it goes on: as it is, from nothing, or with its state. */
export function UpgradeDialog({ diff }: { diff: TextDiff }): ReactElement {
  const run = useStore((state) => state.run);
  // A look at another text than the one that stands now says nothing of this one.
  const look = useStore((state) => (state.upgrade?.revision === state.document?.revision ? state.upgrade : undefined));
  const canUpgrade = run?.kept === true && run.phase === 'running';
  const loses = (look?.lost.length ?? 0) > 0;
  const foot = (
    <>
      <button type="button" className="button" onClick={close}>
        {en.diff.close}
      </button>
      <button type="button" className={canUpgrade ? 'button' : 'button primary'} onClick={() => void restart()}>
        {en.diff.restart}
      </button>
      {canUpgrade && (
        <button
          type="button"
          className={loses ? 'button' : 'button primary'}
          disabled={look === undefined || look.refused.length > 0}
          title={en.change.upgradeHelp}
          onClick={() => look !== undefined && void upgrade(look.revision, loses)}
        >
          {loses ? en.change.loses : en.change.keepsAll}
        </button>
      )}
    </>
  );
  return (
    <Dialog title={en.diff.title} wide onClose={close} foot={foot}>
      <DiffView diff={diff} />
      {canUpgrade && diff.lines.length > 0 && <Becomes look={look} />}
    </Dialog>
  );
}

function Becomes({ look }: { look: UpgradeLook | undefined }): ReactElement {
  return (
    <section className="becomes" aria-live="polite" data-testid="becomes">
      <h3 className="section-title">{en.change.becomes}</h3>
      {look === undefined ? (
        <p className="mute">{en.change.looking}</p>
      ) : (
        <dl>
          <Group title={en.change.refused} items={look.refused.map((finding) => finding.message)} severe />
          <Group title={en.change.lost} items={look.lost} severe />
          <Group title={en.change.kept} items={look.kept} inline />
          <Group title={en.change.fresh} items={look.new} inline />
          <Group title={en.change.notes} items={look.notes} />
        </dl>
      )}
    </section>
  );
}

interface GroupProps {
  title: string;
  items: readonly string[];
  severe?: boolean;
  /** Names, which go in one line. */
  inline?: boolean;
}

function Group({ title, items, severe = false, inline = false }: GroupProps): ReactElement | null {
  if (items.length === 0) return null;
  const shown = inline ? [items.join(', ')] : items;
  return (
    <div className="becomes-row">
      <dt className={severe ? 'error' : 'mute'}>{title}</dt>
      {shown.map((item) => (
        <dd key={item}>
          <Words text={item} />
        </dd>
      ))}
    </div>
  );
}

/** Sinks have shown rows since the upgrade: to go back takes them back. */
export function RewindDialog({ savepoint, why }: { savepoint: string; why: string }): ReactElement {
  const foot = (
    <>
      <button type="button" className="button primary" onClick={close}>
        {en.change.stay}
      </button>
      <button type="button" className="button" onClick={() => void rollBack(savepoint, true)}>
        {en.change.rewind}
      </button>
    </>
  );
  return (
    <Dialog title={en.change.wouldRewind} onClose={close} foot={foot}>
      <p>
        <Words text={why} />
      </p>
    </Dialog>
  );
}
