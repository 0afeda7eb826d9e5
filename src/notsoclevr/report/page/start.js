// The filters of the claims, and the start of it all.

for (const select of $$("#claims select")) {
  select.addEventListener("change", () => {
    const wanted = Object.fromEntries($$("#claims select").map((each) => [each.name, each.value]));
    const rows = $$("#claims li[data-verdict]");
    for (const row of rows) row.hidden = Object.entries(wanted).some(([name, value]) => value && row.dataset[name] !== value);
    $("#claims-shown").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} judged claims shown`;
  });
}

async function showSplit(split) {
  state.split = split;
  for (const element of $$("[data-for]")) element.hidden = element.dataset.for !== split;
  await Promise.all([showPosition(), listSquares()]);
  showLearning();
  for (const each of onSplit) each();
}

for (const input of $$("input[name=split]")) input.addEventListener("change", () => showSplit(input.value));
state.square = study.cells[0].showcase.length - 1;
state.moment = Infinity;
showSplit($("input[name=split]:checked").value).then(() => {
  new ResizeObserver(showCurves).observe($(".learning"));
  document.documentElement.dataset.ready = "yes";
});
