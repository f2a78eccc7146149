import { decide, makesDumps } from "./decide.js";
import { Engine, type Options } from "./engine.js";
import { FormPart } from "./form.js";
import { text, whileLabelled } from "./texts.js";
import type { CheckEventMap, CheckEvents, CheckReply, Failure, Job, SmallDump, TriageDetail, TriageReply, VerdictDetail } from "./types.js";
import { save, View } from "./view.js";

/**
 * WindmpCheck is `<windmp-check>`: it takes files that the visitor chooses or drops, has
 * windmp judge them in the browser, and shows what it says. Its attributes:
 *
 * - `max-size`: what is larger fails, such as 1GB;
 * - `accept`: the kinds of files that are taken, of `core,dump`, both if it is absent;
 * - `triage="auto"`: small dumps are made at once of what is not rejected;
 * - `brief`: the verdict, its reason and advice are shown, and no more of the report;
 * - `name`, `required`: in a form, what it is sent as, and that it has to be there.
 *
 * Its events, which bubble, are those of CheckEvents.
 */
export interface WindmpCheck {
  addEventListener<Name extends keyof CheckEventMap>(name: Name, listener: (this: HTMLElement, e: CheckEventMap[Name]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(name: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

export class WindmpCheck extends HTMLElement {
  static formAssociated = true;
  static observedAttributes = FormPart.attributes;

  #view = new View(this);
  #form = new FormPart(this);
  #engine = new Engine();
  #unlabel = () => {};
  #files: File[] = [];
  #verdict: VerdictDetail | undefined;
  #triage: TriageDetail | undefined;
  #shown: CheckReply | TriageReply | undefined;
  #running = false;

  constructor() {
    super();
    const { input } = this.#view;
    input.addEventListener("click", () => { input.value = ""; }); // so that the same file can be chosen again
    input.addEventListener("change", () => this.#chosen(Array.from(input.files ?? [])));
    this.#view.onClick("cancel", () => this.cancel());
    this.#view.onClick("triage", () => void this.makeTriage());
    this.#view.onClick("save-dump", () => this.#triage?.dumps.forEach((d) => save(d.dump)));
    this.#view.onClick("save-json", () => this.#save(".json", "application/json", this.#shown?.json));
    this.#view.onClick("save-page", () => this.#save(".html", "text/html", this.#shown?.page));
    this.#takeDrops();
  }

  connectedCallback(): void {
    this.#unlabel = whileLabelled(() => {
      this.#view.label();
      this.#form.apply();
    });
    if (typeof WebAssembly === "undefined") {
      this.#view.say(text("unsupported"));
      return;
    }
    this.#warmUp();
  }

  /** An element that is taken out of its page gives up what it does, and keeps what it said. */
  disconnectedCallback(): void {
    this.#unlabel();
    this.#giveUp();
    this.#engine.close();
  }

  attributeChangedCallback(): void {
    this.#form.apply();
  }

  formResetCallback(): void {
    this.reset();
  }

  /** verdict is what was said last, undefined before and while it is looked for. */
  get verdict(): VerdictDetail | undefined {
    return this.#verdict;
  }

  /** check judges files, as if the visitor had chosen them. It resolves to null where it was
   * cancelled or failed, which events tell apart. */
  async check(files: File[]): Promise<VerdictDetail | null> {
    this.#begin(files);
    const what = files.length === 1 ? text("reading", { name: files[0].name }) : text("readingMany", { count: files.length });
    const reply = await this.#ask("check", what, files);
    if (!reply) {
      return null;
    }
    this.#show(reply);
    if (reply.error) {
      return this.#failed("check", { message: reply.error, hint: reply.hint ?? "" });
    }
    const v = decide(reply, this.getAttribute("accept"));
    this.#verdict = v;
    this.#view.say(verdictSentence(v));
    this.#offer(v);
    this.#tell("verdict", v);
    if (this.getAttribute("triage") === "auto" && v.decision !== "reject" && makesDumps(v)) {
      await this.makeTriage();
    }
    return v;
  }

  /** makeTriage makes small dumps of what was judged, one of each file of which one can be
   * made. It resolves to null where it was cancelled or failed. */
  async makeTriage(): Promise<TriageDetail | null> {
    const v = this.#verdict;
    if (!v || !makesDumps(v)) {
      return this.#failed("triage", { message: text("noDump"), hint: "" });
    }
    const dumps: SmallDump[] = [];
    for (const [i, { small, converts }] of v.files.entries()) {
      const file = this.#files[i];
      if (!small && !converts) {
        continue;
      }
      const made = small ? { source: file.name, dump: file, json: "" } : await this.#make(file);
      if (!made) {
        return null;
      }
      dumps.push(made);
    }
    this.#triage = { dumps };
    this.#view.say(madeSentence(this.#triage));
    this.#view.offer("save-dump", "save-json", "save-page");
    this.#tell("triage", this.#triage);
    return this.#triage;
  }

  /** cancel gives up what is being done, if something is. */
  cancel(): void {
    if (this.#giveUp()) {
      this.#warmUp();
    }
  }

  /** reset is the state before a file was chosen. */
  reset(): void {
    this.#begin([]);
    this.#view.say("");
    this.#form.clear();
  }

  /** giveUp ends what is being done, and tells whether something was. */
  #giveUp(): boolean {
    if (!this.#running) {
      return false;
    }
    this.#engine.cancel();
    this.#run(false);
    this.#view.say(text("cancelled"));
    this.#offer();
    this.#tell("cancel", null);
    return true;
  }

  #run(running: boolean): void {
    this.#running = running;
    this.#view.run(running);
  }

  /** warmUp starts the worker while the visitor chooses. */
  #warmUp(): void {
    this.#engine.start().catch((e) => this.#view.say(failureSentence({ message: messageOf(e), hint: "" })));
  }

