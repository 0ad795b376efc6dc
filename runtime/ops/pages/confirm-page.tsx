import { Form, Page, type PageFrame } from './layout.tsx';

/** A question before something that cannot be undone, for browsers that run no script. */
export function ConfirmPage(props: { frame: PageFrame; question: string; action: string; back: string }) {
  const { frame, question, action, back } = props;
  return (
    <Page frame={frame} title="Are you sure?">
      <h1>Are you sure?</h1>
      <p>{question}</p>
      <Form frame={frame} action={action} class="row">
        <input type="hidden" name="confirmed" value="yes" />
        <button type="submit" class="danger">
          Yes
        </button>
        <a href={frame.base + back}>No, go back</a>
      </Form>
    </Page>
  );
}
