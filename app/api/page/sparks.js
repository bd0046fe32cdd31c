// A line of the last values, with the latest in words. Where there is no value the line has a gap.
const WIDTH = 240, HEIGHT = 48, FEWEST_POINTS = 20; // across the picture

function chart(title, unit, values) {
  const known = values.filter(value => value !== null), latest = values.at(-1);
  const most = Math.max(...known, 1e-9), word = latest === null ? "none" : `${rounded(latest)} ${unit}`.trim();
  const caption = holding("figcaption", [element("span", title), element("strong", word)]);
  const highest = known.length ? `, at most ${rounded(Math.max(...known))} ${unit}` : "";
  return holding("figure", [caption, spark(values, most, `${title}: ${word}${highest}`)], { class: "chart" });
}

function spark(values, most, label) {
  const picture = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, preserveAspectRatio: "none" });
  picture.append(drawn("path", { d: pathOf(values, most), class: "line", "vector-effect": "non-scaling-stroke" }));
  return picture;
}

// The latest value stands at the right edge. A value between two gaps is a short stroke.
function pathOf(values, most) {
  const step = WIDTH / (Math.max(values.length, FEWEST_POINTS) - 1), left = WIDTH - (values.length - 1) * step;
  const place = (value, i) => `${(left + i * step).toFixed(1)} ${(HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(1)}`;
  return values.map((value, i) => {
    if (value === null) return "";
    return (i > 0 && values[i - 1] !== null ? "L" : "M") + place(value, i) + (values[i + 1] === null || i === values.length - 1 ? "h0.1" : "");
  }).join("");
}

const rounded = number => (number >= 100 ? Math.round(number).toLocaleString("en") : String(Number(number.toPrecision(2))));
