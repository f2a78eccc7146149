"use strict";
// The page: files go to a worker, its answer is shown. windmpTexts, windmpWorker,
// windmpModule and windmpFilters are from the scripts before (scripts/webpage).
(() => {
  const $ = (id) => document.getElementById(id);
  const text = (name, values = {}) => windmpTexts[name].replace(/\{(\w+)\}/g, (_, k) => values[k]);
  for (const e of document.querySelectorAll("[data-text]")) {
    e.textContent = text(e.dataset.text);
  }

  /** compiled is the module, which all workers share. It is packed by gzip and in base64,
   * so that nothing has to be fetched. */
  let compiling;
  const compiled = () => (compiling ??= (async () => {
    const packed = Uint8Array.from(atob(windmpModule), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return WebAssembly.compile(await new Response(stream).arrayBuffer());
  })());

  let worker;
  /** start makes a worker, whose policy is the page's because it is of a blob. */
  const start = () => (worker ??= (async () => {
    const url = URL.createObjectURL(new Blob([windmpWorker], { type: "text/javascript" }));
    const w = new Worker(url);
    const ready = new Promise((resolve, reject) => {
      w.onmessage = (e) => (e.data.ready ? resolve() : reject(new Error(e.data.result?.error)));
      w.onerror = (e) => reject(new Error(e.message));
    });
    w.postMessage({ module: await compiled() });
    await ready;
    URL.revokeObjectURL(url);
    return w;
  })());

  let current = 0;
  let stop = () => {};
  /** ask has the worker do a job. Its answer is null where it was cancelled. */
  const ask = async (op, files, options) => {
    stop(); // what is asked for last is what is wanted
    const id = ++current;
    const w = await start();
    if (id !== current) {
      return null;
    }
    return new Promise((resolve) => {
      stop = () => {
        w.terminate(); // it reads without waiting, so that it hears nothing meanwhile
        worker = undefined;
        stop = () => {};
        resolve(null);
      };
      w.onmessage = (e) => {
        if (e.data.progress) {
          const { done, total } = e.data.progress;
          if (total > 0) {
            $("progress").max = total;
            $("progress").value = done;
          }
          return;
        }
        stop = () => {};
        resolve(e.data.result);
      };
      w.onerror = (e) => {
        worker = undefined;
        stop = () => {};
        resolve({ error: e.message });
      };
      w.postMessage({ id, op, files, options });
    });
  };

  let chosen = [];
  let last;
  const say = (s) => { $("status").textContent = s; };

  /** busy shows that something is done, until it is. */
  const busy = async (what, op, files, options) => {
    say(what);
    $("running").hidden = false;
    $("actions").hidden = true;
    $("progress").removeAttribute("value");
    let result;
    try {
      result = await ask(op, files, options);
    } catch (e) {
      result = { error: e.message };
    }
    if (result === null) {
      return null;
    }
    $("running").hidden = true;
    return result;
  };

  /** show puts a report onto the page. All text in it is escaped by windmp, and the page's
   * policy runs no script of it. */
  const show = (result) => {
    $("report").innerHTML = result.html ?? "";
    windmpFilters($("report"));
    last = result;
    $("actions").hidden = !result.html;
  };

  const check = async (files) => {
    chosen = files;
    $("report").textContent = "";
    const what = files.length === 1 ? text("reading", { name: files[0].name }) : text("readingMany", { count: files.length });
    const result = await busy(what, "check", files, {});
    if (!result) {
      return;
    }
    show(result);
    if (result.error) {
      say(text("failed", { error: result.error }));
      return;
    }
    $("triage").hidden = !(result.files.length > 0 && result.files[0].converts);
    say(files.length === 1 ? text("verdict", { name: files[0].name, verdict: result.verdict }) : text("verdictMany", { count: files.length, verdict: result.verdict }));
  };

  const save = (data, name, type) => {
    const a = document.createElement("a");
    a.href = URL.createObjectURL(new Blob([data], { type }));
    a.download = name;
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
  };

  $("files").addEventListener("change", () => {
    if ($("files").files.length) {
      const files = Array.from($("files").files);
      $("files").value = ""; // so that the same file can be chosen again
      check(files);
    }
  });
  $("cancel").addEventListener("click", () => {
    current++;
    stop();
    $("running").hidden = true;
    say(text("cancelled"));
  });
  $("triage").addEventListener("click", async () => {
    const result = await busy(text("making", { name: chosen[0].name }), "triage", chosen, {});
    if (!result) {
      return;
    }
    show(result);
    $("triage").hidden = true;
    if (result.error) {
      say(text("failed", { error: result.error }));
      return;
    }
    save(result.dump, chosen[0].name + ".dmp", "application/octet-stream");
    say(text("made", { size: Math.ceil(result.dump.length / 1024) + " KiB" }));
  });
  $("save-json").addEventListener("click", () => save(last.json, chosen[0].name + ".json", "application/json"));
  $("save-page").addEventListener("click", () => save(last.page, chosen[0].name + ".html", "text/html"));

  const drop = document.documentElement;
  drop.addEventListener("dragover", (e) => {
    e.preventDefault();
    $("drop").classList.add("over");
  });
  drop.addEventListener("dragleave", () => $("drop").classList.remove("over"));
  drop.addEventListener("drop", (e) => {
    e.preventDefault();
    $("drop").classList.remove("over");
    if (e.dataTransfer.files.length) {
      check(Array.from(e.dataTransfer.files));
    }
  });

  if (typeof WebAssembly === "undefined") {
    say(text("unsupported"));
    return;
  }
  start().catch((e) => say(text("failed", { error: e.message }))); // while the visitor chooses
})();
