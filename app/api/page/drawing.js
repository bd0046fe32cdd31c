// An answer is drawn by its shape, so that a new task needs nothing here: texts with a number each as bars, parts of a
// text as marks in it, signed parts as a heat map, numbers as the beginning of a vector, objects field by field.
const isNumber = value => typeof value === "number";
const isList = (value, test) => Array.isArray(value) && value.length > 0 && value.every(test);
const isNumbers = value => isList(value, isNumber);
const shown = number => (Number.isInteger(number) ? String(number) : Math.abs(number) < 1e-3 && number ? number.toExponential(2) : number.toFixed(4));

// The entries of an object that a test holds for, those that say where a part of the text stands aside.
const PLACES = ["start", "end", "index"];
const entries = (item, test) => Object.entries(item).filter(([name, value]) => !PLACES.includes(name) && test(value));

function draw(answer, texts) {
  if (isNumbers(answer)) return answer.length === texts.last.length ? beside(texts.last, answer) : vector(answer);
  if (Array.isArray(answer)) return drawList(answer, texts);
  if (isObject(answer)) return drawObject(answer, texts);
  return [element("p", answer === null ? "null" : String(answer), { dir: "auto", class: "text" })];
}

function drawList(items, texts) {
  if (!items.length) return [element("p", "Nothing was found.")];
  if (items.every(isSpan)) return drawSpans(items, texts);
  if (items.every(isFill) || items.every(column => isList(column, isFill))) return drawFills(items, texts);
  if (items.every(isScored)) return [bars(items.map(item => [wordOf(item), scoreOf(item)]), texts.limits)];
  if (items.length === 1 && typeof items[0] === "object") return draw(items[0], texts);
  return items.flatMap((item, i) => [element("h3", headingOf(items, texts, i), { dir: "auto" }), ...draw(item, texts.of(i, items.length))]);
}

// Several answers are headed by the inputs that they belong to, where there is one for each.
function headingOf(items, texts, i) {
  const text = texts.inputs.length === items.length ? texts.inputs[i].join(" / ") : "";
  return `${i + 1}. ${text.length > 80 ? `${text.slice(0, 79)}…` : text}`;
}

const isScored = item => isObject(item) && !isSpan(item) && wordOf(item) !== undefined && isNumber(scoreOf(item)) && !Object.values(item).some(value => typeof value === "object" && value !== null);
const wordOf = item => entries(item, value => typeof value === "string")[0]?.[1];
const scoreOf = item => item.score ?? entries(item, isNumber)[0]?.[1];

function drawObject(answer, texts) {
  if (isSpan(answer)) return drawSpans([answer], texts);
  if (isScored(answer)) return [bars([[wordOf(answer), scoreOf(answer)]], texts.limits)];
  const words = Object.values(answer).find(value => isList(value, each => typeof each === "string"));
  const numbers = Object.values(answer).find(isNumbers);
  if (words && numbers && words.length === numbers.length) return [bars(words.map((word, i) => [word, numbers[i]])), ...fields(answer, texts, value => !Array.isArray(value))];
  return fields(answer, texts, () => true);
}

// Plain values in a list of names and values, each other value under its name.
function fields(answer, texts, test) {
  const chosen = Object.entries(answer).filter(([, value]) => test(value));
  const isPlain = ([, value]) => value === null || typeof value !== "object";
  const list = element("dl", "", { class: "facts" });
  for (const [name, value] of chosen.filter(isPlain)) {
    list.append(holding("div", [element("dt", name), element("dd", isNumber(value) ? shown(value) : String(value), { dir: "auto" })]));
  }
  const others = chosen.filter(field => !isPlain(field)).flatMap(([name, value]) => [element("h3", name), ...draw(value, texts)]);
  return [...(list.children.length ? [list] : []), ...others];
}

const beside = (words, numbers) => [bars(words.map((word, i) => [word, numbers[i]]))];

// A bar is as long as its number, from 0 to the greatest of them or 1; where some are negative, 0 is in the middle. A
// word with a limit has a line there, and a check mark from there on. `say` makes the node of a word.
function bars(pairs, limits = {}, say = word => word) {
  const most = Math.max(1, ...pairs.map(([, number]) => Math.abs(number)));
  const isSigned = pairs.some(([, number]) => number < 0), limited = !isSigned && most === 1 && pairs.some(([word]) => isNumber(limits[word]));
  const body = holding("tbody", pairs.map(([word, number]) => {
    const limit = limited ? limits[word] : undefined, named = element("th", "", { scope: "row", dir: "auto" });
    named.append(say(word, number));
    const row = holding("tr", [named, holding("td", [track(number, most, isSigned, limit)], { "aria-hidden": "true" }), element("td", shown(number), { class: "number" })]);
    if (limited) row.append(element("td", isNumber(limit) ? `${number >= limit ? "✓ from" : "below"} ${shown(limit)}` : "", { class: "limited" }));
    return row;
  }));
  return holding("table", [body], { class: "bars" });
}

function track(number, most, isSigned, limit) {
  const bar = element("span", "", { class: number < 0 ? "bar minus" : "bar" }), share = (Math.abs(number) / most) * (isSigned ? 50 : 100);
  bar.style.width = `${share}%`;
  bar.style.insetInlineStart = `${isSigned ? 50 - (number < 0 ? share : 0) : 0}%`;
  const node = holding("span", [bar], { class: "track" });
  if (isNumber(limit)) {
    const line = element("span", "", { class: "limit" });
    line.style.insetInlineStart = `${(limit / most) * 100}%`;
    node.append(line);
  }
  return node;
}

const FIRST_NUMBERS = 8;

function vector(numbers) {
  const norm = Math.sqrt(numbers.reduce((sum, number) => sum + number * number, 0));
  const first = numbers.slice(0, FIRST_NUMBERS).map(shown).join(", ");
  return [
    element("p", `${numbers.length} ${numbers.length === 1 ? "number" : "numbers"}, norm ${shown(norm)}`),
    element("p", numbers.length > FIRST_NUMBERS ? `${first}, …` : first, { class: "numbers" }),
  ];
}
