"use strict";
/* Elements of the page. Whatever a caption or a file name holds becomes text, never markup. */
{
  const SVG = "http://www.w3.org/2000/svg";

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child != null && child !== false));
    return element;
  }

  /** Returns an element with attributes and children: elements, or strings that become text. */
  gallery.element = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

  /** Returns an SVG element likewise. */
  gallery.shape = (name, attributes = {}, ...children) =>
    fill(document.createElementNS(SVG, name), attributes, children);

  /** Returns a number as people write it. */
  gallery.number = (value) => value.toLocaleString("en");

  /** Returns a count with its noun, such as "1 photo" or "1,200 photos". */
  gallery.counted = (count, one, many = `${one}s`) => `${gallery.number(count)} ${count === 1 ? one : many}`;

  /** Returns the time of a run's commit, by its number. */
  gallery.time = (number) => {
    const run = gallery.summary.runs.find((one) => one.number === number);
    const day = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC" };
    return run ? `${new Date(run.committed).toLocaleString("en-GB", day)} UTC` : `run ${number}`;
  };
}
