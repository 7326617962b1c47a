import { ShieldAlert, ShieldCheck } from 'lucide-react';
import type { ReactElement } from 'react';

import type { Delivery, Guarantee, GraphNode } from '../../generated/api';
import { en } from '../../text/en';

/** The weakest of a sink's guarantees. */
const ORDER: readonly Delivery[] = ['exactly_once', 'at_least_once', 'at_most_once', 'best_effort', 'begins_anew'];

export function weakest(guarantees: readonly Guarantee[]): Delivery | undefined {
  return [...guarantees].sort((a, b) => ORDER.indexOf(b.delivery) - ORDER.indexOf(a.delivery))[0]?.delivery;
}

/** What a crash does to the rows of each source that a sink takes, and what that rests on. */
export function Guarantees({ node }: { node: GraphNode }): ReactElement | null {
  if (node.guarantees.length === 0) return null;
  return (
    <section className="inspector-section">
      <h3 className="section-title">{en.guarantee.title}</h3>
      <ul className="guarantees">
        {node.guarantees.map((guarantee) => (
          <li key={guarantee.source}>
            <GuaranteeMark delivery={guarantee.delivery} /> <span className="mute">{en.guarantee.of(guarantee.source)}</span>
            {guarantee.needs.map((clause) => (
              <p key={clause} className="mute">
                {clause}
              </p>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}

export function GuaranteeMark({ delivery }: { delivery: Delivery }): ReactElement {
  const Shape = delivery === 'exactly_once' ? ShieldCheck : ShieldAlert;
  return (
    <span className={`guarantee ${delivery === 'exactly_once' ? 'ok' : delivery === 'begins_anew' ? 'mute' : ''}`}>
      <Shape size={14} aria-hidden /> {en.guarantee.deliveries[delivery]}
    </span>
  );
}
