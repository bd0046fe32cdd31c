// Prometheus's text format (version 0.0.4), read into samples by name: {labels, value}.
const SAMPLE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/, LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { n: "\n" };

function readExposition(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : SAMPLE.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value.replace(/\\(.)/g, (_, sign) => ESCAPED[sign] ?? sign)]));
    if (!samples.has(found[1])) samples.set(found[1], []);
    samples.get(found[1]).push({ labels, value: Number(found[3]) });
  }
  return samples;
}

// The sum of a series over the label sets that a test holds for.
const sumOf = (samples, name, test = () => true) => (samples.get(name) ?? []).filter(each => test(each.labels)).reduce((sum, each) => sum + each.value, 0);

// How much a counter has grown; one that is less than it was began anew.
const growth = (now, before) => (now >= before ? now - before : now);

// The buckets of a histogram over all its label sets: [upper bound, observations in it since `before`].
function bucketsBetween(now, before, name) {
  const counts = samples => {
    const sums = new Map();
    for (const { labels, value } of samples.get(`${name}_bucket`) ?? []) {
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      sums.set(bound, (sums.get(bound) ?? 0) + value);
    }
    return sums;
  };
  const [late, early] = [counts(now), counts(before)];
  return [...late].map(([bound, count]) => [bound, growth(count, early.get(bound) ?? 0)]).sort(([a], [b]) => a - b);
}

// As Prometheus's histogram_quantile has it: linear within a bucket; null where nothing was observed.
function quantileOf(buckets, share) {
  const all = buckets.at(-1)?.[1] ?? 0, rank = share * all;
  if (!all) return null;
  const at = buckets.findIndex(([, count]) => count >= rank), [bound, count] = buckets[at];
  const [lower, under] = at > 0 ? buckets[at - 1] : [0, 0];
  return bound === Infinity ? lower : lower + ((bound - lower) * (rank - under)) / (count - under || 1);
}
