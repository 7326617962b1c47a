import './home.css';

import { FolderOpen, Keyboard, Plus } from 'lucide-react';
import type { ReactElement } from 'react';

import { Icon } from '../app/Icon';
import { Logo } from '../app/Logo';
import { ThemeButton } from '../app/Rail';
import { leave, openDialog, openPath, openSample } from '../store/actions';
import type { RecentProject, Sample } from '../generated/api';
import { useStore } from '../store/store';
import { en } from '../text/en';
import { ago } from '../text/format';
import { useNow } from '../app/StatusBar';

/** What can be opened. Opening never runs anything. */
export function Home(): ReactElement {
  const home = useStore((state) => state.home);
  const version = useStore((state) => state.welcome?.version ?? '');
  return (
    <main className="home scroll">
      <div className="home-column">
        <header className="home-head">
          <Logo size={36} />
          <div>
            <h1>{en.home.title}</h1>
            <p className="mute">{en.home.tagline}</p>
          </div>
          <span className="home-actions">
            <button type="button" className="button" onClick={() => void leave('open')}>
              <FolderOpen size={15} strokeWidth={1.7} aria-hidden />
              {en.home.open}
            </button>
            <button type="button" className="button primary" onClick={() => void leave('new')}>
              <Plus size={15} strokeWidth={2} aria-hidden />
              {en.home.new}
            </button>
          </span>
        </header>
        <section aria-labelledby="samples">
          <h2 id="samples" className="section-title">
            {en.home.samples} <span className="plain">· {en.home.samplesHint}</span>
          </h2>
          <ul className="home-samples">
            {home?.samples.map((sample) => (
              <SampleCard key={sample.id} sample={sample} />
            ))}
          </ul>
        </section>
        <section aria-labelledby="recent">
          <h2 id="recent" className="section-title">
            {en.home.recent}
          </h2>
          {home !== undefined && home.recent.length === 0 ? (
            <p className="home-none mute">{en.home.noRecent}</p>
          ) : (
            <ul className="home-recent">
              {home?.recent.map((project) => (
                <Recent key={project.path} project={project} />
              ))}
            </ul>
          )}
        </section>
      </div>
      <footer className="home-foot mute">
        <ThemeButton />
        <button type="button" className="rail-button" aria-label={en.rail.keys} title={en.rail.keys} onClick={() => openDialog({ is: 'keys' })}>
          <Keyboard size={17} strokeWidth={1.7} aria-hidden />
        </button>
        {version}
      </footer>
    </main>
  );
}

function SampleCard({ sample }: { sample: Sample }): ReactElement {
  return (
    <li>
      <button type="button" className="sample" aria-label={en.home.openSample(sample.title)} onClick={() => void openSample(sample.id)}>
        <span className="sample-icon">
          <Icon name={sample.icon} size={18} />
        </span>
        <strong>{sample.title}</strong>
        <span className="sample-text">{sample.summary}</span>
      </button>
    </li>
  );
}

function Recent({ project }: { project: RecentProject }): ReactElement {
  const now = useNow();
  return (
    <li>
      <button type="button" className="recent" disabled={!project.exists} onClick={() => void openPath(project.path)}>
        <strong>{project.name}</strong>
        <span className="mono recent-path">{project.path}</span>
        <span className="recent-when">{project.exists ? ago(project.opened_at_ms, now) : en.home.missing}</span>
      </button>
    </li>
  );
}
