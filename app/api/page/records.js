// Rows of CSV and JSON lines, read as their characters arrive: whatever is cut anywhere, a row comes out whole. A row is
// {raw, values}: its own characters, and its cells by column; or {raw, values, error, isBroken} where it has none.
const SEPARATORS = [",", ";", "\t", "|"];
const MOST_IN_ROW = 2 ** 24; // characters; a quotation mark that is never closed would hold the whole file

const broken = (raw, error) => ({ raw, values: {}, error, isBroken: true });

// The separator that stands most often in the line of names, quoted parts aside.
function separatorOf(line) {
  const bare = line.replace(/"(?:[^"]|"")*"/g, "");
  const counts = SEPARATORS.map(each => bare.split(each).length);
  return SEPARATORS[counts.indexOf(Math.max(...counts))];
}

class CsvRows {
  constructor(separator) {
    Object.assign(this, { separator, text: "", at: 0, start: 0, isQuoted: false, cells: [], names: null });
  }

  // The rows that end in `text` and what came before it.
  add(text) {
    const rows = [], { separator } = this;
    this.text += text;
    for (; this.at < this.text.length; this.at++) {
      const sign = this.text[this.at];
      if (sign === '"' && this.text[this.start] === '"') this.isQuoted = !this.isQuoted; // a doubled one twice
      else if (this.isQuoted) continue;
      else if (sign === separator) this.endCell();
      else if (sign === "\n") this.endRow(rows);
    }
    if (this.text.length > MOST_IN_ROW) throw new Error("A row has more than 16 million characters: a quotation mark may not be closed.");
    return rows;
  }

  end() {
    const rows = [];
    if (this.text.length) this.endRow(rows);
    return rows;
  }

  endCell() {
    this.cells.push(this.text.slice(this.start, this.at));
    this.start = this.at + 1;
  }

  endRow(rows) {
    const isOpen = this.isQuoted, raw = this.text.slice(0, this.at).replace(/\r$/, "");
    this.endCell();
    const cells = this.cells.map((cell, i) => cellText(i === this.cells.length - 1 ? cell.replace(/\r$/, "") : cell));
    Object.assign(this, { text: this.text.slice(this.start), at: -1, start: 0, isQuoted: false, cells: [] });
    if (raw === "") return;
    if (this.names === null) this.names = cells;
    else rows.push(this.rowOf(raw, cells, isOpen));
  }

  rowOf(raw, cells, isOpen) {
    if (isOpen) return broken(raw, "a quotation mark is not closed");
    if (cells.length !== this.names.length) return broken(raw, `the row has ${cells.length} cells, not ${this.names.length}`);
    return { raw, values: Object.fromEntries(this.names.map((name, i) => [name, cells[i]])) };
  }
}

const cellText = cell => (cell.startsWith('"') ? cell.slice(1, Math.max(1, cell.lastIndexOf('"'))).replaceAll('""', '"') : cell);

class JsonRows {
  constructor() {
    Object.assign(this, { text: "", names: null });
  }

  add(text) {
    const lines = (this.text + text).split("\n");
    this.text = lines.pop();
    return lines.filter(line => line.trim()).map(line => this.rowOf(line.trim()));
  }

  end() {
    return this.text.trim() ? [this.rowOf(this.text.trim())] : [];
  }

  rowOf(raw) {
    let values;
    try { values = JSON.parse(raw); } catch { return broken(raw, "the line is not JSON"); }
    if (!isObject(values)) return broken(raw, "the line is not a JSON object");
    this.names ??= Object.keys(values);
    return { raw, values };
  }
}

// The characters of a file in UTF-8, a piece at a time; `count` is told the bytes that were read.
async function* piecesOf(file, count) {
  const counting = new TransformStream({ transform(piece, next) { count(piece.length); next.enqueue(piece); } });
  let stream = file.stream().pipeThrough(counting);
  if (/\.gz$/i.test(file.name)) stream = stream.pipeThrough(new DecompressionStream("gzip"));
  const reader = stream.pipeThrough(new TextDecoderStream("utf-8", { fatal: true })).getReader();
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) yield piece.value;
  } catch (error) {
    const isGzip = /\.gz$/i.test(file.name);
    const said = isGzip ? "The file is not whole gzip, or not in UTF-8." : "The file is not in UTF-8: save it so, or convert it.";
    throw error instanceof TypeError ? new Error(said) : error;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

const isJsonLines = name => /\.(jsonl|ndjson|json)(\.gz)?$/i.test(name);
const rowsReader = (file, separator) => (isJsonLines(file.name) ? new JsonRows() : new CsvRows(/\.(tsv|tab)(\.gz)?$/i.test(file.name) ? "\t" : separator));

// The columns of a file, and its separator, from its first piece.
async function columnsOf(file) {
  for await (const piece of piecesOf(file, () => {})) {
    const separator = separatorOf(piece.split("\n", 1)[0]), reader = rowsReader(file, separator);
    if (reader.add(piece).length === 0 && reader.names === null) reader.end();
    if (reader.names) return { separator, names: reader.names };
    break;
  }
  throw new Error("The file has no line with names of columns, or no object.");
}
