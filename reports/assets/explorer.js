// The sample explorer, after samples.js, drawing.js, sample.js and export.js, and in one block with them.

const root = document.querySelector(".explorer");
const detail = root?.querySelector(".detail");
const ROW_PX = 54;
const FEW = 10;
const MANY = 100;
const TITLES = { answer: "judged", flip: "against the baseline", attack: "under attack", probe: "explanation", class: "label" };
const count = (number) => number.toLocaleString("en");
const counted = (number) => (number === 1 ? "1 sample" : `${count(number)} samples`);

// ── the list: as many rows as are seen, used again while it scrolls ──────────────────────────────────────────────

const makeList = (samples, box, choose) => {
  const tall = make("div", { role: "none" });
  const pool = [];
  let [rows, at] = [[], -1];
  box.append(tall);

  const makeRow = () => {
    const [mark, snippet, name, flags] = ["outcome", "snippet", "name", "flags"].map((part) => make("span", { class: part }));
    mark.setAttribute("role", "img");
    snippet.setAttribute("dir", "auto");
    const element = make("div", { class: "row", role: "option", id: `row-${pool.length}` }, mark, snippet, name, flags);
    const row = { element, mark, snippet, name, flags, place: -1 };
    element.addEventListener("click", () => choose(row.place, true));
    pool.push(row);
    tall.append(element);
    return row;
  };

  const fill = (row, place) => {
    const sample = rows[place];
    const [answer] = samples.answers(sample, "answer");
    const { kind, glyph } = outcome(answer);
    const isFlipped = samples.answers(sample, "attack").some((said) => said.endsWith(": flipped"));
    const confidence = samples.numbers.confidence?.[sample];
    row.place = place;
    row.mark.className = `outcome ${kind}`;
    row.mark.textContent = glyph;
    row.mark.setAttribute("aria-label", answer);
    row.snippet.textContent = samples.snippet(sample) || samples.answers(sample, "class")[0] || "–";
    row.name.textContent = samples.ids[sample];
    row.flags.textContent = [...samples.answers(sample, "flip").filter((said) => said !== "same"), isFlipped ? "flipped" : "", confidence === null || confidence === undefined ? "" : `${Math.round(100 * confidence)}\u202f%`].filter(Boolean).join(" · ");
    row.element.setAttribute("aria-setsize", rows.length);
    row.element.setAttribute("aria-posinset", place + 1);
    row.element.style.transform = `translateY(${place * ROW_PX}px)`;
  };

  const draw = (again) => {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW_PX) - 2);
    const last = Math.min(rows.length, first + Math.ceil(box.clientHeight / ROW_PX) + 5);
    while (pool.length < last - first) makeRow();
    // A place keeps its row while it is seen, so that a screen reader's place stays.
    pool.forEach((row, i) => {
      const place = first + (((i - first) % pool.length) + pool.length) % pool.length;
      row.element.hidden = place >= last;
      if (place < last && (again || row.place !== place)) fill(row, place);
      row.element.setAttribute("aria-selected", String(!row.element.hidden && row.place === at));
    });
    const selected = pool.find((row) => row.place === at && !row.element.hidden);
    if (selected) box.setAttribute("aria-activedescendant", selected.element.id);
    else box.removeAttribute("aria-activedescendant");
  };

  box.addEventListener("scroll", () => draw(false), { passive: true });
  addEventListener("resize", () => draw(false));
  return {
    show(found) {
      rows = found;
      tall.style.height = `${rows.length * ROW_PX}px`;
      box.scrollTop = 0;
      draw(true);
    },
    select(place) {
      at = place;
      const top = place * ROW_PX;
      if (place >= 0) box.scrollTop = Math.min(top, Math.max(box.scrollTop, top + ROW_PX - box.clientHeight));
      draw(false);
    },
  };
};

