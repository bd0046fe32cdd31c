// Parts of a text, from `start` to `end`: marked where they stand, or colored where a signed number says how much each
// counts.
const isSpan = item => isObject(item) && Number.isInteger(item.start) && Number.isInteger(item.end) && !Object.values(item).some(Array.isArray);

// Offsets count code points, unless the request asked for others. Each way to cut is prepared once for a text.
function cuttersOf(text) {
  const points = Array.from(text), bytes = new TextEncoder().encode(text);
  return [
    (start, end) => points.slice(start, end).join(""),
    (start, end) => text.slice(start, end),
    (start, end) => new TextDecoder().decode(bytes.slice(start, end ?? bytes.length)),
  ];
}

// The text that the spans are parts of, and how they cut it: each of them quotes what stands there.
function citing(items, texts) {
  for (const text of texts) {
    for (const cut of cuttersOf(text)) {
      if (items.every(item => Object.values(item).includes(cut(item.start, item.end)))) return { text, cut };
    }
  }
  const longest = texts.reduce((found, text) => (text.length > found.length ? text : found), "");
  return { text: longest, cut: cuttersOf(longest)[0] };
}

function drawSpans(items, texts) {
  const named = Object.entries(texts.named), weight = weightOf(items, texts.signed);
  const which = Object.keys(items[0]).find(name => items.every(item => typeof texts.named[item[name]] === "string"));
  if (which === undefined) return drawSpansOf(items, texts.all, weight);
  return named.flatMap(([name, text]) => {
    const own = items.filter(item => item[which] === name);
    return own.length ? [element("h3", name), ...drawSpansOf(own, [text], weight)] : [];
  });
}

function drawSpansOf(items, texts, weight) {
  const { cut } = citing(items, texts);
  return weight ? heat(items, cut, weight) : marks(items, cut);
}

// The field with how much a span counts for or against, where the schema of the answer declares one.
const weightOf = (items, declared) => declared.find(({ name, fields }) => items.every(item => name in item && Object.keys(item).every(field => fields.includes(field))))?.name;

// The first word of a span that is not the text itself: what kind of thing it is.
const kindOfSpan = (item, cut) => entries(item, value => typeof value === "string" && value !== cut(item.start, item.end))[0]?.[1];

// Spans in the order of the text; of those that overlap, the first.
function inOrder(items) {
  let end = 0;
  return [...items].sort((a, b) => a.start - b.start || b.end - a.end).filter(item => item.start >= end && item.end > item.start && (end = item.end));
}

function along(items, cut, make) {
  const line = element("div", "", { class: "text", dir: "auto" });
  let end = 0;
  for (const item of inOrder(items)) {
    line.append(cut(end, item.start), make(item));
    end = item.end;
  }
  line.append(cut(end));
  return line;
}

function marks(items, cut) {
  const kinds = [...new Set(items.map(item => kindOfSpan(item, cut)))];
  const places = new Map(items.map((item, i) => [item, i + 1]));
  const line = along(items, cut, item => {
    const kind = kindOfSpan(item, cut), mark = element("mark", cut(item.start, item.end), { class: `kind-${kinds.indexOf(kind) % 6}` });
    if (kind ?? items.length > 1) mark.append(element("small", kind ?? places.get(item)));
    return mark;
  });
  return [line, ...(kinds[0] === undefined ? [] : [legend(items, kinds, cut)]), ...tableOf(items, cut)];
}

function legend(items, kinds, cut) {
  const list = element("ul", "", { class: "legend", "aria-label": "Kinds" });
  for (const [i, kind] of kinds.entries()) {
    const entry = element("li"), count = items.filter(item => kindOfSpan(item, cut) === kind).length;
    entry.append(element("mark", kind ?? "other", { class: `kind-${i % 6}` }), ` ${count}`);
    list.append(entry);
  }
  return list;
}

const MOST_ROWS = 100; // of a table at once: a long text has thousands of parts

function tableOf(items, cut) {
  const hasKinds = items.some(item => kindOfSpan(item, cut)), hasScores = items.some(item => isNumber(scoreOf(item)));
  const names = ["no.", "part", ...(hasKinds ? ["kind"] : []), ...(hasScores ? ["score"] : []), "from", "to"];
  const rowOf = (item, i) => {
    const values = { "no.": i + 1, part: cut(item.start, item.end) || "(nothing)", kind: kindOfSpan(item, cut) ?? "", score: shown(scoreOf(item) ?? NaN), from: item.start, to: item.end };
    return holding("tr", names.map(name => element("td", values[name], NUMERIC.includes(name) ? { class: "number" } : { dir: "auto" })));
  };
  const body = element("tbody"), table = element("table"), head = element("thead");
  head.append(holding("tr", names.map(name => element("th", name, { scope: "col", ...(NUMERIC.includes(name) && { class: "number" }) }))));
  table.append(head, body);
  return [table, ...revealed(items, body, rowOf)];
}

const NUMERIC = ["score", "from", "to"];

// The first rows, and a button for as many again, while there are more.
function revealed(items, body, rowOf) {
  const add = () => body.append(...items.slice(body.childElementCount, body.childElementCount + MOST_ROWS).map((item, i) => rowOf(item, body.childElementCount + i)));
  add();
  if (items.length <= MOST_ROWS) return [];
  const label = () => `More of ${items.length}`;
  const more = button(label(), () => {
    add();
    more.hidden = body.childElementCount === items.length;
  });
  return [more];
}

const MOST_UNBROKEN = 24; // characters of a word that no line's end cuts
const NOTABLE = 0.05; // of the greatest: smaller numbers are not written over the words

function heat(items, cut, weight) {
  const most = Math.max(...items.map(item => Math.abs(item[weight]))) || 1;
  const line = along(items, cut, item => {
    const value = item[weight], share = Math.abs(value) / most;
    const word = element("ruby", cut(item.start, item.end), { class: value < 0 ? "minus" : "plus", title: signed(value) });
    word.classList.toggle("whole", word.textContent.length <= MOST_UNBROKEN);
    word.style.setProperty("--share", `${Math.round(share * 100)}%`);
    if (share >= NOTABLE) word.append(element("rt", signed(value)));
    return word;
  });
  line.classList.add("heat");
  return [line, scaleOf(weight, most)];
}

const signed = number => `${number < 0 ? "−" : "+"}${shown(Math.abs(number))}`;

function scaleOf(weight, most) {
  const line = element("p", "", { class: "note" });
  line.append(`${weight}: lowers (dashed) −${shown(most)} `, element("span", "", { class: "scale", "aria-hidden": "true" }), ` +${shown(most)} raises (solid)`);
  return line;
}
