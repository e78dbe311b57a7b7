// SPDX-License-Identifier: Apache-2.0
// chart.js - lines over time (uPlot), in the colours of the page.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { html } from "./html.js";

const HEIGHT = 170;

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function seriesOf(lines) {
  return lines.map(({ label, color: name, fill, format, dash }) => ({
    label,
    stroke: () => color(name),
    fill: fill ? () => color(`${name}-soft`) : undefined,
    width: 1.75,
    dash,
    points: { show: false },
    value: (_, value) => (value === null || value === undefined ? "–" : format(value)),
  }));
}

function optionsOf(width, lines, unit) {
  const axis = {
    stroke: () => color("--ink-soft"),
    grid: { stroke: () => color("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width,
    height: HEIGHT,
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: { x: { time: false }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, size: 28, values: (_, ticks) => ticks.map((t) => `${+t.toFixed(2)} s`) },
      {
        ...axis,
        size: unit === "money" ? 74 : 48,
        values: (_, ticks) => ticks.map((t) => lines[0].format(t)),
      },
    ],
    series: [
      { label: "after", value: (_, t) => (t === null ? "–" : `${t.toFixed(2)} s`) },
      ...seriesOf(lines),
    ],
  };
}

// lines: [{label, color, values, format, fill, dash}], all over the same `times`
export function Chart({ title, times, lines, unit, summary }) {
  const place = useRef();
  const plot = useRef(null);
  const data = [times, ...lines.map(({ values }) => values)];
  useEffect(() => {
    const element = place.current;
    plot.current = new uPlot(optionsOf(element.clientWidth, lines, unit), data, element);
    const fit = new ResizeObserver(() =>
      plot.current.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    fit.observe(element);
    const looks = new MutationObserver(() => plot.current.redraw(false));
    looks.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      fit.disconnect();
      looks.disconnect();
      plot.current.destroy();
    };
  }, []);
  useEffect(
    () => plot.current?.setData(data),
    [times.length, times.at(-1), lines[0].values.at(-1)],
  );
  return html`<figure class="chart">
    <figcaption>${title}<small>${summary}</small></figcaption>
    <div ref=${place} role="img" aria-label=${`${title}: ${summary}`} />
  </figure>`;
}
