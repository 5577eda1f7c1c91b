import { startApp } from './app.ts';
import { type Asking, exchange } from './ask.ts';

/** The request that an application got, as its answer describes it. */
export type Asked = {
  readonly name: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
};

/** A real HTTP application that answers with what it was asked. */
export function startEcho(name: string) {
  return startApp(name, ({ method, url, headers }, response) => {
    response.end(JSON.stringify({ name, method, url, headers }));
  });
}

/** Asks for something that an echo answers. */
export async function askEcho(port: number, asking: Asking): Promise<Asked> {
  const { status, body } = await exchange(port, asking);
  if (status !== 200) throw new Error(`status ${status}: ${body}`);
  return JSON.parse(body) as Asked;
}
