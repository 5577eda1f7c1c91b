import { readdir, readFile } from 'node:fs/promises';

export type Cost = { readonly memoryMb: number; readonly descriptors: number };

/** Memory and processor time of a pointsman, now. */
export async function costOf({ pid: started }: { readonly pid: number }): Promise<Cost> {
  const pid = await nodePid(started);
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return {
    memoryMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    descriptors: (await readdir(`/proc/${pid}/fd`)).length,
  };
}

export const mostOf = (costs: readonly Cost[]): Cost => ({
  memoryMb: Math.max(...costs.map(({ memoryMb }) => memoryMb)),
  descriptors: Math.max(...costs.map(({ descriptors }) => descriptors)),
});

/** The process itself, where the one that was started only looks after it. */
async function nodePid(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const command = await readFile(`/proc/${pid}/comm`, 'utf8');
  const first = Number(children.trim().split(' ')[0]);
  return command.startsWith('node') || first === 0 ? pid : first;
}
