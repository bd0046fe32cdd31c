// Markdown as model cards have it, as elements: headings, lists, tables, code, quotes, emphasis, links. HTML in it is
// shown as text; pictures, which lie on other hosts, are shown as their words.
const BLOCKS = [
  [/^(`{3,}|~{3,})/, code],
  [/^#{1,6}\s/, heading],
  [/^(\*\s*){3,}$|^(-\s*){3,}$|^(_\s*){3,}$/, lines => [element("hr"), lines.slice(1)]],
  [/^\s*>/, quote],
  [/^\s*([-*+]|\d+[.)])\s/, list],
  [/^\s*\|.*\|\s*$/, grid],
];

const MOST_LINES = 3000, DEEPEST = 8; // of a card; of quotes and lists in each other

// A card that is longer than any is shown as it is.
function markdown(text) {
  const lines = withoutComments(text.replace(/^\uFEFF?---\r?\n.*?\n---\r?\n/s, "")).split(/\r?\n/);
  return lines.length > MOST_LINES ? [element("pre", text, { tabindex: 0 })] : blocksOf(lines, 0);
}

function withoutComments(text) {
  const [first, ...others] = text.split("<!--");
  return first + others.map(each => each.includes("-->") ? each.slice(each.indexOf("-->") + 3) : `<!--${each}`).join("");
}

function blocksOf(lines, depth) {
  if (depth > DEEPEST) return [element("pre", lines.join("\n"), { tabindex: 0 })];
  const nodes = [];
  while (lines.length) {
    const rule = BLOCKS.find(([begins]) => begins.test(lines[0]));
    if (!lines[0].trim()) lines = lines.slice(1);
    else {
      const [node, rest] = (rule?.[1] ?? paragraph)(lines, depth);
      nodes.push(node);
      lines = rest;
    }
  }
  return nodes;
}

const countWhile = (lines, test, from = 0) => {
  let count = from;
  while (count < lines.length && test(lines[count])) count++;
  return count;
};

function code(lines) {
  const fence = lines[0].match(/^(`+|~+)/)[0], end = countWhile(lines, line => !line.startsWith(fence), 1);
  return [element("pre", lines.slice(1, end).join("\n"), { tabindex: 0 }), lines.slice(end + 1)];
}

// The page has two levels of headings above those of a card.
function heading(lines) {
  const [, signs, text] = lines[0].match(/^(#+)\s+(.*?)\s*#*$/) ?? [null, "#", ""];
  return [holding(`h${Math.min(6, signs.length + 3)}`, inline(text), { dir: "auto" }), lines.slice(1)];
}

function quote(lines, depth) {
  const count = countWhile(lines, line => /^\s*>/.test(line));
  return [holding("blockquote", blocksOf(lines.slice(0, count).map(line => line.replace(/^\s*> ?/, "")), depth + 1)), lines.slice(count)];
}

const ITEM = /^(\s*)([-*+]|\d+[.)])\s+/;

// An item has the lines that are set in further than its sign.
function list(lines, depth) {
  const [, indent, sign] = lines[0].match(ITEM), items = [];
  const isItem = line => ITEM.test(line) && line.match(ITEM)[1].length === indent.length;
  const isMore = line => line.trim() === "" || /^\s*/.exec(line)[0].length > indent.length;
  while (lines.length && isItem(lines[0])) {
    const count = countWhile(lines, line => isMore(line) && !isItem(line), 1), width = lines[0].match(ITEM)[0].length;
    const inner = [lines[0].slice(width), ...lines.slice(1, count).map(line => line.slice(Math.min(width, line.search(/\S|$/))))];
    const nodes = blocksOf(inner, depth + 1);
    items.push(holding("li", nodes.length === 1 && nodes[0].tagName === "P" ? [...nodes[0].childNodes] : nodes, { dir: "auto" }));
    lines = lines.slice(count);
  }
  return [holding(/\d/.test(sign) ? "ol" : "ul", items), lines];
}

function grid(lines) {
  const count = countWhile(lines, line => /^\s*\|.*\|\s*$/.test(line));
  const rows = lines.slice(0, count).map(line => line.trim().slice(1, -1).split(/(?<!\\)\|/).map(cell => cell.trim().replaceAll("\\|", "|")));
  const isRule = row => row.every(cell => /^:?-+:?$/.test(cell)), isHeaded = rows.length > 1 && isRule(rows[1]);
  const rowOf = tag => row => holding("tr", row.map(cell => holding(tag, inline(cell), { dir: "auto", ...(tag === "th" && { scope: "col" }) })));
  const head = isHeaded ? [holding("thead", [rowOf("th")(rows[0])])] : [];
  return [holding("table", [...head, holding("tbody", rows.slice(isHeaded ? 2 : 0).map(rowOf("td")))]), lines.slice(count)];
}

function paragraph(lines) {
  const count = Math.max(1, countWhile(lines, line => line.trim() && !BLOCKS.some(([begins]) => begins.test(line))));
  return [holding("p", inline(lines.slice(0, count).join("\n")), { dir: "auto" }), lines.slice(count)];
}

const INLINE = /(?<code>`+)(?<said>.+?)\k<code>(?!`)|(?<image>!?)\[(?<label>[^\]]*)\]\((?<url>[^)\s]*)(?:\s[^)]*)?\)|(?<bold>\*\*|__)(?=\S)(?<strong>.+?)\k<bold>|(?<![\w*])(?<slant>[*_])(?=\S)(?<em>[^*_]+?)\k<slant>(?!\w)/s;

const MOST_INLINE = 4096; // characters that are matched: the time grows with their square

// The nodes of a text; a longer one stands as it is.
function inline(text) {
  if (text.length > MOST_INLINE) return [text];
  const nodes = [];
  for (let found = INLINE.exec(text); found; found = INLINE.exec(text)) {
    nodes.push(text.slice(0, found.index), inlineOf(found.groups, found[0]));
    text = text.slice(found.index + found[0].length);
  }
  return [...nodes, text].filter(node => node !== "");
}

function inlineOf({ code: fence, said, image, label, url, strong, em }, whole) {
  if (fence) return element("code", said.trim() || said);
  if (strong) return holding("strong", inline(strong));
  if (em) return holding("em", inline(em));
  if (image) return label;
  if (!/^(https?:|mailto:)/i.test(url)) return label || whole;
  return holding("a", inline(label || url), { href: url, rel: "noopener noreferrer", target: "_blank" });
}