// ── facets ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const makeFacets = (samples, box, chosen, changed) => {
  const open = new Set();
  const button = (facet, answer, said) => {
    const name = samples.facets[facet].answers[answer];
    const element = make("button", { type: "button", "data-key": `${facet} ${answer}`, "aria-pressed": String(chosen[facet].has(answer)) },
      make("span", {}, make("bdi", {}, name)), make("span", { class: "tally" }, said));
    element.addEventListener("click", () => {
      if (!chosen[facet].delete(answer)) chosen[facet].add(answer);
      changed();
    });
    return element;
  };

  const draw = ({ counts, totals }) => {
    const focused = box.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const fields = samples.facets.map(({ name, answers }, facet) => {
      const total = (answer) => totals?.[facet][answer] ?? counts[facet][answer];
      const said = (answer) => (total(answer) === counts[facet][answer] ? count(total(answer)) : `${count(counts[facet][answer])} of ${count(total(answer))}`);
      let listed = [...answers.keys()];
      if (listed.length < 2 && !chosen[facet].size) return null;
      if (listed.length > FEW) {
        const most = open.has(facet) ? MANY : FEW;
        const ranked = listed.filter((answer) => chosen[facet].has(answer) || total(answer)).sort((a, b) => chosen[facet].has(b) - chosen[facet].has(a) || total(b) - total(a) || a - b);
        listed = ranked.slice(0, most);
        listed.rest = ranked.length - listed.length;
      }
      const more = make("button", { type: "button", class: "more", "data-key": `${facet} more`, "aria-expanded": String(open.has(facet)) },
        open.has(facet) ? "fewer" : `${count(listed.rest ?? 0)} more`);
      more.addEventListener("click", () => {
        if (!open.delete(facet)) open.add(facet);
        draw({ counts, totals });
      });
      return make("fieldset", {}, make("legend", {}, TITLES[name] ?? name), listed.map((answer) => button(facet, answer, said(answer))), listed.rest || open.has(facet) ? more : null);
    });
    box.replaceChildren(...fields.filter(Boolean));
    if (focused) [...box.querySelectorAll("[data-key]")].find((element) => element.dataset.key === focused)?.focus();
  };
  return draw;
};

