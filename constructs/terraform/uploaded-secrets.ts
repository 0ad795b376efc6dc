import type { ContainerUpload } from '@cdktf/provider-docker/lib/container';
import type { KarinRuntimeProps } from './karin-runtime';

/** Files for the container, and the variables that tell Karin where they are. */
export interface UploadedSecrets {
  readonly files: ContainerUpload[];
  readonly environment: Readonly<Record<string, string>>;
}

const FOLDER = '/run/karin';

/**
 * Turns the secrets of a runtime into files: an environment variable is shown by `docker inspect` and inherited by
 * every child process, a file is not.
 */
export function uploadedSecrets(
  props: Pick<KarinRuntimeProps, 'tokens' | 'keys' | 'adminPassword' | 'awsCredentials'> & {
    readonly redisUrl: string | undefined;
  },
): UploadedSecrets {
  const { awsCredentials } = props;
  const secrets: readonly (readonly [variable: string, file: string, content: string | undefined])[] = [
    ['REDIS_URL_FILE', 'redis-url', props.redisUrl],
    ['KARIN_TOKENS_FILE', 'tokens', props.tokens],
    ['KARIN_KEYS_FILE', 'keys', props.keys],
    ['KARIN_ADMIN_PASSWORD_FILE', 'admin-password', props.adminPassword],
    [
      'AWS_SHARED_CREDENTIALS_FILE',
      'aws-credentials',
      awsCredentials &&
        `[default]\naws_access_key_id = ${awsCredentials.accessKeyId}\naws_secret_access_key = ${awsCredentials.secretAccessKey}\n`,
    ],
  ];
  const given = secrets.flatMap(([variable, file, content]) =>
    content === undefined ? [] : [{ variable, path: `${FOLDER}/${file}`, content }],
  );
  return {
    files: given.map(({ path, content }) => ({ file: path, content })),
    environment: Object.fromEntries(given.map(({ variable, path }) => [variable, path])),
  };
}
