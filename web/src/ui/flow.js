// SPDX-License-Identifier: Apache-2.0
// flow.js - a flowchart, drawn from its text by elements of ours: nothing in it can be markup.
import { useMemo } from "preact/hooks";
import { layoutFlow, parseFlow } from "../lib/flowchart.js";
import { html } from "./html.js";

const LINE = 18;
const MARGIN = 16;

function outline({ shape, x, y, w, h }) {
  const [l, r, t, b] = [x - w / 2, x + w / 2, y - h / 2, y + h / 2];
  if (shape === "diamond")
    return html`<polygon points=${`${x},${t} ${r},${y} ${x},${b} ${l},${y}`} />`;
  if (shape === "hexagon") {
    return html`<polygon
      points=${`${l + 14},${t} ${r - 14},${t} ${r},${y} ${r - 14},${b} ${l + 14},${b} ${l},${y}`}
    />`;
  }
  if (shape === "circle") return html`<circle cx=${x} cy=${y} r=${w / 2} />`;
  const radius = { round: 12, pill: h / 2, store: 6 }[shape] ?? 4;
  return html`<rect x=${l} y=${t} width=${w} height=${h} rx=${radius} />`;
}

function Node({ node }) {
  const top = node.y - ((node.lines.length - 1) * LINE) / 2;
  return html`<g class="flow-node"
    >${outline(node)}
    <text text-anchor="middle" dominant-baseline="central"
      >${node.lines.map(
        (line, i) => html`<tspan x=${node.x} y=${top + i * LINE}> ${line}</tspan>`,
      )}</text
    >
  </g>`;
}

function Edge({ edge }) {
  const [a, b, c, d] = edge.points;
  const path = `M${a}C${b} ${c} ${d}`;
  const [x, y] = [0, 1].map((i) => (a[i] + 3 * b[i] + 3 * c[i] + d[i]) / 8);
  return html`<g class=${`flow-edge is-${edge.style}`}>
    <path d=${path} marker-end=${edge.arrow ? "url(#flow-arrow)" : undefined} />
    ${
      edge.text &&
      html`<text class="flow-label" x=${x} y=${y} text-anchor="middle" dominant-baseline="central"
        >${edge.text}</text
      >`
    }
  </g>`;
}

export function Flow({ text, name }) {
  const flow = useMemo(() => parseFlow(text), [text]);
  const { width, height, nodes, edges } = useMemo(() => layoutFlow(flow), [flow]);
  if (!nodes.length) {
    const says = flow.isFlow
      ? "…"
      : "Only flowcharts are drawn here; the source is beside this tab.";
    return html`<p class="quiet padded">${says}</p>`;
  }
  const box = `${-MARGIN} ${-MARGIN} ${width + 2 * MARGIN} ${height + 2 * MARGIN}`;
  const label = `${name}: ${nodes.map((node) => node.text).join(", ")}`;
  return html`<div class="flow-place" tabindex="0" aria-label=${name}>
    <svg
      class="flow"
      viewBox=${box}
      width=${width + 2 * MARGIN}
      height=${height + 2 * MARGIN}
      role="img"
      aria-label=${label}
    >
      <defs>
        <marker
          id="flow-arrow"
          viewBox="0 0 10 10"
          refX="9"
          refY="5"
          markerWidth="7"
          markerHeight="7"
          orient="auto-start-reverse"
        >
          <path d="M0 0 10 5 0 10z" />
        </marker>
      </defs>
      ${edges.map((edge) => html`<${Edge} edge=${edge} />`)}
      ${nodes.map((node) => html`<${Node} key=${node.id} node=${node} />`)}
    </svg>
  </div>`;
}
