"use strict";
/* The page's data. It arrives as scripts that call these functions, for a page opened from a folder may fetch no file. */
const gallery = (() => {
  const build = document.currentScript.src.replace(/[^/]*$/, "");
  const waiting = new Map();
  const files = new Map();

  /** Takes the summary: runs, tables, figures. */
  function summarise(summary) {
    gallery.summary = summary;
  }

  /** Takes the records of one data file. */
  function receive(table, number, records) {
    waiting.get(`${table} ${number}`)(records);
  }

  /** Returns a promise of the records of one data file, which is loaded once. */
  function load(table, number) {
    const key = `${table} ${number}`;
    if (!files.has(key)) {
      files.set(key, new Promise((resolve, reject) => {
        waiting.set(key, resolve);
        const script = document.createElement("script");
        script.src = `${build}${table}-${String(number).padStart(5, "0")}.js`;
        script.onerror = () => {
          files.delete(key);
          reject(new Error(`${script.src} could not be loaded`));
        };
        script.onload = () => script.remove();
        document.head.append(script);
      }));
    }
    return files.get(key);
  }

  /** Returns a promise of the records at some places of a table; only the files that hold them are loaded. */
  async function fetchRecords(table, places) {
    const { perFile } = gallery.summary.tables[table];
    const numbers = [...new Set(places.map((place) => Math.floor(place / perFile)))];
    const loaded = new Map();
    await Promise.all(numbers.map(async (number) => loaded.set(number, await load(table, number))));
    return places.map((place) => loaded.get(Math.floor(place / perFile))[place % perFile]);
  }

  return { summarise, receive, fetchRecords };
})();
