import { FormPart } from "./form.js";
import { attributes, eventNames, type FromFrame, schema, type ToFrame } from "./protocol.js";
import { text, whileLabelled } from "./texts.js";
import type { CheckEventMap, VerdictDetail } from "./types.js";

/**
 * WindmpCheckFrame is `<windmp-check-frame src="…">`: the page that checks dumps, in a frame,
 * with the attributes and events of `<windmp-check>`. Files stay in the frame, whose policy
 * allows it to connect to nothing; what comes out are verdicts and small dumps. `src` is
 * where the page is served, best from an origin of its own.
 */
export interface WindmpCheckFrame {
  addEventListener<Name extends keyof CheckEventMap>(name: Name, listener: (this: HTMLElement, e: CheckEventMap[Name]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(name: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

export class WindmpCheckFrame extends HTMLElement {
  static formAssociated = true;
  static observedAttributes = ["src", ...attributes, ...FormPart.attributes];

  #frame = document.createElement("iframe");
  #form = new FormPart(this);
  #unlabel = () => {};
  #verdict: VerdictDetail | undefined;
  #hear = (e: MessageEvent<FromFrame>) => {
    // Only the frame's own page is listened to: neither another window of its origin, nor
    // another page that was loaded into the frame.
    if (e.source === this.#frame.contentWindow && e.origin === this.#origin && e.data?.schema === schema) {
      this.#heard(e.data);
    }
  };

  constructor() {
    super();
    // Scripts of its own origin, and files that the visitor saves: no forms, no windows, no
    // way to lead the page around it elsewhere.
    this.#frame.sandbox.add("allow-scripts", "allow-same-origin", "allow-downloads");
    this.#frame.style.cssText = "display: block; width: 100%; height: 16rem; border: 0";
    this.attachShadow({ mode: "open", delegatesFocus: true }).append(this.#frame);
  }

  connectedCallback(): void {
    this.#unlabel = whileLabelled(() => {
      this.#frame.title = text("frame");
      this.#form.apply();
    });
    window.addEventListener("message", this.#hear);
    this.#load();
  }

  disconnectedCallback(): void {
    this.#unlabel();
    window.removeEventListener("message", this.#hear);
    this.#frame.removeAttribute("src");
  }

  attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    if (FormPart.attributes.includes(name)) {
      this.#form.apply();
    } else if (this.isConnected && before !== now) {
      this.#load();
    }
  }

  formResetCallback(): void {
    this.reset();
  }

  /** verdict is what was said last, undefined before and while it is looked for. */
  get verdict(): VerdictDetail | undefined {
    return this.#verdict;
  }

  /** check has the frame judge files, as if the visitor had chosen them there. */
  check(files: File[]): void {
    this.#ask({ schema, type: "check", detail: files });
  }

  /** makeTriage has the frame make small dumps of what was judged. */
  makeTriage(): void {
    this.#ask({ schema, type: "triage" });
  }

  /** cancel gives up what is being done. */
  cancel(): void {
    this.#ask({ schema, type: "cancel" });
  }

  /** reset is the state before a file was chosen. */
  reset(): void {
    this.#forget();
    this.#ask({ schema, type: "reset" });
  }

  /** address is the frame's, with what it has to know. */
  get #address(): URL {
    const url = new URL(this.getAttribute("src") ?? "", document.baseURI);
    url.searchParams.set("parent", location.origin);
    for (const name of attributes) {
      const value = this.getAttribute(name);
      if (value !== null) {
        url.searchParams.set(name, value);
      }
    }
    return url;
  }

  get #origin(): string {
    return this.#address.origin;
  }

  /** forget is the state before a file was chosen. */
  #forget(): void {
    this.#verdict = undefined;
    this.#form.clear();
  }

  /** load loads the page into the frame, which knows nothing of what was said before. */
  #load(): void {
    this.#forget();
    if (this.hasAttribute("src")) {
      this.#frame.src = this.#address.href;
    }
  }

  #ask(message: ToFrame): void {
    this.#frame.contentWindow?.postMessage(message, this.#origin);
  }

  #heard(message: FromFrame): void {
    switch (message.type) {
      case "height":
        this.#frame.style.height = Number(message.detail) + "px";
        return;
      case "ready":
        return;
      case "start":
        this.#verdict = message.detail.during === "check" ? undefined : this.#verdict;
        break;
      case "verdict":
        this.#verdict = message.detail;
        break;
    }
    if ((eventNames as readonly string[]).includes(message.type)) {
      this.dispatchEvent(new CustomEvent(message.type, { detail: message.detail, bubbles: true, composed: true }));
    }
  }
}
