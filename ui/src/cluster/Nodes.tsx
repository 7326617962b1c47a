import { CircleCheck, CircleDashed, CircleOff, Crown, TriangleAlert, Unplug, type LucideIcon } from 'lucide-react';
import { useState, type ReactElement } from 'react';

import { useNow } from '../app/StatusBar';
import type { ClusterDrain, ClusterNode, ClusterStanding } from '../generated/api';
import { drainNode } from '../store/actions';
import { en } from '../text/en';
import { bytes, clock, count, percent, sentence } from '../text/format';
import { Words } from '../text/Words';
import { mostRelease } from './select';

/** Every node with how it stands, its slots, and what its process takes. */
export function Nodes({ nodes }: { nodes: readonly ClusterNode[] }): ReactElement {
  const most = mostRelease(nodes);
  return (
    <table className="rows-table cluster-table">
      <thead>
        <tr>
          <th scope="col">{en.cluster.node}</th>
          <th scope="col">{en.cluster.state}</th>
          <th scope="col" title={en.cluster.slotsHelp}>
            {en.cluster.slots}
          </th>
          <th scope="col" title={en.cluster.cpuHelp}>
            {en.cluster.cpu}
          </th>
          <th scope="col" title={en.cluster.memoryHelp}>
            {en.cluster.memory}
          </th>
          <th scope="col" className="right">
            {en.cluster.taskCount}
          </th>
          <td />
        </tr>
      </thead>
      <tbody>
        {nodes.map((node) => (
          <Row key={node.member} node={node} differs={most !== undefined && node.version !== undefined && node.version !== most} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ node, differs }: { node: ClusterNode; differs: boolean }): ReactElement {
  const lost = node.standing === 'lost';
  const [asks, setAsks] = useState(false);
  return (
    <>
      <tr className={lost ? 'cluster-gone' : ''} data-member={node.member} data-standing={node.standing}>
        <th scope="row" className="cluster-name">
          {node.name}
          {node.standing === 'leads' && (
            <span className="cluster-badge" title={en.cluster.leaderHelp}>
              <Crown size={12} aria-hidden />
              {en.cluster.leader}
            </span>
          )}
          {node.incarnation > 1 && <span className="mute cluster-again">{en.cluster.incarnation(node.incarnation)}</span>}
          {differs && (
            <span className="cluster-badge warn" title={en.cluster.otherRelease}>
              <TriangleAlert size={12} aria-hidden />
              {node.version}
            </span>
          )}
        </th>
        <td>
          <Standing node={node} />
        </td>
        <td>{node.slots === undefined ? <span className="mute">{en.cluster.none}</span> : <Slots used={node.slots_used} slots={node.slots} />}</td>
        <td>
          <Share part={lost ? undefined : node.cpu_percent} of={100} text={percent(node.cpu_percent ?? 0)} label={en.cluster.cpu} />
        </td>
        <td>
          <Share
            part={lost ? undefined : node.memory_bytes}
            of={node.machine_bytes}
            text={node.machine_bytes > 0 ? en.cluster.of(bytes(node.memory_bytes ?? 0), bytes(node.machine_bytes)) : bytes(node.memory_bytes ?? 0)}
            label={en.cluster.memory}
            wide
          />
        </td>
        <td className="right">{count(node.tasks)}</td>
        <td className="right">{!lost && <DrainButton node={node} ask={() => setAsks(true)} />}</td>
      </tr>
      {asks && node.drain === 'no' && <Ask node={node} done={() => setAsks(false)} />}
      {[...(node.why === undefined ? [] : [node.why]), ...node.stays].map((why) => (
        <tr key={why} className="cluster-why">
          <td colSpan={7} className={lost && node.drain !== 'drained' ? 'error' : 'warn'}>
            <Words text={sentence(why)} />
          </td>
        </tr>
      ))}
    </>
  );
}

/** What it does is asked first; taking it back is not. */
function DrainButton({ node, ask }: { node: ClusterNode; ask: () => void }): ReactElement {
  if (node.drain === 'no') {
    return (
      <button type="button" className="link-button" aria-label={en.cluster.drainOf(node.name)} onClick={ask}>
        {en.cluster.drain}
      </button>
    );
  }
  return (
    <button type="button" className="link-button" aria-label={en.cluster.undrainOf(node.name)} onClick={() => void drainNode(node.member, false)}>
      {en.cluster.undrain}
    </button>
  );
}

/** What goes, and whether it is to. */
function Ask({ node, done }: { node: ClusterNode; done: () => void }): ReactElement {
  const drain = (): void => {
    done();
    void drainNode(node.member, true);
  };
  const text = node.standing === 'leads' ? en.cluster.drainAskLeader(node.name) : en.cluster.drainAsk(node.name, node.tasks);
  return (
    <tr className="cluster-why" onKeyDown={(event) => event.key === 'Escape' && done()}>
      <td colSpan={7}>
        <span className="cluster-ask" role="group" aria-label={en.cluster.drainOf(node.name)}>
          {text}
          <button type="button" className="button" autoFocus onClick={drain}>
            {en.cluster.drain}
          </button>
          <button type="button" className="link-button" onClick={done}>
            {en.cluster.cancel}
          </button>
        </span>
      </td>
    </tr>
  );
}

const DRAINS: Record<Exclude<ClusterDrain, 'no'>, { icon: LucideIcon; help: string }> = {
  draining: { icon: CircleDashed, help: en.cluster.drainingHelp },
  drained: { icon: CircleOff, help: en.cluster.drainedHelp },
};

/** Beside how it stands: a word and a shape of its own. */
function Drain({ drain }: { drain: ClusterDrain }): ReactElement | null {
  if (drain === 'no') return null;
  const { icon: Shape, help } = DRAINS[drain];
  return (
    <span className="cluster-drain" title={help}>
      <Shape size={14} aria-hidden />
      {en.cluster.drainState[drain]}
    </span>
  );
}

const LOOKS: Record<ClusterStanding, { icon: LucideIcon; tone: string }> = {
  leads: { icon: CircleCheck, tone: 'ok' },
  joined: { icon: CircleCheck, tone: 'ok' },
  suspected: { icon: TriangleAlert, tone: 'warn' },
  lost: { icon: Unplug, tone: 'error' },
};

/** A state is icon, word and colour; and since when. */
function Standing({ node }: { node: ClusterNode }): ReactElement {
  const now = useNow();
  // One that was drained before it went was not lost.
  const left = node.standing === 'lost' && node.drain === 'drained';
  const { icon: Shape, tone } = left ? { icon: CircleOff, tone: 'mute' } : LOOKS[node.standing];
  return (
    <span className="cluster-standing" title={clock(node.since_ms)}>
      <span className={tone}>
        <Shape size={14} aria-hidden />
        {left ? en.cluster.left : en.cluster.standing[node.standing]}
      </span>
      {!left && <Drain drain={node.drain} />}
      {node.since_ms > 0 && <span className="mute">{en.cluster.since(now - node.since_ms)}</span>}
    </span>
  );
}

function Slots({ used, slots }: { used: number; slots: number }): ReactElement {
  return <Share part={used} of={slots} text={`${count(used)}/${count(slots)}`} label={en.cluster.slots} over={used > slots} />;
}

interface ShareProps {
  /** Undefined where it was not told. */
  part: number | undefined;
  of: number;
  text: string;
  label: string;
  wide?: boolean;
  over?: boolean;
}

/** A bar, and the figure beside it that says the same. */
function Share({ part, of, text, label, wide = false, over = false }: ShareProps): ReactElement {
  if (part === undefined) return <span className="mute">{en.cluster.notTold}</span>;
  const share = of > 0 ? Math.min(1, part / of) : 0;
  return (
    <span className={`share ${over ? 'over' : ''}`} title={over ? en.cluster.over : undefined}>
      <span className="share-bar" role="img" aria-label={`${label}: ${text}`}>
        <span style={{ width: `${share * 100}%` }} />
      </span>
      <span className={`share-text ${wide ? 'wide' : ''}`}>{text}</span>
    </span>
  );
}
