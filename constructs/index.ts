export { KarinAccountAccess, type KarinAccountAccessProps } from './account-access';
export { KarinDrain } from './drain';
export type { KarinAccessProps, KarinServerProps } from './endpoint';
export {
  KarinFrontDoor,
  type KarinHttpsOptions,
  type KarinLoadBalancerOptions,
  type KarinPrivateNameOptions,
} from './front-door';
export type { KarinQueueAttributes } from './imported-karin-queue';
export { KarinEventSource, type KarinEventSourceProps } from './karin-event-source';
export {
  KarinHttpIntegration,
  type KarinHttpIntegrationProps,
  type KarinIntegrationProps,
  type KarinMappedIntegrationProps,
  KarinRestIntegration,
  KarinWebSocketIntegration,
} from './karin-integrations';
export { KarinQueue } from './karin-queue';
export { KarinQueueBase } from './karin-queue-base';
export type { KarinQueueProps } from './karin-queue-props';
export { KarinService } from './karin-service';
export type { KarinServiceProps } from './karin-service-props';
export {
  KarinBucketDestination,
  type KarinBucketDestinationProps,
  KarinSubscription,
  type KarinSubscriptionProps,
} from './karin-subscription';
export { KarinTarget, type KarinTargetProps } from './karin-target';
export type {
  BindEnvironmentOptions,
  IKarinQueue,
  KarinDeliveryOptions,
  KarinIngestOptions,
  KarinIngestUrlOptions,
  KarinTopicOptions,
} from './queue-interface';
export { type IKarinRuntimeIdentity, KarinRuntimeIdentity } from './runtime-identity';
export type {
  FlyMachineIdentityProps,
  KarinExistingRoleIdentityProps,
  KarinOidcIdentityProps,
  KarinPermissionProps,
  KarinRuntimeIdentityProps,
  KarinUserIdentityProps,
} from './runtime-identity-props';
export { SyncFailure, SyncOnDeploy, type SyncOnDeployProps } from './sync-on-deploy';
