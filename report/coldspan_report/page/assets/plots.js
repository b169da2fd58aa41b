"use strict";
/* Each plot is in the page as JSON; plotly.js draws it as wide as there is room. */
for (const place of document.querySelectorAll("[data-plot]")) {
  const figure = JSON.parse(place.querySelector("script").textContent);
  Plotly.newPlot(place, figure.data, figure.layout, { responsive: true, displayModeBar: false });
}
