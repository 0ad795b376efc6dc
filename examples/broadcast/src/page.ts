/** The page: opens a WebSocket, has a button that starts the scene, and lists what arrives. */
export async function handler(): Promise<{ statusCode: number; headers: Record<string, string>; body: string }> {
  return { statusCode: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: PAGE };
}

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Broadcast</title>
<style>
  body { font: 18px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem; color: #1b2733 }
  button { font: inherit; padding: .5rem 1.25rem; border: 0; border-radius: .4rem; background: #d9822b; color: #fff; cursor: pointer }
  button:disabled { background: #9aa7b8; cursor: default }
  li b { display: inline-block; min-width: 5rem }
  small { color: #52606d }
</style>
<h1>Broadcast</h1>
<p>Sends <b>world</b> with a delay of 10 seconds, and after it <b>hello</b> with 5.</p>
<p><button disabled>Start</button> <small id="state">connecting ...</small></p>
<ol></ol>
<script>
  const address = ${JSON.stringify(process.env['WEBSOCKET_URL'] ?? '')} || new URLSearchParams(location.search).get('websocket');
  const state = document.querySelector('#state');
  const button = document.querySelector('button');
  let started;
  if (!address) {
    state.textContent = 'add ?websocket=wss://... (printed by the deployment) to the address of this page';
  } else {
    const socket = new WebSocket(address);
    socket.onopen = () => { state.textContent = 'connected'; button.disabled = false };
    socket.onclose = () => { state.textContent = 'disconnected'; button.disabled = true };
    socket.onmessage = ({ data }) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      const item = document.createElement('li');
      item.append(Object.assign(document.createElement('b'), { textContent: data }), Object.assign(document.createElement('small'), { textContent: seconds + ' s after the start' }));
      document.querySelector('ol').append(item);
    };
  }
  button.onclick = async () => {
    started = performance.now();
    const response = await fetch('/start', { method: 'POST' });
    state.textContent = response.ok ? 'sent' : 'could not send: ' + response.status;
  };
</script>
`;
