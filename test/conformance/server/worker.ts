/** Its handler: prints each body. */
export async function handler(event: { readonly Records: readonly { readonly body: string }[] }): Promise<void> {
  for (const { body } of event.Records) process.stdout.write(`handled ${body}\n`);
}