// ── the whole ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const start = (samples) => {
  const chosen = samples.facets.map(() => new Set());
  const [search, sort] = ["#search", "#sort"].map((place) => root.querySelector(place));
  const [status, reset, box] = ["[role=status]", ".reset", ".found"].map((place) => root.querySelector(place));
  const narrow = matchMedia("(max-width: 60rem)");
  let found = { rows: [] };
  let [selected, opening] = [-1, null];

  const words = () => search.value.toLowerCase().split(/\s+/).filter(Boolean);

  const address = () => {
    const state = new URLSearchParams();
    samples.facets.forEach(({ name, answers }, facet) => chosen[facet].forEach((answer) => state.append(name, answers[answer])));
    if (search.value.trim()) state.set("q", search.value.trim());
    if (sort.value !== "need") state.set("sort", sort.value);
    if (selected >= 0) state.set("sample", samples.key(selected));
    return `#${state}`;
  };
  // Some browsers refuse frequent changes of the address.
  const remember = () => { try { history.replaceState(null, "", address()); } catch { /* the next change writes it */ } };

  const open = async (row, focus) => {
    const now = (opening = Symbol());
    selected = row;
    if (row < 0) return void detail.replaceChildren(make("p", { class: "muted" }, "No sample matches these filters."));
    const sample = await samples.open(row);
    if (now !== opening) return;
    detail.replaceChildren(...sampleParts(sample, `#${new URLSearchParams({ sample: samples.key(row) })}`));
    reach(detail);
    root.parentElement.querySelector(".print-note").textContent = `Printed: the sample that was selected on the page, one of ${counted(samples.num)}.`;
    if (focus) detail.querySelector("h3").focus({ preventScroll: !narrow.matches });
  };

  const choose = (place, focus = false) => {
    list.select(place);
    open(found.rows[place] ?? -1, focus);
    remember();
  };
  const list = makeList(samples, box, choose);

  const update = () => {
    found = samples.filter(chosen, words(), sort.value);
    const { rows, total } = found;
    list.show(rows);
    drawFacets(found);
    status.textContent = total === null || total === rows.length ? counted(rows.length) : `${count(rows.length)} of ${counted(total)}`;
    reset.hidden = !words().length && chosen.every((answers) => !answers.size);
    const place = rows.indexOf(selected);
    list.select(place >= 0 ? place : rows.length ? 0 : -1);
    if (place < 0) open(rows[0] ?? -1);
  };
  const changed = () => {
    update();
    remember();
  };
  const drawFacets = makeFacets(samples, root.querySelector(".facets > div"), chosen, changed);

  const restore = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    const known = [...samples.facets.map(({ name }) => name), "q", "sort", "sample"];
    if (!known.some((name) => state.has(name))) return false;
    samples.facets.forEach(({ name, answers }, facet) => {
      chosen[facet].clear();
      for (const answer of state.getAll(name)) if (answers.includes(answer)) chosen[facet].add(answers.indexOf(answer));
    });
    search.value = state.get("q") ?? "";
    sort.value = state.get("sort") ?? "need";
    if (sort.selectedIndex < 0) sort.value = "need";
    const row = state.has("sample") ? samples.find(state.get("sample")) : -1;
    selected = row;
    update();
    if (row >= 0) open(row);
    else if (state.has("sample")) status.textContent = "The sample of this link is not on this page.";
    document.getElementById("explorer").scrollIntoView();
    return true;
  };

  const clear = () => {
    search.value = "";
    chosen.forEach((answers) => answers.clear());
    changed();
    search.focus();
  };

  // Only while the focus is inside: single letters typed elsewhere belong to the browser and to other tools.
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select");
    const inList = event.target === box;
    const place = found.rows.indexOf(selected);
    const page = Math.max(1, Math.floor(box.clientHeight / ROW_PX) - 1);
    const [end, last] = [Infinity, found.rows.length - 1];
    const steps = { j: 1, k: -1, ...(inList ? { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -end, End: end } : {}) }[event.key];
    if (event.key === "Escape" && (event.target === search || detail.contains(event.target))) box.focus();
    else if (typing) return;
    else if (event.key === "/") search.focus();
    else if (event.key === "Enter" && inList) detail.querySelector("h3")?.focus();
    else if (steps && last >= 0) choose(Math.min(Math.max(place + steps, 0), last));
    else return;
    event.preventDefault();
  };

  const sortable = Object.keys(samples.numbers).filter((name) => new Set(samples.numbers[name]).size > 3);
  for (const name of sortable) sort.append(make("option", { value: `-${name}` }, `${name}, highest first`), make("option", { value: name }, `${name}, lowest first`));
  root.querySelector(".kept").textContent = samples.isWhole
    ? `All ${counted(samples.num)} are here. Counts respect the other filters; the address keeps what you choose.`
    : `${count(samples.length)} of ${counted(samples.num)} fit into this page: first those that failed, then those that flipped (under an attack, or against the baseline), then wrong ones, then others of every class and slice in turn. “4 of 11” means that 4 of the run's 11 are here.`;
  for (const format of ["csv", "jsonl"]) {
    root.querySelector(`.${format}`).addEventListener("click", async (event) => {
      event.target.disabled = true;
      await save(samples, found.rows, format);
      event.target.disabled = false;
    });
  }
  search.addEventListener("input", changed);
  sort.addEventListener("change", changed);
  reset.addEventListener("click", clear);
  root.addEventListener("keydown", keys);
  addEventListener("hashchange", restore);
  if (narrow.matches) root.querySelector(".facets").open = false;
  root.hidden = false;
  if (!restore()) update();
  root.dataset.ready = Math.round(performance.now());
};

if (root && "DecompressionStream" in window) Samples.from(document.getElementById("samples").textContent).then(start);
else if (root) root.parentElement.querySelector(".outdated").hidden = false;
