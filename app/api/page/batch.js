// A file is answered row by row, a few rows in a request, as the fields of the task say.
const ROWS_AT_ONCE = 32, CHARACTERS_AT_ONCE = 20_000, IN_FLIGHT = 2, BUSY = [429, 503], FINAL = [401, 403, 404, 405, 415];
const MOST_TRIES = 5; // where nothing answers
let chosen = null, running = null;

// What an input is made of: [{name, isOptional}], one of them for a text.
function inputParts() {
  const schema = at(requestOf($("task").value).properties ?? {}, question[0]?.path ?? []), branches = branchesOf(schema ?? {});
  const pair = branches.find(branch => kindOf(branch) === "object"), names = Object.keys(pair?.properties ?? {});
  if (!takesText(schema ?? {})) return names.map(name => ({ name, inList: !takesText(pair.properties[name]) }));
  return [{ name: names[0] ?? "text" }, ...names.slice(1).map(name => ({ name, isOptional: true }))];
}

// The input that a row is. Raises `Error` with a sentence where it cannot be one.
function inputOf(row, parts) {
  const values = parts.map(({ column }) => (column === "" ? undefined : row.values[column]));
  for (const [i, value] of values.entries()) {
    if (parts[i].column !== "" && typeof value !== "string") throw new Error(`the column ${parts[i].column} is not a text`);
    if (value !== undefined && !value.trim()) throw new Error("the text is empty");
  }
  if (values.filter(value => value !== undefined).length === 1) return values[0];
  return Object.fromEntries(parts.map(({ name, inList }, i) => [name, inList ? [values[i]] : values[i]]));
}

async function choose(file) {
  if (!file || running) return;
  $("saved").hidden = true;
  try {
    chosen = { file, ...await columnsOf(file) };
    tell(`${file.name}: ${(file.size / 1e6).toFixed(1)} MB, columns ${chosen.names.join(", ")}.`);
  } catch (error) {
    chosen = null;
    tell(error.message, true);
  }
  showColumns();
}

// A select for each part of an input; a column of the same name is chosen, else the only or the first one.
function showColumns() {
  $("columns").replaceChildren(...(chosen ? inputParts() : []).map(part => {
    const select = element("select", "", { "data-part": part.name });
    if (part.isOptional) select.append(new Option("none", ""));
    select.append(...chosen.names.map(name => new Option(name, name)));
    if (chosen.names.includes(part.name)) select.value = part.name;
    return holding("label", [`Column of ${part.name} `, select]);
  }));
  $("run").disabled = !chosen || running !== null;
}

const tell = (text, isWrong = false) => {
  $("batch-state").textContent = text;
  $("batch-state").className = isWrong ? "error" : "note";
};

async function run() {
  const { file, separator, names } = chosen;
  const parts = inputParts().map(part => ({ ...part, column: $("columns").querySelector(`[data-part="${part.name}"]`).value }));
  let body;
  try { body = bodyOf([...question.slice(1), ...options]); } catch (error) { return tell(error.message, true); }
  running = new AbortController();
  setRunning(true);
  const job = { route: $("task").value, body, parts, path: question[0].path, signal: running.signal, out: null };
  try {
    job.out = new Annotated(file, separator, await columnsAnswered(job), names, parts[0].column);
    await answerRows(job, file, rowsReader(file, separator));
    tell(`${counted(job.out)}. Nothing was sent elsewhere.`);
  } catch (error) {
    tell(`${job.signal.aborted ? "Cancelled." : error.message} ${job.out ? `${counted(job.out)} so far.` : ""}`, true);
  } finally {
    running = null;
    setRunning(false);
    offer(job.out, file);
  }
}

const counted = out => `${out.rows.toLocaleString("en")} rows answered, ${out.wrong.toLocaleString("en")} with an error`;

// The names of what a task answers, as `roberta-serve predict` writes them; one column of JSON where nothing says them.
async function columnsAnswered({ route, body, path, signal }) {
  const model = models.find(each => each.name === body.model);
  const isOwn = model && (model.route === route || path[0] !== "inputs"); // other services' bodies ask what it answers itself
  const response = await get(`v2/models/${encodeURIComponent(isOwn ? model.name : route.slice(1))}`, { signal });
  const described = response.ok ? await response.json() : {};
  return described.outputs?.map(each => each.name) ?? ["answer"];
}

