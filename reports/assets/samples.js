// The samples of the page: an index in columns, and chunks that are inflated when a sample is opened. Nothing here touches the page.

const bytes = (base64) => {
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) found[i] = text.charCodeAt(i);
  return found;
};

const inflate = async (line) =>
  JSON.parse(await new Response(new Blob([bytes(line)]).stream().pipeThrough(new DecompressionStream("gzip"))).text());

/** What stands for a large picture or sound: `{ small, whole }`, its thumbnail and its number. */
const findLarge = (drawn) =>
  drawn === null || typeof drawn !== "object" ? [] : "whole" in drawn ? [drawn] : Object.values(drawn).flatMap(findLarge);

const EMPTY = { target: null, prediction: null, error: null, output: null, baseline: null, note: "", reasoning: "", calls: [], refused: false, opinions: [], probabilities: [], more_probabilities: 0, scores: [], twins: [], heats: [] };

/** Chunks of rows. `starts`: the first row of each chunk, and the number of rows. The chunks that were read last are kept. */
class Chunks {
  constructor(lines, starts) {
    Object.assign(this, { lines, starts, read: new Map() });
  }
  async at(row) {
    let [low, high] = [0, this.starts.length - 2];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= row) low = middle;
      else high = middle - 1;
    }
    const values = this.read.get(low) ?? inflate(this.lines[low]);
    this.read.delete(low);
    this.read.set(low, values);
    if (this.read.size > 6) this.read.delete(this.read.keys().next().value);
    return (await values)[row - this.starts[low]];
  }
}

/** Rows are positions in the index: the samples in the order of how much they need to be looked at. */
class Samples {
  static async from(text) {
    const lines = text.trim().split("\n");
    const head = await inflate(lines[0]);
    const num = head.starts.length - 1;
    const rows = await Promise.all(lines.slice(1, 1 + num).map(inflate));
    return new Samples(head, rows, lines.slice(1 + num));
  }

  /** `rows`: the columns of each chunk. `lines`: what is drawn of the chunks, then the data of large pictures and sounds. */
  constructor(head, rows, lines) {
    const column = (name) => rows.flatMap((chunk) => chunk[name]);
    const numbers = Object.fromEntries(head.numbers.map((name, i) => [name, rows.flatMap((chunk) => chunk.numbers[i])]));
    Object.assign(this, head, { numbers, orders: new Map() });
    for (const name of ["places", "profile"]) this[name] = column(name);
    this.ids = column("said").map(([id]) => id);
    this.texts = column("said").map(([, text]) => text);
    this.length = this.ids.length;
    this.drawn = new Chunks(lines.slice(0, rows.length), head.starts);
    this.wholes = new Map(head.media.map((number, i) => [number, lines[rows.length + i]]));
    this.haystacks = this.texts.map((text, row) => `${this.ids[row]}\n${text}`.toLowerCase());
    this.held = new Uint32Array(this.profiles.length);
    for (const profile of this.profile) this.held[profile] += 1;
    this.names = Object.fromEntries(this.facets.map(({ name }, facet) => [name, facet]));
  }

  get isWhole() {
    return this.length === this.num;
  }

  /** What a row answers to a facet. */
  answers(row, name) {
    const facet = this.names[name];
    return this.profiles[this.profile[row]][facet].map((answer) => this.facets[facet].answers[answer]);
  }

  key(row) {
    return `${this.answers(row, "model")[0]}/${this.answers(row, "task")[0]}/${this.ids[row]}`;
  }

  find(key) {
    return this.ids.findIndex((id, row) => key.endsWith(id) && this.key(row) === key);
  }

  /** The input's text, or its beginning. */
  snippet(row) {
    return this.texts[row].split("\n", 1)[0];
  }

  /** All that is known about a row. */
  async open(row) {
    const drawn = await this.drawn.at(row);
    for (const large of findLarge(drawn)) large.uri = this.wholes.get(large.whole);
    const [answer] = this.answers(row, "answer");
    const input = { kind: "text", image: "", texts: [["", [["=", this.snippet(row)]], ""]], note: "" };
    return { ...EMPTY, input, ...drawn, answer, row, id: this.ids[row], model: this.answers(row, "model")[0], task: this.answers(row, "task")[0] };
  }

  /** All rows by a key: "need", "data", "id", or a number's name, with "-" before it for the largest first. */
  order(by) {
    if (!this.orders.has(by)) {
      const rows = Array.from({ length: this.length }, (_, row) => row);
      const column = this.numbers[by.replace(/^-/, "")];
      if (by === "data") rows.sort((a, b) => this.places[a] - this.places[b]);
      else if (by === "id") rows.sort((a, b) => (this.ids[a] < this.ids[b] ? -1 : this.ids[a] > this.ids[b] ? 1 : a - b));
      else if (column) {
        const sign = by.startsWith("-") ? -1 : 1;
        const values = Float64Array.from(column, (value) => (value === null ? Infinity : sign * value));
        rows.sort((a, b) => (values[a] === values[b] ? a - b : values[a] < values[b] ? -1 : 1));
      }
      this.orders.set(by, rows);
    }
    return this.orders.get(by);
  }

  /**
   * The rows that answer one of the chosen answers to each facet, and hold all words; and how many rows there were for each answer, if the
   * other facets and the words stayed. `chosen`: a set of answers by facet. `totals` counts what the page left out too; null with words.
   */
  filter(chosen, words, by) {
    const { profiles, facets } = this;
    const fails = new Uint8Array(profiles.length);
    const failed = new Int8Array(profiles.length);
    profiles.forEach((profile, p) => {
      chosen.forEach((answers, facet) => {
        if (!answers.size || profile[facet].some((answer) => answers.has(answer))) return;
        fails[p] += 1;
        failed[p] = facet;
      });
    });
    const seen = words.length ? new Uint32Array(profiles.length) : this.held;
    const rows = [];
    for (const row of this.order(by)) {
      const p = this.profile[row];
      if (fails[p] > 1 || (words.length === 0 && fails[p])) continue;
      if (words.length) {
        const text = this.haystacks[row];
        if (!words.every((word) => text.includes(word))) continue;
        seen[p] += 1;
      }
      if (!fails[p]) rows.push(row);
    }
    const counts = facets.map(({ answers }) => new Uint32Array(answers.length));
    const totals = words.length ? null : facets.map(({ answers }) => new Uint32Array(answers.length));
    profiles.forEach((profile, p) => {
      if (fails[p] > 1) return;
      profile.forEach((given, facet) => {
        if (fails[p] && failed[p] !== facet) return;
        for (const answer of given) {
          counts[facet][answer] += seen[p];
          if (totals) totals[facet][answer] += seen[p] + this.left[p];
        }
      });
    });
    const total = words.length ? null : profiles.reduce((sum, _, p) => sum + (fails[p] ? 0 : this.held[p] + this.left[p]), 0);
    return { rows, counts, totals, total };
  }
}
