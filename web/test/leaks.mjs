// The ways out of a page and of its worker, tried against a server that listens: what it
// hears went out, whatever a browser says of it.
import { createSocket } from "node:dgram";
import { createServer } from "node:http";
import { networkInterfaces } from "node:os";
import { until } from "./browser.mjs";

/** listen listens at a port of this machine, by TCP and UDP, and keeps which ways led to it:
 * each has an address of its own. Its own page has no policy. */
export async function listen() {
  const heard = new Set();
  const server = createServer((q, r) => {
    const way = new URL(q.url, "http://x").searchParams.get("way");
    way && heard.add(way);
    r.writeHead(200, { "content-type": "text/html", "access-control-allow-origin": "*" }).end(`<!DOCTYPE html><title>open</title><link rel="icon" href="data:,">`);
  });
  server.on("upgrade", (q, socket) => {
    heard.add("WebSocket");
    socket.destroy();
  });
  await new Promise((done) => server.listen(0, "0.0.0.0", done));
  const { port } = server.address();
  const datagrams = createSocket("udp4").on("message", () => heard.add("WebRTC"));
  await new Promise((done) => datagrams.bind(port, done));
  // Browsers gather no candidates for the loopback interface.
  const outer = Object.values(networkInterfaces()).flat().find((a) => a.family === "IPv4" && !a.internal);
  return {
    home: "http://127.0.0.1:" + port + "/",
    stun: "stun:" + (outer?.address ?? "127.0.0.1") + ":" + port,
    heard,
    close: () => {
      server.close();
      server.closeAllConnections();
      datagrams.close();
    },
  };
}

/** connect tries what scripts of pages and workers can connect by. It runs in them. */
const connect = (home) => {
  const to = (way) => home + "?way=" + way;
  const ways = [
    () => fetch(to("fetch"), { mode: "no-cors" }),
    () => fetch(to("keepalive"), { mode: "no-cors", keepalive: true }),
    () => {
      const x = new XMLHttpRequest();
      x.open("GET", to("XMLHttpRequest"));
      x.send();
    },
    () => new WebSocket(home.replace("http", "ws")),
    () => new EventSource(to("EventSource")),
    () => navigator.sendBeacon(to("sendBeacon"), "x"),
    () => typeof importScripts === "function" && importScripts(to("importScripts")),
    () => new Worker(URL.createObjectURL(new Blob(["importScripts('" + to("worker") + "')"], { type: "text/javascript" }))),
    () => import(to("import")),
  ];
  for (const go of ways) {
    Promise.resolve().then(go).catch(() => {}); // what is forbidden or absent throws
  }
};

/** hear runs before a page's own scripts: it puts connect into each worker that the page
 * makes, which tries it when it is told to by a channel. */
export const hear = `{
  const make = URL.createObjectURL;
  URL.createObjectURL = (blob) => make.call(URL, blob.type !== "text/javascript" ? blob : new Blob([blob, ${JSON.stringify(`
{
  const channel = new BroadcastChannel("leaks");
  channel.onmessage = (e) => {
    (${connect})(e.data);
    channel.postMessage(typeof RTCPeerConnection);
  };
}`)}], { type: blob.type }));
}`;

/** fromWorker has the page's worker try connect, and tells what WebRTC is to it. */
export const fromWorker = (home) => new Promise((done) => {
  const channel = new BroadcastChannel("leaks");
  channel.onmessage = (e) => {
    channel.close();
    done(e.data);
  };
  channel.postMessage(home);
});

