// Runs in AWS Lambda as inline code (at most 4,096 bytes), with nothing but Node and the SDK that its runtime contains.

const PAUSE_MS = 3_000;

exports.handler = async (event) => {
  const { OnFailure, TimeoutSeconds } = event.ResourceProperties;
  let status = 'SUCCESS';
  let summary = 'nothing to sync';
  try {
    if (event.RequestType !== 'Delete') {
      summary = await sync(event.ResourceProperties, Date.now() + Number(TimeoutSeconds) * 1_000);
    }
  } catch (error) {
    const cause = error.cause ? ` (${error.cause.message})` : '';
    summary = `Karin was not synced: ${error.message}${cause}; run 'karin sync' once this is mended`;
    if (OnFailure === 'fail') status = 'FAILED';
  }
  process.stdout.write(`${summary}\n`);
  await reply(event, status, summary.slice(0, 1_000));
};

/** Asks until the server answers and finds no mapping broken: right after a deployment, new permissions may take seconds to work. */
async function sync(properties, deadline) {
  const credential = await readCredential(properties);
  for (;;) {
    const outOfTime = Date.now() + PAUSE_MS >= deadline;
    try {
      const found = await post(`${properties.Endpoint}/sync`, credential, deadline);
      if (found.broken.length === 0 || outOfTime) return describe(found);
    } catch (error) {
      if (error.refused || outOfTime) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function readCredential({ SecretId, SecretField }) {
  const { SecretsManager } = require('@aws-sdk/client-secrets-manager');
  const { SecretString } = await new SecretsManager({}).getSecretValue({ SecretId });
  if (!SecretField) return SecretString;
  const value = JSON.parse(SecretString)[SecretField];
  if (typeof value !== 'string') throw new Error(`the secret has no field '${SecretField}'`);
  return value;
}

async function post(url, credential, deadline) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${credential}` },
    signal: AbortSignal.timeout(Math.max(1_000, deadline - Date.now())),
  });
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  const error = new Error(`the server answered ${response.status}: ${text.slice(0, 200)}`);
  error.refused = response.status < 500 && response.status !== 429;
  throw error;
}

function describe({ added, changed, removed, unchanged, broken }) {
  const counts = `${added.length} added, ${changed.length} changed, ${removed.length} removed, ${unchanged} unchanged`;
  return [counts, ...broken.map(({ mapping, reason }) => `broken ${mapping}: ${reason}`)].join('; ');
}

/** CloudFormation waits for this message, whatever happened. */
async function reply(event, Status, Summary) {
  await fetch(event.ResponseURL, {
    method: 'PUT',
    headers: { 'content-type': '' },
    body: JSON.stringify({
      Status,
      Reason: Summary,
      PhysicalResourceId: event.PhysicalResourceId || 'karin-sync',
      StackId: event.StackId,
      RequestId: event.RequestId,
      LogicalResourceId: event.LogicalResourceId,
      Data: { Summary },
    }),
  });
}
