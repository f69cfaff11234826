"use strict";
(() => {
  const PAGE = 50;
  const GLYPHS = { good: "✓", bad: "✕", skip: "○", open: "…" };
  const root = document.documentElement;
  const at = (id) => document.getElementById(id);
  const make = (tag, kind, text) => {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const BREAKS = /(?<=[/\\[_.,-])(?=[\p{L}\p{N}_])|(?<=::)(?=[\p{L}\p{N}_])/u;
  const breakable = (element, text) => {
    text.split(BREAKS).forEach((part, at) => element.append(...(at ? [make("wbr"), part] : [part])));
    return element;
  };
  const remembered = {
    get: (name) => { try { return localStorage.getItem(name); } catch { return null; } },
    set: (name, value) => { try { localStorage.setItem(name, value); } catch { /* the browser forbids it: the theme is not remembered */ } },
  };

  // -- the theme
  const theme = at("theme");
  const wear = (name) => { if (name) root.dataset.theme = name; else delete root.dataset.theme; };
  theme.value = remembered.get("swarmtask-theme") ?? "";
  if (theme.selectedIndex < 0) theme.value = "";
  wear(theme.value);
  theme.addEventListener("change", () => { wear(theme.value); remembered.set("swarmtask-theme", theme.value); });
  root.classList.add("js");

  // -- the tests
  const CAN_UNPACK = "DecompressionStream" in window; // browsers have had it since 2023
  let tests = [];
  let found = [];
  let first = 0;
  const hidden = new Set();

  const duration = (value) => {
    if (value === null) return "";
    if (value < 0.01) return (value * 1000).toFixed(1) + " ms";
    if (value < 60) return value.toFixed(2) + " s";
    const minutes = Math.floor(value / 60);
    return minutes < 60 ? `${minutes} min ${Math.floor(value % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  };

  const unpacked = async (text) => {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(plain).json();
  };

  const read = async () => {
    const data = await unpacked(at("data").textContent);
    tests = data.tests.map(([word, name, took, worker, attempt, failure, note, id], order) => {
      return { word, kind: data.kinds[word], name, id, took, worker, attempt, failure, note, order, text: (name + "\n" + note).toLowerCase() };
    });
  };

  const badge = (test) => {
    const shown = make("span", "badge " + test.kind);
    const glyph = make("span", "", GLYPHS[test.kind]);
    glyph.setAttribute("aria-hidden", "true");
    shown.append(glyph, " " + test.word);
    return shown;
  };

  const row = (test) => {
    const line = make("tr");
    const outcome = make("td");
    outcome.append(badge(test));
    const name = make("th");
    name.scope = "row";
    const address = test.failure ? "#failure-" + test.failure : test.id && root.dataset.test + encodeURIComponent(test.id);
    const id = breakable(make(address ? "a" : "span", "id"), test.name);
    if (address) id.href = address;
    name.append(id);
    if (test.attempt > 1) name.append(" ", make("span", "warn", "attempt " + test.attempt));
    if (test.note) name.append(make("span", "note", test.note));
    line.append(outcome, name, make("td", "num", duration(test.took)), make("td", "worker", test.worker));
    return line;
  };

  const show = () => {
    first = Math.max(0, Math.min(first, Math.floor((found.length - 1) / PAGE) * PAGE));
    const last = Math.min(first + PAGE, found.length);
    at("rows").replaceChildren(...found.slice(first, last).map(row));
    const number = (value) => value.toLocaleString("en");
    const of = found.length === tests.length ? `${number(tests.length)} tests` : `${number(found.length)} of ${number(tests.length)} tests`;
    at("shown").textContent = found.length > PAGE ? `${of}, here ${number(first + 1)} to ${number(last)}` : of;
    at("pages").hidden = found.length <= PAGE;
    at("previous").disabled = first === 0;
    at("next").disabled = last >= found.length;
  };

  const ORDERS = {
    slow: (a, b) => (b.took ?? -1) - (a.took ?? -1),
    name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.order - b.order),
  };

  const find = () => {
    const words = at("query").value.toLowerCase().split(/\s+/).filter(Boolean);
    found = tests.filter((test) => !hidden.has(test.word) && words.every((word) => test.text.includes(word)));
    const order = ORDERS[at("order").value];
    if (order) found.sort(order);
    show();
  };

  // -- the filter in the address, as #tests?q=words&order=slow&hide=passed
  const FILTER = "#tests?";
  const remember = () => {
    const given = new URLSearchParams();
    if (at("query").value) given.set("q", at("query").value);
    if (at("order").value) given.set("order", at("order").value);
    for (const word of hidden) given.append("hide", word);
    const address = String(given) ? FILTER + given : location.hash.startsWith(FILTER) ? "#tests" : location.hash;
    history.replaceState(null, "", address || location.href.split("#")[0]);
  };
  const recall = () => {
    if (!location.hash.startsWith(FILTER)) return;
    const given = new URLSearchParams(location.hash.slice(FILTER.length));
    at("query").value = given.get("q") ?? "";
    at("order").value = given.get("order") in ORDERS ? given.get("order") : "";
    hidden.clear();
    for (const word of given.getAll("hide")) hidden.add(word);
    first = 0;
    offer();
    find();
    at("tests").scrollIntoView();
  };

  const offer = () => {
    const counts = new Map();
    for (const test of tests) counts.set(test.word, (counts.get(test.word) ?? 0) + 1);
    at("outcomes").replaceChildren(...[...counts].map(([word, count]) => {
      const label = make("label");
      const box = make("input");
      box.type = "checkbox";
      box.value = word;
      box.checked = !hidden.has(word);
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(word); else hidden.add(word);
        first = 0;
        find();
        remember();
      });
      label.append(box, ` ${word} ${count.toLocaleString("en")}`);
      return label;
    }));
  };

  const turn = (pages) => {
    first += pages * PAGE;
    show();
    at("tests").scrollIntoView();
  };

  const list = async () => {
    if (!CAN_UNPACK) { // the first tests stay, which are in the page without a script
      at("filter").hidden = at("pages").hidden = true;
      at("shown").textContent = `This browser lacks DecompressionStream, so it shows at most ${PAGE} tests, failed ones first, and cannot search. A browser from 2023 or later shows all tests.`;
      return;
    }
    await read();
    offer();
    find();
    recall();
    addEventListener("hashchange", recall);
    for (const id of ["query", "order"]) at(id).addEventListener("input", () => { first = 0; find(); remember(); });
    at("filter").addEventListener("submit", (event) => event.preventDefault());
    at("previous").addEventListener("click", () => turn(-1));
    at("next").addEventListener("click", () => turn(1));
  };
  if (at("tests")) list();

  // -- commands to copy
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch { // the browser forbids it here: the person can copy what is selected
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });

  // -- keys
  const step = (by) => {
    const failures = [...document.querySelectorAll("#failures .failure")].filter((each) => each.offsetParent);
    if (!failures.length) return;
    const now = failures.indexOf(document.activeElement?.closest?.(".failure"));
    const next = failures[now < 0 ? (by > 0 ? 0 : failures.length - 1) : Math.max(0, Math.min(now + by, failures.length - 1))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "start" });
  };
  const KEYS = { j: () => step(1), k: () => step(-1), "/": () => at("query")?.focus() };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  // -- print: what is folded is printed, too
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of folded) each.open = false; });

  // -- updates, if the page is served
  const parts = (page) => [...page.querySelectorAll("[data-swap]")];
  const shown = new Map(parts(document).map((part) => [part.id, part.innerHTML]));

  const swap = (old, fresh) => {
    if (shown.get(fresh.id) === fresh.innerHTML) return;
    shown.set(fresh.id, fresh.innerHTML);
    const open = new Map([...old.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
    for (const each of fresh.querySelectorAll("details[id]")) if (open.has(each.id)) each.open = open.get(each.id);
    old.replaceWith(document.adoptNode(fresh));
  };

  const renew = async () => {
    const answer = await fetch(location.href, { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const names = parts(fresh).map((part) => part.id);
    if (names.join() !== [...shown.keys()].join()) return location.reload(); // a section came or went
    for (const part of parts(document)) swap(part, fresh.getElementById(part.id));
    document.title = fresh.title;
    if (!("live" in fresh.documentElement.dataset)) delete root.dataset.live; // the run has ended
    if (!at("tests")) return; // there is still no run to show
    if (!CAN_UNPACK) return at("rows").replaceWith(fresh.getElementById("rows"));
    at("data").textContent = fresh.getElementById("data").textContent;
    const boxes = at("outcomes").contains(document.activeElement) ? document.activeElement.value : null;
    await read();
    offer();
    if (boxes) at("outcomes").querySelector(`input[value="${CSS.escape(boxes)}"]`)?.focus();
    find();
  };

  const watch = async () => {
    let known = root.dataset.version ?? null;
    while ("live" in root.dataset) {
      const began = performance.now();
      try {
        const version = await (await fetch(root.dataset.live, { cache: "no-store" })).text();
        if (known !== null && version !== known) await renew();
        known = version;
        at("live").textContent = "live" in root.dataset ? "live: updates by itself" : "";
      } catch {
        at("live").textContent = "no longer live: the server has stopped";
      }
      await new Promise((go) => setTimeout(go, Math.max(1000, 5 * (performance.now() - began))));
    }
  };
  if ("live" in root.dataset) watch();
})();
