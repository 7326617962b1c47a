import { ChevronDown, Play, Redo2, Save, Square, Undo2 } from 'lucide-react';
import type { ReactElement } from 'react';

import { inReach } from '../cluster/select';
import type { Cluster, Target } from '../generated/api';
import { isLive, leave, openDialog, redo, run, save, stop, undo } from '../store/actions';
import { usePhase } from '../store/select';
import { setState, useStore } from '../store/store';
import { en } from '../text/en';
import { eventClock } from '../text/format';
import { Logo } from './Logo';
import { Parallelism } from './Parallelism';
import { PhaseChip } from './PhaseChip';

export function TopBar(): ReactElement {
  const name = useStore((state) => state.document?.name ?? '');
  const path = useStore((state) => state.document?.path);
  return (
    <header className="top-bar">
      <button type="button" className="top-logo" aria-label={en.rail.home} title={en.rail.home} onClick={() => void leave('home')}>
        <Logo size={20} />
      </button>
      <h1 className="top-name" title={path ?? en.top.neverSaved}>
        {name}
      </h1>
      <SavedMark />
      <EditButtons />
      <span className="top-gap" />
      <TargetPicker />
      <PhaseChip />
      <Parallelism />
      <EventClock />
      <RunButton />
    </header>
  );
}

function SavedMark(): ReactElement {
  const mark = useStore(({ document }) =>
    document?.broken !== undefined ? en.top.unsaved : document?.path === undefined ? en.top.neverSaved : document.dirty ? en.top.unsaved : en.top.saved,
  );
  return (
    <span className="top-mark" role="status" data-testid="saved-mark">
      {mark}
    </span>
  );
}

function EditButtons(): ReactElement {
  const dirty = useStore((state) => state.document?.dirty === true || state.document?.path === undefined);
  const canUndo = useStore((state) => state.document?.can_undo === true);
  const canRedo = useStore((state) => state.document?.can_redo === true);
  return (
    <span className="top-edit">
      <IconAction title={en.top.save} keys="Ctrl+S" enabled={dirty} act={save} icon={<Save size={15} strokeWidth={1.6} aria-hidden />} />
      <IconAction title={en.top.undo} keys="Ctrl+Z" enabled={canUndo} act={undo} icon={<Undo2 size={15} strokeWidth={1.6} aria-hidden />} />
      <IconAction title={en.top.redo} keys="Ctrl+Y" enabled={canRedo} act={redo} icon={<Redo2 size={15} strokeWidth={1.6} aria-hidden />} />
    </span>
  );
}

interface IconActionProps {
  title: string;
  keys: string;
  enabled: boolean;
  act: () => Promise<unknown>;
  icon: ReactElement;
}

function IconAction({ title, keys, enabled, act, icon }: IconActionProps): ReactElement {
  return (
    <button type="button" className="icon-button" aria-label={title} title={`${title} (${keys})`} disabled={!enabled} onClick={() => void act()}>
      {icon}
    </button>
  );
}

const ADD = '\u0000add';

function TargetPicker(): ReactElement {
  const targets = useStore((state) => state.targets);
  const target = useStore((state) => state.target);
  const cluster = useStore((state) => state.cluster);
  usePhase();
  return (
    <label className="target-picker">
      <span className="mute">{en.top.target}</span>
      <select
        value={target}
        aria-label={en.top.targetLabel}
        disabled={isLive()}
        onChange={(event) => (event.target.value === ADD ? openDialog({ is: 'target' }) : setState({ target: event.target.value }))}
      >
        {targets.map((other) => (
          <option key={other.id} value={other.id}>
            {targetText(other, cluster)}
          </option>
        ))}
        <option value={ADD}>{en.top.targetAdd}</option>
      </select>
      <ChevronDown size={13} aria-hidden />
    </label>
  );
}

/** A target by its title, and how it is: out of reach, or with how many of its nodes are in reach. */
function targetText({ id, title, state }: Target, cluster: Cluster | undefined): string {
  if (state !== 'ready') return `${title} – ${en.targets.states[state]}`;
  if (cluster?.target !== id || cluster.nodes.length < 2) return title;
  const { there, all } = inReach(cluster.nodes);
  return `${title} – ${en.cluster.nodesOf(there, all)}`;
}

function EventClock(): ReactElement {
  const text = useStore((state) => (state.figures?.event_clock_ms === undefined ? '' : eventClock(state.figures.event_clock_ms)));
  return (
    <span className="event-clock mono" title={en.top.eventClock} data-testid="event-clock">
      {text}
    </span>
  );
}

function RunButton(): ReactElement {
  const phase = usePhase();
  const disabled = useStore((state) => state.link.is !== 'open');
  if (!isLive()) {
    return (
      <button type="button" className="button run-button" disabled={disabled} title={en.top.runTitle} onClick={() => void run()}>
        <Play size={12} className="ok" fill="currentColor" aria-hidden />
        {en.top.run}
      </button>
    );
  }
  const now = phase === 'draining';
  return (
    <button type="button" className="button run-button" disabled={disabled} title={now ? en.top.stopNowTitle : en.top.stopTitle} onClick={() => void stop()}>
      <Square size={11} className="error" fill="currentColor" aria-hidden />
      {now ? en.top.stopNow : en.top.stop}
    </button>
  );
}
