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

  const read = (text) => {
    const data = JSON.parse(text);
    tests = data.tests.map((row, order) => {
      const [outcome, file, rest, took = null, worker = "", attempt = 1, failure = 0, note = "", suffix = 0] = row;
      const [word, kind] = data.outcomes[outcome];
      const name = data.files[file] + rest;
      const linked = "test" in root.dataset && suffix >= 0; // only a server has pages on tests
      const id = linked ? name.slice(0, name.length - data.suffixes[suffix].length) : null;
      return { word, kind, name, id, took, worker, attempt, failure, note, order, text: (name + "\n" + note).toLowerCase() };
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
    const id = make(address ? "a" : "span", "id", test.name);
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

  if (at("tests")) {
    read(at("data").textContent);
    offer();
    find();
    for (const id of ["query", "order"]) at(id).addEventListener("input", () => { first = 0; find(); });
    at("filter").addEventListener("submit", (event) => event.preventDefault());
    at("previous").addEventListener("click", () => turn(-1));
    at("next").addEventListener("click", () => turn(1));
  }

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
    at("data").textContent = fresh.getElementById("data").textContent;
    const boxes = at("outcomes").contains(document.activeElement) ? document.activeElement.value : null;
    read(at("data").textContent);
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
