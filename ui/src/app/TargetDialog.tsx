import { useState, type ReactElement } from 'react';

import { addTarget, openDialog } from '../store/actions';
import { en } from '../text/en';
import { Words } from '../text/Words';
import { Dialog } from './Dialog';

const close = (): void => openDialog(undefined);

/** Connects to a remote node by its address and token. */
export function TargetDialog(): ReactElement {
  const [address, setAddress] = useState('ws://127.0.0.1:7400');
  const [token, setToken] = useState('');
  const [error, setError] = useState<string | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  const connect = async (): Promise<void> => {
    setBusy(true);
    setError(await addTarget(address.trim(), token.trim()));
    setBusy(false);
  };
  const foot = (
    <>
      <button type="button" className="button" onClick={close}>
        {en.targets.cancel}
      </button>
      <button type="submit" form="add-target" className="button primary" disabled={busy || address.trim() === ''}>
        {en.targets.add}
      </button>
    </>
  );
  return (
    <Dialog title={en.targets.title} onClose={close} foot={foot}>
      <form
        id="add-target"
        className="dialog-form"
        onSubmit={(event) => {
          event.preventDefault();
          void connect();
        }}
      >
        <p className="mute">
          <Words text={en.targets.text} />
        </p>
        <label>
          {en.targets.address}
          <input className="field-box mono" value={address} spellCheck={false} onChange={(event) => setAddress(event.target.value)} />
        </label>
        <label>
          {en.targets.token}
          <input
            className="field-box mono"
            data-focus
            type="password"
            autoComplete="off"
            value={token}
            spellCheck={false}
            onChange={(event) => setToken(event.target.value)}
          />
        </label>
        {error !== undefined && (
          <p className="error" role="alert">
            {error}
          </p>
        )}
      </form>
    </Dialog>
  );
}
