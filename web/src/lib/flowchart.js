// SPDX-License-Identifier: Apache-2.0
// flowchart.js - diagrams in the manner of Mermaid's flowcharts: parsed, and laid out in layers.
//
//     parseFlow("graph LR\n a[Start] --> b{Good?} -->|yes| c(End)")
//         ->  {direction, nodes: [{id, text, shape}], edges: [{from, to, text, style, arrow}]}
//     layoutFlow(flow)  ->  {width, height, nodes: [{…, x, y, w, h}], edges: [{…, points}]}
//
// Lines that are not understood are left out: half a diagram, while it is being written, is a
// diagram of its first half.

const NODES_MAX = 400;
const EDGES_MAX = 1000;
const CHAR_WIDTH = 7.6;
const LINE_HEIGHT = 18;
const NODE_GAP = 28;
const LAYER_GAP = 56;
const LABEL_CHARS_MAX = 28;

const SHAPES = [
  ["((", "))", "circle"],
  ["([", "])", "pill"],
  ["[[", "]]", "box"],
  ["[(", ")]", "store"],
  ["{{", "}}", "hexagon"],
  ["[/", "/]", "box"],
  ["[", "]", "box"],
  ["(", ")", "round"],
  ["{", "}", "diamond"],
  [">", "]", "box"],
];
const ID = /^[\p{L}\p{N}_.-]*[\p{L}\p{N}_]/u;
const LINK = /^\s*(<)?(--+|==+|-\.+-?)(>|x|o)?(?:\|([^|]*)\|)?\s*/;
const TEXT_LINK = /^\s*(<)?(--|==|-\.)\s+([^|>]+?)\s+(--+|==+|\.+-)(>|x|o)?\s*/;

