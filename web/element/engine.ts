import { text } from "./texts.js";
import type { CheckReply, Progress, TriageReply } from "./types.js";

/** Replies are what the worker answers to what it is asked for. */
interface Replies {
  check: CheckReply;
  triage: TriageReply;
}

/** Options are told to windmp as they are. */
export interface Options {
  /** maxSize is a size in the words of the command's --max-size, such as 1GB. */
  maxSize?: string;
}

/** module is windmp, compiled once for all engines of a page. */
let module: Promise<{ module: WebAssembly.Module; worker: string }> | undefined;

/** load compiles windmp. It stands in a script beside this one, packed by gzip, so that
 * nothing has to be fetched that the page's policy would have to allow. */
function load() {
  module ??= compile().catch((e) => {
    module = undefined; // the next try may find what this one did not
    throw e;
  });
  return module;
}

async function compile() {
  const { packed, worker } = await import("./module.js");
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return { module: await WebAssembly.compile(await new Response(stream).arrayBuffer()), worker };
}

/** An Engine has windmp do one job at a time, in a worker. */
export class Engine {
  #worker: Promise<Worker> | undefined;
  #current = 0;
  #end: () => void = () => {};

  /** start makes the worker, which takes a second: before anything is asked. */
  start(): Promise<Worker> {
    this.#worker ??= this.#begin().catch((e) => {
      this.#worker = undefined;
      throw e;
    });
    return this.#worker;
  }

  async #begin(): Promise<Worker> {
    const { module, worker } = await load();
    // Of a blob, so that its policy is the page's.
    const url = URL.createObjectURL(new Blob([worker], { type: "text/javascript" }));
    const w = new Worker(url);
    try {
      await new Promise<void>((resolve, reject) => {
        w.onmessage = (e) => (e.data.ready ? resolve() : reject(new Error(e.data.result?.error)));
        w.onerror = (e) => reject(new Error(e.message));
        w.postMessage({ module });
      });
    } finally {
      URL.revokeObjectURL(url);
    }
    return w;
  }

  /** ask does a job, and gives up what was asked before. It resolves to null if it was
   * given up itself. */
  async ask<Op extends keyof Replies>(op: Op, files: File[], options: Options, progress: (p: Progress) => void): Promise<Replies[Op] | null> {
    this.cancel();
    const id = this.#current;
    const w = await this.start();
    if (id !== this.#current) {
      return null;
    }
    return new Promise((resolve) => {
      const done = (reply: Replies[Op] | null) => {
        this.#end = () => {};
        resolve(reply);
      };
      this.#end = () => {
        this.close(); // it reads without waiting, so that it hears nothing meanwhile
        done(null);
      };
      const broken = (error: string) => {
        this.close(); // the next job has another
        done({ error } as Replies[Op]);
      };
      w.onmessage = (e) => {
        if (e.data.progress) {
          progress(e.data.progress);
        } else if (e.data.ended) {
          broken(text("ended"));
        } else {
          done(e.data.result);
        }
      };
      w.onerror = (e) => broken(e.message);
      w.postMessage({ id, op, files, options });
    });
  }

  /** cancel gives up what is being done. */
  cancel(): void {
    this.#current++;
    this.#end();
  }

  /** close ends the worker; the next job starts another. */
  close(): void {
    this.#worker?.then((w) => w.terminate(), () => {});
    this.#worker = undefined;
  }
}
