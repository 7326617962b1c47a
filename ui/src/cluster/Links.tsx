import type { ReactElement } from 'react';

import type { ClusterLink } from '../generated/api';
import { en } from '../text/en';
import { bytes, count, duration } from '../text/format';

/** What goes between the leader and each other node. */
export function Links({ links }: { links: readonly ClusterLink[] }): ReactElement {
  if (links.length === 0) return <p className="cluster-note mute">{en.cluster.noLinks}</p>;
  return (
    <table className="rows-table cluster-table packed">
      <thead>
        <tr>
          <th scope="col">{en.cluster.to}</th>
          <th scope="col" className="right">
            {en.cluster.sent}
          </th>
          <th scope="col" className="right">
            {en.cluster.received}
          </th>
          <th scope="col" className="right">
            {en.cluster.roundTrip}
          </th>
          <th scope="col" className="right" title={en.cluster.resumesHelp}>
            {en.cluster.resumes}
          </th>
          <td />
        </tr>
      </thead>
      <tbody>
        {links.map((link) => (
          <tr key={link.member}>
            <th scope="row" className="cluster-name">
              {link.name}
            </th>
            <td className="right">{bytes(link.sent_per_s)}/s</td>
            <td className="right">{bytes(link.received_per_s)}/s</td>
            <td className="right">{link.round_trip_ms === undefined ? en.cluster.none : duration(link.round_trip_ms)}</td>
            <td className={`right ${link.resumes > 0 ? 'warn' : ''}`}>{count(link.resumes)}</td>
            <td />
          </tr>
        ))}
      </tbody>
    </table>
  );
}