function unquote(text) {
  const plain = text.trim().replace(/^"([^]*)"$/, "$1");
  return plain.replace(/<br\s*\/?>/gi, "\n").replace(/#quot;/g, '"');
}

function readNode(rest) {
  const id = ID.exec(rest)?.[0];
  if (!id) return null;
  let after = rest.slice(id.length);
  for (const [open, close, shape] of SHAPES) {
    if (!after.startsWith(open)) continue;
    const end = after.indexOf(close, open.length);
    if (end < 0) break;
    const text = unquote(after.slice(open.length, end));
    after = after.slice(end + close.length).replace(/^:::\w+/, "");
    return { node: { id, text, shape }, rest: after };
  }
  return { node: { id, text: null, shape: "box" }, rest: after.replace(/^:::\w+/, "") };
}

function readLink(rest) {
  const texted = TEXT_LINK.exec(rest);
  if (texted) {
    const style = texted[2][0] === "=" ? "thick" : texted[2] === "-." ? "dotted" : "plain";
    return {
      link: { text: unquote(texted[3]), style, arrow: !!texted[5] },
      size: texted[0].length,
    };
  }
  const plain = LINK.exec(rest);
  if (!plain) return null;
  const style = plain[2][0] === "=" ? "thick" : plain[2].includes(".") ? "dotted" : "plain";
  const text = unquote(plain[4] ?? "");
  return { link: { text, style, arrow: !!plain[3] }, size: plain[0].length };
}

// "a & b" -> the ids of all, and what follows them
function readGroup(rest, take) {
  const ids = [];
  let at = rest.trimStart();
  for (;;) {
    const found = readNode(at);
    if (!found) return { ids, rest: at };
    ids.push(take(found.node));
    at = found.rest.trimStart();
    if (!at.startsWith("&")) return { ids, rest: at };
    at = at.slice(1).trimStart();
  }
}

function readLine(line, flow, take) {
  let group = readGroup(line, take);
  while (group.ids.length && group.rest) {
    const found = readLink(group.rest);
    if (!found) return;
    const next = readGroup(group.rest.slice(found.size), take);
    for (const from of group.ids) {
      for (const to of next.ids) {
        if (flow.edges.length < EDGES_MAX) flow.edges.push({ from, to, ...found.link });
      }
    }
    group = next;
  }
}

export function parseFlow(text) {
  const flow = { direction: "TB", nodes: [], edges: [], isFlow: false };
  const byId = new Map();
  const take = (node) => {
    const known = byId.get(node.id);
    if (known && node.text !== null) Object.assign(known, node);
    if (!known && byId.size < NODES_MAX) {
      byId.set(node.id, node);
      flow.nodes.push(node);
    }
    return node.id;
  };
  for (const raw of text.split(/[\n;]/)) {
    const line = raw.replace(/%%.*$/, "").trim();
    const head = /^(?:graph|flowchart)(?:\s+(TB|TD|BT|LR|RL))?\s*$/i.exec(line);
    if (head) {
      flow.isFlow = true;
      flow.direction = (head[1] ?? "TB").toUpperCase().replace("TD", "TB");
    } else if (
      flow.isFlow &&
      line &&
      !/^(style|classDef|class|click|linkStyle|subgraph|end|direction)\b/.test(line)
    ) {
      readLine(line, flow, take);
    }
  }
  for (const node of flow.nodes) node.text ??= node.id;
  flow.edges = flow.edges.filter(({ from, to }) => byId.has(from) && byId.has(to));
  return flow;
}

// ---- Layout -----------------------------------------------------------------------------------

function wrap(text) {
  return text.split("\n").flatMap((line) => {
    const lines = [""];
    for (const word of line.split(/\s+/)) {
      const last = lines[lines.length - 1];
      if (last && last.length + word.length >= LABEL_CHARS_MAX) lines.push(word);
      else lines[lines.length - 1] = last ? `${last} ${word}` : word;
    }
    return lines;
  });
}

function sized(node) {
  const lines = wrap(node.text);
  const widest = Math.max(...lines.map((line) => line.length));
  let w = Math.max(56, widest * CHAR_WIDTH + 28);
  let h = lines.length * LINE_HEIGHT + 20;
  if (node.shape === "diamond") [w, h] = [w * 1.35 + 16, h * 1.5 + 12];
  if (node.shape === "circle") w = h = Math.max(w, h);
  return { ...node, lines, w, h };
}

// Longest path from a source; edges that close a circle are left out of it.
function layersOf(nodes, edges) {
  const out = new Map(nodes.map(({ id }) => [id, []]));
  for (const { from, to } of edges) if (from !== to) out.get(from).push(to);
  const layer = new Map();
  const seen = new Map(); // id -> "open" while on the path, "done" after
  const order = [];
  const visit = (id) => {
    seen.set(id, "open");
    for (const to of out.get(id)) if (!seen.has(to)) visit(to);
    seen.set(id, "done");
    order.unshift(id);
  };
  for (const { id } of nodes) if (!seen.has(id)) visit(id);
  const place = new Map(order.map((id, i) => [id, i]));
  for (const id of order) {
    if (!layer.has(id)) layer.set(id, 0);
    for (const to of out.get(id)) {
      const isForward = place.get(to) > place.get(id);
      if (isForward) layer.set(to, Math.max(layer.get(to) ?? 0, layer.get(id) + 1));
    }
  }
  return layer;
}

// Order within the layers: a few sweeps by the mean place of the neighbours.
function sortLayers(layers, edges) {
  const place = new Map();
  const note = () => layers.forEach((row) => row.forEach(({ id }, i) => place.set(id, i)));
  note();
  const mean = (id, pick) => {
    const places = edges
      .filter((e) => pick(e) === id)
      .map((e) => place.get(e.from === id ? e.to : e.from));
    return places.length ? places.reduce((a, b) => a + b) / places.length : place.get(id);
  };
  for (let sweep = 0; sweep < 4; sweep++) {
    const pick = sweep % 2 ? (e) => e.from : (e) => e.to;
    for (const row of layers) {
      const at = new Map(row.map(({ id }) => [id, mean(id, pick)]));
      row.sort((a, b) => at.get(a.id) - at.get(b.id));
    }
    note();
  }
}

// Positions as if the direction were top to bottom; `turn` swaps the axes afterwards.
function setPositions(layers, isSideways) {
  const across = (node) => (isSideways ? node.h : node.w);
  const along = (node) => (isSideways ? node.w : node.h);
  const widths = layers.map((row) => row.reduce((sum, n) => sum + across(n) + NODE_GAP, -NODE_GAP));
  const widest = Math.max(...widths, 0);
  let depth = 0;
  layers.forEach((row, i) => {
    const thickness = Math.max(...row.map(along));
    let at = (widest - widths[i]) / 2;
    for (const node of row) {
      const [c, d] = [at + across(node) / 2, depth + thickness / 2];
      [node.x, node.y] = isSideways ? [d, c] : [c, d];
      at += across(node) + NODE_GAP;
    }
    depth += thickness + LAYER_GAP;
  });
  return { widest, depth: depth - LAYER_GAP };
}

function edgePoints(a, b, isSideways) {
  const [dx, dy] = isSideways ? [Math.sign(b.x - a.x) || 1, 0] : [0, Math.sign(b.y - a.y) || 1];
  const start = [a.x + (dx * a.w) / 2, a.y + (dy * a.h) / 2];
  const end = [b.x - (dx * b.w) / 2, b.y - (dy * b.h) / 2];
  const bend = (isSideways ? Math.abs(end[0] - start[0]) : Math.abs(end[1] - start[1])) / 2;
  const lean = Math.max(bend, 18);
  return [
    start,
    [start[0] + dx * lean, start[1] + dy * lean],
    [end[0] - dx * lean, end[1] - dy * lean],
    end,
  ];
}

export function layoutFlow(flow) {
  const nodes = flow.nodes.map(sized);
  if (!nodes.length) return { width: 0, height: 0, nodes, edges: [] };
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const layer = layersOf(nodes, flow.edges);
  const layers = Array.from({ length: Math.max(...layer.values()) + 1 }, () => []);
  for (const node of nodes) layers[layer.get(node.id)].push(node);
  sortLayers(layers, flow.edges);
  const isSideways = flow.direction === "LR" || flow.direction === "RL";
  const { widest, depth } = setPositions(layers, isSideways);
  const [width, height] = isSideways ? [depth, widest] : [widest, depth];
  if (flow.direction === "BT") for (const node of nodes) node.y = height - node.y;
  if (flow.direction === "RL") for (const node of nodes) node.x = width - node.x;
  const edges = flow.edges.map((edge) => ({
    ...edge,
    points: edgePoints(byId.get(edge.from), byId.get(edge.to), isSideways),
  }));
  return { width, height, nodes, edges };
}
