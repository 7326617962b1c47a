import { CircleCheck, Crown, TriangleAlert, Unplug, type LucideIcon } from 'lucide-react';
import type { ReactElement } from 'react';

import { useNow } from '../app/StatusBar';
import type { ClusterNode, ClusterStanding } from '../generated/api';
import { en } from '../text/en';
import { bytes, clock, count, percent, sentence } from '../text/format';
import { Words } from '../text/Words';

/** Every node with how it stands, its slots, and what its process takes. */
export function Nodes({ nodes }: { nodes: readonly ClusterNode[] }): ReactElement {
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
        </tr>
      </thead>
      <tbody>
        {nodes.map((node) => (
          <Row key={node.member} node={node} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ node }: { node: ClusterNode }): ReactElement {
  const lost = node.standing === 'lost';
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
      </tr>
      {node.why !== undefined && (
        <tr className="cluster-why">
          <td colSpan={6} className={lost ? 'error' : 'warn'}>
            <Words text={sentence(node.why)} />
          </td>
        </tr>
      )}
    </>
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
  const { icon: Shape, tone } = LOOKS[node.standing];
  return (
    <span className="cluster-standing" title={clock(node.since_ms)}>
      <span className={tone}>
        <Shape size={14} aria-hidden />
        {en.cluster.standing[node.standing]}
      </span>
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
