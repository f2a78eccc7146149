import { makesDumps } from "./decide.js";
import { text } from "./texts.js";
import type { CheckEvents, VerdictDetail } from "./types.js";

/** Standing is what an element is to its form at a moment: nothing was chosen, there is a
 * reason not to send the form, or there is something to be sent. */
type Standing = { is: "empty" } | { is: "refused"; why: string } | { is: "sent"; verdict: VerdictDetail; dumps: File[] };

/**
 * A FormPart is what an element is to the form around it: what it sends, and whether the
 * form may be sent. It follows the element's own events. A file that is no small dump is
 * never sent, and nothing of one that is rejected.
 */
export class FormPart {
  /** attributes are those of the element that count for the form. */
  static readonly attributes = ["name", "required"];

  #element: HTMLElement;
  #internals: ElementInternals;
  #verdict: VerdictDetail | undefined;
  #standing: Standing = { is: "empty" };

  constructor(element: HTMLElement) {
    this.#element = element;
    this.#internals = element.attachInternals();
    this.#on("start", ({ during }) => {
      if (during === "check") {
        this.#verdict = undefined;
      }
      this.#wait();
    });
    this.#on("verdict", (v) => {
      this.#verdict = v;
      if (element.getAttribute("triage") === "auto" && v.decision !== "reject" && makesDumps(v)) {
        this.#wait(); // for what is made next
      } else {
        this.#judged(v, []);
      }
    });
    this.#on("triage", ({ dumps }) => this.#verdict && this.#judged(this.#verdict, dumps.map((d) => d.dump)));
    this.#on("failed", (f) => (this.#verdict ? this.#judged(this.#verdict, []) : this.#refuse(f.message)));
    this.#on("cancel", () => (this.#verdict ? this.#judged(this.#verdict, []) : this.clear()));
  }

  /** clear is the state before a file was chosen. */
  clear(): void {
    this.#verdict = undefined;
    this.#stand({ is: "empty" });
  }

  /** apply tells the form, by the element's attributes and the texts as they are now. */
  apply(): void {
    const now = this.#standing;
    this.#internals.setFormValue(now.is === "sent" ? this.#entries(now.verdict, now.dumps) : null);
    if (now.is === "refused") {
      this.#internals.setValidity({ customError: true }, now.why);
    } else if (now.is === "empty" && this.#element.hasAttribute("required")) {
      this.#internals.setValidity({ valueMissing: true }, text("needed"));
    } else {
      this.#internals.setValidity({});
    }
  }

  #on<Name extends keyof CheckEvents>(name: Name, done: (detail: CheckEvents[Name]) => void): void {
    this.#element.addEventListener(name, (e) => done((e as CustomEvent).detail));
  }

  #stand(standing: Standing): void {
    this.#standing = standing;
    this.apply();
  }

  /** wait is the state while something is done whose outcome is to be sent. */
  #wait(): void {
    this.#refuse(text("wait"));
  }

  #refuse(why: string): void {
    this.#stand({ is: "refused", why });
  }

  #judged(verdict: VerdictDetail, dumps: File[]): void {
    if (verdict.decision === "reject") {
      this.#refuse(text("refused", { reason: verdict.reason }));
    } else {
      this.#stand({ is: "sent", verdict, dumps });
    }
  }

  /** entries are what the form sends, null without a name: the small dumps under that name,
   * the document under it with "-report" behind it, the decision with "-decision". */
  #entries(v: VerdictDetail, dumps: File[]): FormData | null {
    const name = this.#element.getAttribute("name");
    if (!name) {
      return null;
    }
    const entries = new FormData();
    entries.append(name + "-decision", v.decision);
    entries.append(name + "-report", new File([v.json], "check.json", { type: "application/json" }));
    for (const dump of dumps) {
      entries.append(name, dump);
    }
    return entries;
  }
}
