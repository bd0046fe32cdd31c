const filter = document.getElementById("filter");
filter.hidden = false;
filter.querySelector("input").addEventListener("input", (event) => {
  const wanted = event.target.value.toLocaleLowerCase();
  let shown = 0;
  for (const group of document.querySelectorAll("details.group")) {
    let here = 0;
    for (const mistake of group.querySelectorAll("li")) {
      mistake.hidden = !(group.dataset.name + " " + mistake.textContent).toLocaleLowerCase().includes(wanted);
      here += !mistake.hidden;
    }
    group.hidden = here === 0;
    if (wanted) group.open = here > 0;
    shown += here;
  }
  filter.querySelector("output").textContent = wanted ? `${shown} shown` : "";
});
