import { CircleAlert, CircleCheck, CircleMinus, Loader } from 'lucide-react';
import type { ReactElement } from 'react';

import type { Checkpoint, CheckpointOutcome } from '../../generated/api';
import { selectNode } from '../../store/actions';
import { usePhase } from '../../store/select';
import { useStore } from '../../store/store';
import { en } from '../../text/en';
import { bytes, clock, count, duration } from '../../text/format';
import { Words } from '../../text/Words';
import { SavepointButtons } from './Savepoints';

const NONE: readonly never[] = [];

/** A run's newest checkpoints, newest first: how long by phase, how large, and what came of each. */
export function Checkpoints(): ReactElement {
  const checkpoints = useStore((state) => state.figures?.checkpoints ?? NONE);
  const kept = useStore((state) => state.document?.graph.settings['checkpoint_every'] !== undefined);
  const phase = usePhase();
  return (
    <div className="checkpoints">
      {kept && <SavepointButtons />}
      {checkpoints.length === 0 ? (
        <p className="empty">{kept ? (phase === 'draft' ? en.checkpoints.notRun : en.checkpoints.none) : en.checkpoints.off}</p>
      ) : (
        <div className="checkpoints-list scroll" tabIndex={-1}>
          <table className="rows-table checkpoints-table">
            <thead>
              <tr>
                <th scope="col" className="right">
                  {en.checkpoints.epoch}
                </th>
                <th scope="col">{en.checkpoints.when}</th>
                <th scope="col">{en.checkpoints.outcome}</th>
                {PHASES.map((one) => (
                  <th key={one} scope="col" className="right" title={en.checkpoints.phaseHelp[one]}>
                    {en.checkpoints.phases[one]}
                  </th>
                ))}
                <th scope="col" className="right">
                  {en.checkpoints.total}
                </th>
                <th scope="col" className="right">
                  {en.checkpoints.size}
                </th>
                <th scope="col">{en.checkpoints.waitedFor}</th>
              </tr>
            </thead>
            <tbody>
              {[...checkpoints].reverse().map((checkpoint) => (
                <Row key={`${checkpoint.epoch} ${checkpoint.at_ms}`} checkpoint={checkpoint} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

const PHASES = ['aligning', 'writing', 'manifest', 'commit'] as const;
type Phase = (typeof PHASES)[number];

/** How long a phase took; undefined of one that it did not come to. */
export function phaseTimes(checkpoint: Checkpoint): (number | undefined)[] {
  const all: Record<Phase, number> = {
    aligning: checkpoint.aligning_ms,
    writing: checkpoint.writing_ms,
    manifest: checkpoint.manifest_ms,
    commit: checkpoint.commit_ms,
  };
  if (checkpoint.outcome === 'complete') return PHASES.map((phase) => all[phase]);
  const came = PHASES.filter((phase) => all[phase] > 0);
  return PHASES.map((phase) => (came.includes(phase) ? all[phase] : undefined));
}

function Row({ checkpoint }: { checkpoint: Checkpoint }): ReactElement {
  const times = phaseTimes(checkpoint);
  const total = times.reduce<number>((sum, time) => sum + (time ?? 0), 0);
  const failed = checkpoint.outcome === 'failed';
  const waited = checkpoint.waited_for;
  return (
    <>
      <tr className={failed ? 'checkpoint-failed' : ''}>
        <td className="right">{count(checkpoint.epoch)}</td>
        <td>{clock(checkpoint.at_ms)}</td>
        <td>
          <Outcome outcome={checkpoint.outcome} />
        </td>
        {times.map((time, at) => (
          <td key={PHASES[at]} className="right">
            {time === undefined ? '' : duration(time)}
          </td>
        ))}
        <td className="right">{total === 0 ? '' : duration(total)}</td>
        <td className="right">{checkpoint.bytes === 0 ? '' : bytes(checkpoint.bytes)}</td>
        <td>
          {waited !== undefined && (
            <button type="button" className="link-button" title={en.checkpoints.waitedAfter(duration(waited.after_ms))} onClick={() => selectNode(waited.node)}>
              {waited.node}
            </button>
          )}
        </td>
      </tr>
      {checkpoint.cause !== undefined && (
        <tr className="checkpoint-failed">
          <td />
          <td colSpan={9} className="error">
            <div className="checkpoint-cause">
              <Words text={checkpoint.cause} />
            </div>
          </td>
        </tr>
      )}
    </>
  );
}

const TONES: Record<CheckpointOutcome, string> = {
  aligning: 'mute',
  writing: 'mute',
  manifest: 'mute',
  commit: 'mute',
  complete: 'ok',
  failed: 'error',
  superseded: 'mute',
};

/** A status is icon, word and colour. */
export function Outcome({ outcome }: { outcome: CheckpointOutcome }): ReactElement {
  const Shape = outcome === 'complete' ? CircleCheck : outcome === 'failed' ? CircleAlert : outcome === 'superseded' ? CircleMinus : Loader;
  return (
    <span className={`checkpoint-outcome ${TONES[outcome]}`}>
      <Shape size={14} aria-hidden />
      {en.checkpoints.outcomes[outcome]}
    </span>
  );
}
