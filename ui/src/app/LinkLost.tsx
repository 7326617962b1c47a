import type { ReactElement } from 'react';

import { useStore } from '../store/store';
import { en } from '../text/en';
import { Words } from '../text/Words';
import { Logo } from './Logo';
import { useNow } from './StatusBar';

/** Says that the studio itself cannot be heard: over everything where nothing was ever shown, else as a strip. */
export function LinkLost(): ReactElement | null {
  const link = useStore((state) => state.link);
  const known = useStore((state) => state.welcome !== undefined);
  const now = useNow();
  if (link.is === 'open' || (link.is === 'connecting' && known)) return null;
  if (link.is === 'connecting') return <Whole title={en.link.connecting} text="" />;
  const retry = link.retryAtMs > 0 ? en.link.retry(link.retryAtMs - now) : '';
  if (!known) return <Whole title={en.link.refusedTitle} text={`${en.link.refusedText} ${retry}`} />;
  return (
    <div className="link-lost" role="alert">
      <strong>{en.link.lostTitle}</strong> {en.link.lostText} {retry}
    </div>
  );
}

function Whole({ title, text }: { title: string; text: string }): ReactElement {
  return (
    <div className="link-whole" role="status">
      <Logo size={40} />
      <h1>{title}</h1>
      <p>
        <Words text={text} />
      </p>
    </div>
  );
}
