import { Page, type PageFrame } from './layout.tsx';

/** What could not be done, in a sentence. */
export function ErrorPage(props: { frame: PageFrame; message: string }) {
  const { frame, message } = props;
  return (
    <Page frame={frame} title="Not done" notice={{ text: message, kind: 'bad' }}>
      <p>
        <a href={`${frame.base}/ops`}>To the queues</a>
      </p>
    </Page>
  );
}
