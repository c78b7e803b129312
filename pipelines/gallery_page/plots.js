"use strict";
/* Histograms of the run, one for each style on the same scale, each with its numbers as a table. */
{
  const { counted, element, shape, number } = gallery;
  const WIDTH = 360, HEIGHT = 150, BOTTOM = 22, LEFT = 34, RIGHT = 16, TOP = 10;

  function bars(counts, edges, highest) {
    const step = (WIDTH - LEFT - RIGHT) / counts.length;
    const scale = (HEIGHT - BOTTOM - TOP) / highest;
    return counts.map((count, at) => {
      const bar = shape("rect", {
        class: "column", x: LEFT + at * step + 1, width: Math.max(1, step - 2),
        y: HEIGHT - BOTTOM - count * scale, height: count * scale,
      });
      bar.append(shape("title", {}, `${edges[at]} to ${edges[at + 1]}: ${counted(count, "story", "stories")}`));
      return bar;
    });
  }

  function axes(edges, highest) {
    const floor = HEIGHT - BOTTOM;
    const step = (WIDTH - LEFT - RIGHT) / (edges.length - 1);
    const every = Math.ceil((edges.length - 1) / 5);
    const marks = edges.flatMap((edge, at) => at % every ? [] : [
      shape("text", { x: LEFT + at * step, y: HEIGHT - 6, "text-anchor": "middle" }, String(edge))]);
    const levels = [0, highest].map((level) => shape("text", {
      x: LEFT - 6, y: floor - (level / highest) * (floor - TOP) + 4, "text-anchor": "end" }, number(level)));
    return [...marks, ...levels, shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: floor, y2: floor })];
  }

  function plot(histogram, series, highest) {
    const total = series.counts.reduce((sum, count) => sum + count, 0);
    const middle = series.median == null ? "no values" : `median ${series.median}`;
    const label = `${histogram.title}, ${series.style}: ${counted(total, "story", "stories")}, ${middle}`;
    const picture = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
      ...axes(histogram.edges, highest), ...bars(series.counts, histogram.edges, highest));
    return element("figure", {}, element("figcaption", {}, element("strong", {}, series.style), ` ${middle}`), picture);
  }

  function table(histogram) {
    const row = (cell, values) => element("tr", {}, ...values.map((value, at) =>
      element(at ? cell : "th", { scope: at ? (cell === "th" ? "col" : null) : cell === "th" ? "col" : "row" }, String(value))));
    const rows = histogram.edges.slice(0, -1).map((edge, at) =>
      row("td", [`${edge} to ${histogram.edges[at + 1]}`, ...histogram.series.map((one) => one.counts[at])]));
    const head = row("th", [histogram.title, ...histogram.series.map((one) => one.style)]);
    return element("details", {}, element("summary", {}, `Numbers of ${histogram.title.toLowerCase()}`),
      element("div", { class: "wide" },
        element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
  }

  function block(histogram) {
    const highest = Math.max(1, ...histogram.series.flatMap((one) => one.counts));
    return element("section", { class: "plot" },
      element("h3", {}, histogram.title), element("p", { class: "about" }, histogram.unit),
      element("div", { class: "pair" }, ...histogram.series.map((one) => plot(histogram, one, highest))),
      table(histogram));
  }

  function sharedSentences(shared) {
    const items = shared.map(({ style, sentence, photos }) => {
      const query = new URLSearchParams({ text: sentence, facet: style });
      return element("li", {}, element("a", { href: `#photos?${query}` }, sentence),
        ` ${counted(photos, "photo")}, ${style}`);
    });
    return element("section", { class: "plot" }, element("h3", {}, "Sentences of several photos"),
      element("p", { class: "about" }, shared.length
        ? "Those that most photos' stories share; each leads to the photos." : "No two photos' stories share a sentence."),
      element("ol", { class: "shared" }, ...items));
  }

  /** Fills a section with the plots of the figures. */
  gallery.drawPlots = (section, { histograms, shared }) =>
    section.append(...histograms.map(block), sharedSentences(shared));
}
