import type { ReactElement } from 'react';

import type { ClusterJob, ClusterNode } from '../generated/api';
import { showNode } from '../store/actions';
import { useNodes } from '../store/select';
import { en } from '../text/en';
import { compact, count } from '../text/format';
import { columns, inOrder, shortName, spread } from './select';

/** For each run: how many tasks of each of its nodes are where. */
export function Tasks({ jobs, nodes }: { jobs: readonly ClusterJob[]; nodes: readonly ClusterNode[] }): ReactElement {
  if (jobs.length === 0) return <p className="cluster-note mute">{en.cluster.noRuns}</p>;
  return (
    <>
      {jobs.map((job) => (
        <Run key={job.job} job={job} nodes={nodes} />
      ))}
    </>
  );
}

function Run({ job, nodes }: { job: ClusterJob; nodes: readonly ClusterNode[] }): ReactElement {
  const shown = columns(job, nodes);
  const file = useNodes().map((node) => node.id);
  return (
    <div className="cluster-run">
      <p className="cluster-run-head">
        <strong>{job.name}</strong>
        <span>{job.state in en.phase ? en.phase[job.state as keyof typeof en.phase] : job.state}</span>
        <span className="mono">{en.cluster.rows(compact(job.rows_per_s))}</span>
        {job.epoch !== undefined && <span className="mono">{en.cluster.epoch(count(job.epoch))}</span>}
        {job.mine && <span className="mute">{en.cluster.mine}</span>}
      </p>
      <div className="cluster-matrix scroll">
        <table className="rows-table cluster-table packed">
          <thead>
            <tr>
              <th scope="col">{en.cluster.pipeline}</th>
              {shown.map((node) => (
                <th key={node.member} scope="col" className="right" title={node.name}>
                  {node.standing === 'leads' ? en.cluster.leader : shortName(node.name, nodes)}
                </th>
              ))}
              <td />
            </tr>
          </thead>
          <tbody>
            {inOrder(job, file).map(([id, places]) => (
              <Row key={id} id={id} places={places} nodes={shown} mine={job.mine} />
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function Row({ id, places, nodes, mine }: { id: string; places: readonly number[]; nodes: readonly ClusterNode[]; mine: boolean }): ReactElement {
  const counts = spread(places);
  return (
    <tr>
      <th scope="row" className="cluster-name">
        {mine ? (
          <button type="button" className="cluster-node-link" onClick={() => showNode(id)}>
            {id}
          </button>
        ) : (
          id
        )}
      </th>
      {nodes.map((node) => {
        const tasks = counts.get(node.member) ?? 0;
        return (
          <td key={node.member} className={`right ${tasks === 0 ? 'mute' : ''}`}>
            {tasks === 0 ? en.cluster.none : count(tasks)}
          </td>
        );
      })}
      <td />
    </tr>
  );
}
