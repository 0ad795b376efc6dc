export type { KarinQueueAttributes } from './imported-karin-queue';
export { KarinEventSource, type KarinEventSourceProps } from './karin-event-source';
export { KarinQueue } from './karin-queue';
export type { BindEnvironmentOptions, IKarinQueue } from './karin-queue-base';
export type { KarinQueueProps } from './karin-queue-props';
