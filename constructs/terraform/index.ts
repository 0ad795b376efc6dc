/**
 * cdktf constructs for Karin. A sub-path of its own, so that neither side needs the other's library:
 * `karin-queue/terraform` works without aws-cdk-lib.
 */
export { type AwsCredentials, type ImageBuild, KarinRuntime, type KarinRuntimeProps } from './karin-runtime';
