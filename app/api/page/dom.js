// Elements of the page. What is shown is always text: nothing here, or elsewhere in the page, reads HTML.
const $ = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function element(tag, text = "", attributes = {}) {
  const node = document.createElement(tag);
  node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function holding(tag, children, attributes = {}) {
  const node = element(tag, "", attributes);
  node.append(...children);
  return node;
}

function drawn(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function button(text, act, attributes = {}) {
  const node = element("button", text, { type: "button", ...attributes });
  node.addEventListener("click", act);
  return node;
}

// `words` in backticks are code.
function prose(text) {
  const line = element("p");
  line.append(...text.split("`").map((part, i) => (i % 2 ? element("code", part) : part)));
  return line;
}

// A table of texts under its headings; a cell that is a number stands to the right, one that is an element is itself.
function tableFrom(headings, rows) {
  const cells = (tag, values, more) => holding("tr", values.map(value => cellOf(tag, value, more)));
  const head = holding("thead", [cells("th", headings, { scope: "col" })]);
  return holding("table", [head, holding("tbody", rows.map(row => cells("td", row)))]);
}

function cellOf(tag, value, more = {}) {
  if (value instanceof Node) return holding(tag, [value], more);
  return element(tag, String(value), { dir: "auto", ...more, ...(typeof value === "number" && { class: "number" }) });
}

// Puts a text on the clipboard. Browsers give that to pages of this machine and of TLS alone; elsewhere a selection does.
async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", "", { readonly: "" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    from.focus();
  }
  say("Copied.");
}

// Gives a file to whoever looks at the page, without asking the service.
function save(blob, name) {
  const link = element("a", "", { download: name });
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