/** load tries what elements of a page load, and WebRTC. It runs in the page. */
const load = (home, stun) => {
  const to = (way) => home + "?way=" + way;
  const put = (name, attributes) => {
    const e = Object.assign(document.createElement(name), attributes);
    document.body.append(e);
    return e;
  };
  put("img", { alt: "x", src: to("img") });
  put("iframe", { title: "x", src: to("iframe") });
  put("object", { data: to("object") });
  put("video", { src: to("video") });
  put("script", { src: to("script") });
  put("link", { rel: "stylesheet", href: to("stylesheet") });
  put("div", { style: "background: url(" + to("background") + ")" });
  put("a", { ping: to("ping"), href: "#" }).click();
  const peer = new RTCPeerConnection({ iceServers: [{ urls: stun }] });
  peer.createDataChannel("x");
  return peer.createOffer().then((offer) => peer.setLocalDescription(offer));
};

/** alone are the ways that are tried one after the other: what a browser fetches when it has
 * nothing else to do, and a window, which stands in front of the page from then on. */
const alone = {
  prefetch: (home) => {
    document.head.append(Object.assign(document.createElement("link"), { rel: "prefetch", href: home + "?way=prefetch" }));
  },
  window: (home) => { window.open(home + "?way=window"); },
};

/** away are those that lead the page elsewhere. */
const away = {
  form: (home) => {
    const f = document.createElement("form");
    f.method = "post";
    f.action = home + "?way=form";
    document.body.append(f);
    f.submit();
  },
  location: (home) => { location.href = home + "?way=location"; },
  link: (home) => {
    const a = document.createElement("a");
    a.href = home + "?way=link";
    document.body.append(a);
    a.click();
  },
  refresh: (home) => {
    const m = document.createElement("meta");
    m.httpEquiv = "refresh";
    m.content = "0; url=" + home + "?way=refresh";
    document.head.append(m);
  },
};

/** loads are the ways out that one page tries beside each other, of those that both
 * browsers have: Firefox sends no pings. */
const loads = "EventSource WebRTC WebSocket XMLHttpRequest background fetch iframe img import keepalive object script sendBeacon stylesheet video worker".split(" ");

/** ways are all ways out of a page. */
export const ways = [...loads, ...Object.keys(away), ...Object.keys(alone)];

/** patience is how long ways that lead out may take, and least how long those are waited for
 * that should come to nothing, in milliseconds. */
const patience = 60_000, least = 1_000;

/** tried tries all ways out of a page at an address, or of one without a policy. It returns
 * those that led out, and how long each step took. Those that are expected to lead out are
 * waited for. What comes to nothing tells no end: it waits twice as long as the same step took
 * elsewhere. */
export async function tried(context, url, expected = ways, elsewhere = {}) {
  const listener = await listen(); // its own: what comes late is not taken for another page's
  const own = await context.browser().createBrowserContext();
  const open = async () => {
    const page = await own.newPage();
    // The policy is the same without windmp, which would take its time to start.
    await page.evaluateOnNewDocument(() => delete globalThis.WebAssembly);
    return page;
  };
  const took = {};
  const step = async (page, name, ways, ...tries) => {
    await page.goto(url ?? listener.home);
    const begin = Date.now();
    for (const go of tries) {
      await page.evaluate(go, listener.home, listener.stun).catch(() => {}); // Firefox throws what others only say
    }
    const awaited = ways.filter((way) => expected.includes(way));
    const wait = awaited.length === ways.length ? 0 : Math.max(least, 2 * elsewhere[name]);
    const passed = () => Date.now() - begin;
    const isOver = () => passed() >= wait && awaited.every((way) => listener.heard.has(way));
    while (!isOver() && passed() < patience) {
      await new Promise((r) => setTimeout(r, 50));
    }
    took[name] = passed();
  };
  await step(await open(), "loads", loads, connect, load);
  const page = await open(); // one for the other steps: each starts a process
  for (const [way, go] of Object.entries(away)) {
    await step(page, way, [way], go);
    if (listener.heard.has(way)) {
      await until(() => page.url().includes("?way=" + way)); // it is there before it goes on
    }
  }
  for (const [way, go] of Object.entries(alone)) {
    await step(page, way, [way], go);
  }
  const went = Array.from(listener.heard).filter((way) => ways.includes(way)).sort();
  await own.close();
  listener.close();
  return { went, took };
}
