// The rows of a file with what was answered beside them, each as it stood, as a file to save.
class Annotated {
  // `column` takes a row whole that could not be taken apart.
  constructor(file, separator, columns, names, column) {
    const taken = [...columns, "error"].some(each => names.includes(each));
    const written = each => (taken ? `predicted_${each}` : each);
    Object.assign(this, { separator, columns, names, column, written: [...columns, "error"].map(written), isJson: isJsonLines(file.name), parts: [], blob: new Blob(), rows: 0, wrong: 0 });
    if (!this.isJson) this.put(`${names.map(name => this.quoted(name)).join(separator)}${separator}${this.written.join(separator)}\n`);
  }

  put(text) {
    this.parts.push(text);
    if (this.parts.length < 4096) return;
    this.blob = new Blob([this.blob, ...this.parts]); // which a browser keeps outside of the page's memory
    this.parts = [];
  }

  add(row, answer, error) {
    const values = [...cellsOf(answer, this.columns), error ?? null];
    this.rows++;
    if (error) this.wrong++;
    this.put(`${this.isJson ? this.inObject(row, values) : this.inLine(row, values)}\n`);
  }

  inLine(row, values) {
    const own = row.isBroken ? this.names.map(name => this.quoted(name === this.column ? row.raw : "")).join(this.separator) : row.raw;
    return [own, ...values.map(value => this.quoted(value ?? ""))].join(this.separator);
  }

  inObject(row, values) {
    const added = Object.fromEntries(this.written.map((name, i) => [name, values[i] ?? null]));
    if (row.isBroken) return JSON.stringify({ [this.column]: row.raw, ...added });
    const own = row.raw.slice(0, -1).trimEnd();
    return `${own}${own === "{" ? "" : ","}${JSON.stringify(added).slice(1)}`;
  }

  quoted(value) {
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return /["\r\n]/.test(text) || text.includes(this.separator) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  whole() {
    return new Blob([this.blob, ...this.parts], { type: "text/plain;charset=utf-8" });
  }
}

// Of an answer the fields of its best part, by their names; the last column that is no such field has all of it.
function cellsOf(answer, columns) {
  if (answer === undefined) return columns.map(() => null);
  const best = Array.isArray(answer) ? answer[0] : answer;
  return columns.map((name, i) => (isObject(best) && name in best ? best[name] : i === columns.length - 1 ? answer : null));
}
