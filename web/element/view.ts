import { windmpFilters } from "windmp-filters";
import reportStyle from "windmp-report.css";
import ownStyle from "./check.css";
import { type Key, text } from "./texts.js";
import type { Progress } from "./types.js";

const skeleton = `
<div class="windmp app">
<div class="card drop" part="drop">
<label for="files" dir="auto"></label>
<input type="file" id="files" multiple>
<p class="note" dir="auto"></p>
</div>
<p id="status" role="status" dir="auto"></p>
<div id="running" hidden><progress id="progress"></progress> <button type="button" id="cancel" dir="auto"></button></div>
<div id="actions" hidden>
<button type="button" id="triage" dir="auto"></button>
<button type="button" id="save-dump" dir="auto"></button>
<button type="button" id="save-json" dir="auto"></button>
<button type="button" id="save-page" dir="auto"></button>
</div>
</div>
<div id="report"></div>`;

/** labels are the texts of the skeleton, by what they stand in. */
const labels: [string, Key][] = [
  ["label", "choose"], [".note", "dropHint"], ["#cancel", "cancel"], ["#triage", "triage"],
  ["#save-dump", "saveDump"], ["#save-json", "saveJSON"], ["#save-page", "savePage"],
];

/** Button is what a visitor asks for by one. */
export type Button = "cancel" | "triage" | "save-dump" | "save-json" | "save-page";

/** A View is what an element shows, in a tree of its own: no style of the page gets in, and
 * its own are no concern of the page's policy. */
export class View {
  #root: ShadowRoot;
  #focusHere = false;

  constructor(host: HTMLElement) {
    this.#root = host.attachShadow({ mode: "open", delegatesFocus: true });
    this.#root.adoptedStyleSheets = [reportStyle, ownStyle].map((css) => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
      return sheet;
    });
    this.#root.innerHTML = skeleton;
    this.#get("report").addEventListener("click", (e) => this.#follow(e));
  }

  /** label puts the texts in, as they are now. */
  label(): void {
    for (const [selector, name] of labels) {
      this.#root.querySelector(selector)!.textContent = text(name);
    }
    this.#get("progress").setAttribute("aria-label", text("progress"));
  }

  /** input is where files are chosen. */
  get input(): HTMLInputElement {
    return this.#get("files") as HTMLInputElement;
  }

  /** onClick calls back when a button is pressed. */
  onClick(button: Button, done: () => void): void {
    this.#get(button).addEventListener("click", done);
  }

  /** say puts a sentence where screen readers hear of it. */
  say(sentence: string): void {
    this.#get("status").textContent = sentence;
  }

  /** over shows whether files that are dragged would be taken. */
  over(so: boolean): void {
    this.#root.querySelector(".drop")!.classList.toggle("over", so);
  }

  /** run shows that something is done, or that nothing is; offer follows. */
  run(running: boolean): void {
    this.#keepFocus("running");
    this.#get("running").hidden = !running;
    (this.#get("progress") as HTMLProgressElement).removeAttribute("value");
  }

  /** progress shows how far it is. */
  progress(p: Progress): void {
    const bar = this.#get("progress") as HTMLProgressElement;
    if (p.total > 0) {
      bar.max = p.total;
      bar.value = p.done;
    }
  }

  /** offer shows these buttons and no others. */
  offer(...buttons: Button[]): void {
    const actions = this.#get("actions");
    this.#keepFocus("actions");
    for (const b of actions.querySelectorAll("button")) {
      b.hidden = !buttons.includes(b.id as Button);
    }
    actions.hidden = buttons.length === 0;
    const focused = this.#root.activeElement as HTMLElement | null;
    if (this.#focusHere && !(focused && shown(focused))) {
      this.#firstButton().focus();
    }
    this.#focusHere = false;
  }

  /** keepFocus notes that a button among those within id has the focus, before it may be
   * hidden: then another gets it. */
  #keepFocus(id: string): void {
    this.#focusHere ||= this.#get(id).contains(this.#root.activeElement);
  }

  /** firstButton is the first button that is shown, or else where files are chosen. */
  #firstButton(): HTMLElement {
    return Array.from(this.#root.querySelectorAll<HTMLElement>("#cancel, #actions button")).find(shown) ?? this.input;
  }

  /** report shows a report, or none. All text in it is escaped by windmp. */
  report(html: string): void {
    const report = this.#get("report");
    report.innerHTML = html;
    windmpFilters(report);
  }

  #get(id: string): HTMLElement {
    return this.#root.getElementById(id)!;
  }

  /** follow goes where a link within the report points: browsers look for the targets of
   * links in the document alone, and not in the tree of an element. */
  #follow(e: Event): void {
    const link = (e.target as Element).closest("a[href^='#']");
    const target = link && this.#root.getElementById(link.getAttribute("href")!.slice(1));
    if (!target) {
      return;
    }
    e.preventDefault();
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  }
}

function shown(e: HTMLElement): boolean {
  return e.offsetParent !== null;
}

/** save has the browser keep a file, where the visitor wants it. */
export function save(file: File): void {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(file);
  a.download = file.name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
}
