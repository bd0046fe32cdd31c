// Words for the gaps of a text: a column for each gap. A click puts a word into the text that was asked about.
const isFill = item => isScored(item) && typeof item.sequence === "string";

function drawFills(items, texts) {
  const columns = isFill(items[0]) ? [items] : items, gaps = texts.write && gapsOf(columns, texts.all[0] ?? "");
  const chosen = new Map();
  const drawColumn = (column, i) => {
    const choose = word => {
      chosen.set(i, column.find(item => wordOf(item) === word).sequence);
      texts.write(columns.length === 1 ? chosen.get(i) : filled(gaps, chosen));
    };
    const say = gaps ? word => chooser(word, choose) : word => word;
    return holding("div", [...(columns.length > 1 ? [element("h3", `Mask ${i + 1}`)] : []), bars(column.map(item => [wordOf(item), scoreOf(item)]), {}, say)]);
  };
  const note = gaps ? [element("p", "A click on a word puts it into the text.", { class: "note" })] : [];
  return [holding("div", columns.map(drawColumn), { class: "columns" }), ...note];
}

function chooser(word, choose) {
  return button(word.trim() || word, event => {
    for (const other of event.target.closest("tbody").querySelectorAll("button")) other.setAttribute("aria-pressed", other === event.target);
    choose(word);
  }, { class: "word", "aria-pressed": "false" });
}

// What stands around each gap: of a column all sequences begin and end as the text does, but for the gap. None where the
// columns are not those of this text.
function gapsOf(columns, text) {
  const sign = GAP_SIGNS.find(each => text.split(each).length === columns.length + 1);
  return sign && { sign, parts: text.split(sign) };
}

const GAP_SIGNS = ["<mask>", "[MASK]"];

// The text with the words that were chosen; each is cut out of a sequence, whose other gaps are open still.
function filled({ sign, parts }, chosen) {
  return parts.slice(1).reduce((text, part, i) => {
    if (!chosen.has(i)) return text + sign + part;
    const before = parts.slice(0, i + 1).join(sign).trimEnd().length, after = parts.slice(i + 1).join(sign).length;
    const sequence = chosen.get(i);
    return text.trimEnd() + sequence.slice(before, sequence.length - after) + part;
  }, parts[0]);
}
