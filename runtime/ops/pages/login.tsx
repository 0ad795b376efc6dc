import { type Notice, Page, type PageFrame } from './layout.tsx';

export function LoginPage({ frame, notice }: { frame: PageFrame; notice?: Notice | undefined }) {
  return (
    <Page frame={frame} title="Log in">
      <div class="card login">
        <h1>Karin</h1>
        {notice === undefined ? null : (
          <p class={`notice ${notice.kind}`} role="alert">
            {notice.text}
          </p>
        )}
        <form method="post" action={`${frame.base}/ops/login`} class="stack">
          <label>
            Admin password
            <input type="password" name="password" autocomplete="current-password" required autofocus />
          </label>
          <button type="submit" class="main">
            Log in
          </button>
        </form>
        <p class="quiet small">
          The password is <code>KARIN_ADMIN_PASSWORD</code> of the server.
        </p>
      </div>
    </Page>
  );
}