  #tell<Name extends keyof CheckEvents>(name: Name, detail: CheckEvents[Name]): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  #chosen(files: File[]): void {
    if (files.length > 0) {
      void this.check(files);
    }
  }

  /** drop judges what was dropped, here or elsewhere on the page. Browsers show a folder as a
   * file that can't be read. */
  drop(dropped: DataTransfer | null): void {
    const folder = Array.from(dropped?.items ?? []).map((item) => item.webkitGetAsEntry()).find((entry) => entry?.isDirectory);
    if (folder) {
      this.#begin([]);
      this.#tell("start", { during: "check" });
      this.#failed("check", { message: text("folder", { name: folder.name }), hint: "" });
      return;
    }
    this.#chosen(Array.from(dropped?.files ?? []));
  }

  #takeDrops(): void {
    this.addEventListener("dragover", (e) => {
      e.preventDefault();
      this.#view.over(true);
    });
    this.addEventListener("dragleave", () => this.#view.over(false));
    this.addEventListener("drop", (e) => {
      e.preventDefault();
      this.#view.over(false);
      this.drop(e.dataTransfer);
    });
  }

  /** begin is the state with files of which nothing was said. */
  #begin(files: File[]): void {
    this.#engine.cancel();
    this.#files = files;
    this.#verdict = this.#triage = this.#shown = undefined;
    this.#run(false);
    this.#view.report("");
    this.#view.offer();
  }

  /** offer shows what can be done with a verdict, nothing without one. */
  #offer(v = this.#verdict): void {
    this.#view.offer(...(v && makesDumps(v) ? ["triage" as const] : []), ...(v ? ["save-json" as const, "save-page" as const] : []));
  }

  /** ask has the engine do a job, and shows meanwhile that it does. */
  async #ask(op: "check", what: string, files: File[]): Promise<CheckReply | null>;
  async #ask(op: "triage", what: string, files: File[]): Promise<TriageReply | null>;
  async #ask(op: Job, what: string, files: File[]) {
    this.#view.say(what);
    this.#run(true);
    this.#view.offer();
    this.#tell("start", { during: op });
    const options: Options = { maxSize: this.getAttribute("max-size") ?? undefined };
    try {
      const reply = await this.#engine.ask(op, files, options, (p) => {
        this.#view.progress(p);
        this.#tell("progress", p);
      });
      if (reply) { // otherwise another job is shown already
        this.#run(false);
      }
      return reply;
    } catch (e) {
      this.#run(false);
      return { error: messageOf(e) };
    }
  }

  /** make makes a small dump of a file, whose neighbours are the others. */
  async #make(file: File): Promise<SmallDump | null> {
    const others = this.#files.filter((f) => f !== file);
    const reply = await this.#ask("triage", text("making", { name: file.name }), [file, ...others]);
    if (!reply) {
      return null;
    }
    if (reply.error || !reply.dump) {
      return this.#failed("triage", { message: reply.error ?? text("noDump"), hint: reply.hint ?? "" });
    }
    if (this.#files.length === 1) {
      this.#show(reply);
    }
    return { source: file.name, dump: new File([reply.dump], file.name + ".dmp", { type: "application/octet-stream" }), json: reply.json ?? "" };
  }

  #show(reply: CheckReply | TriageReply): void {
    this.#shown = reply;
    this.#view.report(reply.html ?? "");
  }

  #failed(during: Job, f: Failure): null {
    this.#view.say(failureSentence(f));
    this.#offer();
    this.#tell("failed", { ...f, during });
    return null;
  }

  #save(ending: string, type: string, what = ""): void {
    save(new File([what], this.#files[0].name + ending, { type }));
  }
}

function messageOf(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}

function failureSentence(f: Failure): string {
  const said = text("failed", { error: f.message });
  return f.hint ? said + " " + text("hint", { hint: f.hint }) : said;
}

function verdictSentence(v: VerdictDetail): string {
  const said = v.files.length === 1 ? text("verdict", { name: v.files[0].name, verdict: v.verdict }) : text("verdictMany", { count: v.files.length, verdict: v.verdict });
  // That a kind is not taken here, no report says.
  return v.decision === "reject" && v.verdict !== "FAIL" ? said + ". " + v.reason : said;
}

function madeSentence(t: TriageDetail): string {
  const bytes = t.dumps.reduce((sum, d) => sum + d.dump.size, 0);
  const size = Math.ceil(bytes / 1024) + " KiB";
  if (t.dumps.length > 1) {
    return text("madeMany", { count: t.dumps.length, size });
  }
  return t.dumps[0].json ? text("made", { size }) : text("asItIs", { name: t.dumps[0].source });
}
