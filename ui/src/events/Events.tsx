import './events.css';

import { CircleAlert, Info, TriangleAlert } from 'lucide-react';
import { useState, type ReactElement } from 'react';

import type { Notice, Severity } from '../generated/api';
import { showNode } from '../store/actions';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { clock, count, sentence } from '../text/format';
import { Words } from '../text/Words';

type Filter = Severity | 'all';

const FILTERS: readonly Filter[] = ['all', 'error', 'warning', 'info'];
const ICONS = { info: Info, warning: TriangleAlert, error: CircleAlert };
const TONES = { info: 'mute', warning: 'warn', error: 'error' };

/** What happened, newest first, in words. A click shows the node. */
export default function Events(): ReactElement {
  const notices = useStore((state) => state.notices);
  const [filter, setFilter] = useState<Filter>('all');
  const [query, setQuery] = useState('');
  const found = filterNotices(notices, filter, query);
  return (
    <section className="events" aria-label={en.events.label}>
      <div className="events-head">
        <div className="events-filters" role="group" aria-label={en.events.filter}>
          {FILTERS.map((one) => (
            <button key={one} type="button" className="events-filter" aria-pressed={filter === one} onClick={() => setFilter(one)}>
              {en.events[one]} <span className="mute">{count(one === 'all' ? notices.length : notices.filter((notice) => notice.severity === one).length)}</span>
            </button>
          ))}
        </div>
        <input
          className="field-box events-search"
          type="search"
          value={query}
          placeholder={en.events.filter}
          aria-label={en.events.filter}
          onChange={(event) => setQuery(event.target.value)}
        />
      </div>
      {found.length === 0 ? (
        <div className="empty">
          <h2>{notices.length === 0 ? en.events.none : en.events.noneFiltered}</h2>
          {notices.length === 0 && <p>{en.events.noneHint}</p>}
        </div>
      ) : (
        <ol className="events-list scroll" tabIndex={-1}>
          {found.map((notice) => (
            <li key={notice.id}>
              <Line notice={notice} />
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

/** The notices that a filter lets through, newest first. */
export function filterNotices(notices: readonly Notice[], filter: Filter, query: string): Notice[] {
  const wanted = query.trim().toLowerCase();
  const fits = (notice: Notice): boolean => {
    if (filter !== 'all' && notice.severity !== filter) return false;
    return wanted === '' || notice.message.toLowerCase().includes(wanted) || notice.node?.includes(wanted) === true || notice.kind.includes(wanted);
  };
  return notices.filter(fits).reverse();
}

function Line({ notice }: { notice: Notice }): ReactElement {
  const Shape = ICONS[notice.severity];
  const { node } = notice;
  return (
    <button
      type="button"
      className="event"
      disabled={node === undefined}
      onClick={() => {
        if (node !== undefined) showNode(node);
      }}
    >
      <time className="mono mute" dateTime={new Date(notice.at_ms).toISOString()}>
        {clock(notice.at_ms)}
      </time>
      <span className={`event-kind ${TONES[notice.severity]}`}>
        <Shape size={14} aria-hidden />
        {en.events.severity[notice.severity]}
      </span>
      <span className="mono event-node">{node ?? ''}</span>
      <span className="event-text">
        {/* The name of an alert stands as it is. */}
        <Words text={notice.kind.startsWith('alert_') ? notice.message : sentence(notice.message)} />
      </span>
      <span className="number mute">{notice.count > 1 ? en.events.times(notice.count) : ''}</span>
    </button>
  );
}
