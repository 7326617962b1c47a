import type { AlertTold } from '../generated/api';
import { en } from '../text/en';

/** Whether this browser shows notifications of the page: `none` where it has none. */
export type DesktopStanding = NotificationPermission | 'none';

export function desktopStanding(): DesktopStanding {
  return typeof Notification === 'undefined' ? 'none' : Notification.permission;
}

/** Asks whether alerts may be told on the desktop: only ever by a click. */
export async function askDesktop(): Promise<DesktopStanding> {
  return typeof Notification === 'undefined' ? 'none' : Notification.requestPermission();
}

/** Tells an alert on the desktop, where its file says so and the browser was allowed to. */
export function tellDesktop(alert: AlertTold): void {
  if (!alert.desktop || desktopStanding() !== 'granted') return;
  const body = alert.firing ? en.alerts.fires(alert.message) : en.alerts.resolved(alert.message);
  // One of an alert takes the place of the one before.
  new Notification(alert.pipeline === '' ? en.product : alert.pipeline, { body, tag: `${alert.pipeline}/${alert.name}` });
}