// Reads, asks and writes in order, with a few requests in flight at once.
async function answerRows(job, file, reader) {
  let read = 0, chunk = [], size = 0, taken = 0, answered = 0; // characters of rows that were taken apart, and answered
  const flying = [];
  const land = async () => {
    for (const [row, answer, error] of await flying.shift()) {
      job.out.add(row, answer, error);
      answered += row.raw.length;
    }
    showProgress(job.out, (read / file.size) * (answered / taken));
  };
  const send = async () => {
    const asked = answerChunk(job, chunk);
    asked.catch(() => {}); // it is met when it lands
    flying.push(asked);
    chunk = [];
    size = 0;
    if (flying.length >= IN_FLIGHT) await land();
  };
  const take = async rows => {
    taken += rows.reduce((sum, row) => sum + row.raw.length, 0);
    for (const row of rows) {
      chunk.push(row);
      size += row.raw.length;
      if (chunk.length >= ROWS_AT_ONCE || size >= CHARACTERS_AT_ONCE) await send();
    }
  };
  for await (const piece of piecesOf(file, bytes => { read += bytes; })) await take(reader.add(piece));
  await take(reader.end());
  if (chunk.length) await send();
  while (flying.length) await land();
}

// The answer to each row: [row, answer, error].
async function answerChunk(job, rows) {
  const made = rows.map(row => {
    if (row.error) return { row, error: row.error };
    try { return { row, input: inputOf(row, job.parts) }; } catch (error) { return { row, error: error.message }; }
  });
  const asked = made.filter(each => !each.error);
  await answerInputs(job, asked);
  return made.map(each => [each.row, each.answer, each.error]);
}

// Several inputs are asked about in one request; where it is refused, in halves, until the one is found that is at fault.
async function answerInputs(job, asked) {
  if (!asked.length) return;
  const [answers, error] = await askPatiently(job, asked.map(each => each.input));
  if (!error) asked.forEach((each, i) => { each.answer = answers[i]; });
  else if (asked.length === 1) asked[0].error = error;
  else {
    const half = Math.ceil(asked.length / 2);
    await answerInputs(job, asked.slice(0, half));
    await answerInputs(job, asked.slice(half));
  }
}

// Asks again while the service is busy, after as long as it says. Raises `Error` where asking again would not help.
async function askPatiently(job, inputs) {
  const body = structuredClone(job.body);
  put(body, job.path, inputs);
  for (let tries = 1; ; tries++) {
    const response = await post(job.route.slice(1), body, job.signal).catch(error => error);
    if (job.signal.aborted) throw job.signal.reason;
    if (response instanceof Error) {
      if (tries === MOST_TRIES) throw new Error(GONE);
      await wait(job, tries, GONE);
      continue;
    }
    const answer = await answerOf(response);
    if (response.ok) return [listOf(answer, inputs.length)];
    const sentence = sentenceOf(answer) ?? `Status ${response.status}.`;
    if (!BUSY.includes(response.status)) {
      askForKey(response.status);
      if (FINAL.includes(response.status)) throw new Error(sentence);
      return [null, sentence];
    }
    await wait(job, Number(response.headers.get("Retry-After")) || 1, sentence);
  }
}

async function wait(job, seconds, why) {
  tell(`${why} Trying again in ${seconds} s.`);
  await pause(seconds * 1000, job.signal);
}

// An answer for each input, as a list or within an object.
function listOf(answer, count) {
  const list = Array.isArray(answer) ? answer : Object.values(answer).find(value => Array.isArray(value) && value.length === count);
  if (list?.length !== count) throw new Error("The answer is not a list with one answer for each row.");
  return list;
}

let lastShown = 0;
function showProgress(out, share) {
  $("progress").value = share;
  if (performance.now() - lastShown < 500) return; // a screen reader reads each
  lastShown = performance.now();
  tell(`${counted(out)}.`);
}

function setRunning(isRunning) {
  $("stop").hidden = $("progress").hidden = !isRunning;
  $("run").disabled = isRunning || !chosen;
  $("file").disabled = isRunning;
  $("progress").value = 0;
}

function offer(out, file) {
  if (!out?.rows) return;
  const name = file.name.replace(/\.gz$/i, "").replace(/(\.[^.]*)?$/, ".answered$1");
  $("saved").hidden = false;
  $("save").onclick = () => save(out.whole(), name);
}

$("file").addEventListener("change", () => choose($("file").files[0]));
$("run").addEventListener("click", run);
$("stop").addEventListener("click", () => running?.abort());
for (const kind of ["dragover", "drop"]) {
  $("drop").addEventListener(kind, event => {
    event.preventDefault();
    if (kind === "drop") choose(event.dataTransfer.files[0]);
  });
}
onTask.batch = showColumns;
