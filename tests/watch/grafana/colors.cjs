// Prints the text and the color that Grafana gives each number of a dashboard, where it is not there, 0, and 1.
// node colors.cjs NODE_MODULES DASHBOARD.json
globalThis.navigator = { language: 'en', languages: ['en'] };
const [, , modules, file] = process.argv;
const { createTheme, getDisplayProcessor, FieldType } = require(`${modules}/@grafana/data`);

const theme = createTheme();
const dashboard = JSON.parse(require('fs').readFileSync(file, 'utf8'));
const numbers = dashboard.panels.filter((panel) => panel.type === 'stat');
const shown = numbers.map((panel) => {
  const process = getDisplayProcessor({ field: { type: FieldType.number, config: panel.fieldConfig.defaults }, theme });
  return [panel.title, [null, 0, 1].map((value) => [process(value).text, process(value).color])];
});
console.log(JSON.stringify(Object.fromEntries(shown)));
