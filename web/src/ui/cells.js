// SPDX-License-Identifier: Apache-2.0
// cells.js - a station's tasks as a field of small squares: on a canvas, since there may be
// thousands; walked with the arrow keys.
import { useEffect, useRef, useState } from "preact/hooks";
import { lookOf } from "../lib/events.js";
import { html } from "./html.js";

// From calm to alarming: when a square stands for many tasks it shows the last of theirs.
const LOOKS = [
  "open",
  "routed",
  "running",
  "abstained",
  "accepted",
  "lifted",
  "escalated",
  "wrong",
  "failed",
];
export const LOOK_WORDS = {
  open: "to be looked at",
  routed: "waiting for its worker",
  running: "being worked on",
  accepted: "accepted",
  lifted: "accepted from the lead",
  escalated: "gone up to the lead",
  abstained: "left as it was",
  failed: "failed",
  wrong: "wrong by an audit, replaced",
};

function colorsOf(element) {
  const style = getComputedStyle(element);
  return Object.fromEntries(
    LOOKS.map((look) => [look, style.getPropertyValue(`--task-${look}`).trim()]),
  );
}

function lookOfCell(tasks, cell, each) {
  let worst = 0;
  for (let i = cell * each; i < Math.min(tasks.length, (cell + 1) * each); i++) {
    worst = Math.max(worst, LOOKS.indexOf(lookOf(tasks[i])));
  }
  return LOOKS[worst];
}

// Shapes as well as colours: not everybody tells these colours apart.
function drawCell(pen, look, x, y, size, colors) {
  const side = size - (size > 6 ? 2 : 1);
  pen.fillStyle = pen.strokeStyle = colors[look];
  if (look === "open" || look === "routed") {
    pen.lineWidth = 1;
    pen.strokeRect(x + 0.5, y + 0.5, side - 1, side - 1);
    if (look === "routed") pen.fillRect(x + side / 2 - 1, y + side / 2 - 1, 2, 2);
    return;
  }
  pen.fillRect(x, y, side, side);
  if (size < 7) return;
  pen.fillStyle = pen.strokeStyle = colors.mark;
  pen.lineWidth = Math.max(1.2, size / 9);
  pen.beginPath();
  if (look === "lifted" || look === "escalated") {
    pen.moveTo(x + side * 0.25, y + side * 0.6);
    pen.lineTo(x + side * 0.5, y + side * 0.3);
    pen.lineTo(x + side * 0.75, y + side * 0.6);
  } else if (look === "failed" || look === "wrong") {
    pen.moveTo(x + side * 0.28, y + side * 0.28);
    pen.lineTo(x + side * 0.72, y + side * 0.72);
    pen.moveTo(x + side * 0.72, y + side * 0.28);
    pen.lineTo(x + side * 0.28, y + side * 0.72);
  }
  pen.stroke();
}

function paint(canvas, tasks, fit, width, selected) {
  const scale = window.devicePixelRatio || 1;
  const height = fit.rows * fit.size;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const colors = {
    ...colorsOf(canvas),
    mark: getComputedStyle(canvas).getPropertyValue("--task-mark"),
  };
  const cells = Math.ceil(tasks.length / fit.each);
  for (let cell = 0; cell < cells; cell++) {
    const [x, y] = [(cell % fit.columns) * fit.size, Math.floor(cell / fit.columns) * fit.size];
    drawCell(pen, lookOfCell(tasks, cell, fit.each), x, y, fit.size, colors);
  }
  const at = Math.floor(tasks.findIndex(({ item }) => item === selected) / fit.each);
  if (selected !== null && at >= 0) {
    pen.strokeStyle = getComputedStyle(canvas).color;
    pen.lineWidth = 2;
    const side = fit.size - 1;
    pen.strokeRect(
      (at % fit.columns) * fit.size + 0.5,
      Math.floor(at / fit.columns) * fit.size + 0.5,
      side - 1,
      side - 1,
    );
  }
}

function wordsOf(task) {
  const language = task.language ? `, ${task.language}` : "";
  return `Task ${task.task}${language}: ${LOOK_WORDS[lookOf(task)]}`;
}

export function Cells({ tasks, fit, width, version, selected, onSelect, label }) {
  const canvas = useRef();
  const [focus, setFocus] = useState(0);
  useEffect(
    () => paint(canvas.current, tasks, fit, width, selected),
    [version, tasks, width, selected],
  );
  useEffect(() => {
    const again = () => paint(canvas.current, tasks, fit, width, selected);
    const looks = new MutationObserver(again);
    looks.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => looks.disconnect();
  });
  const at = Math.min(focus, tasks.length - 1);
  const taskAt = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const [column, row] = [event.clientX - box.left, event.clientY - box.top].map((d) =>
      Math.floor(d / fit.size),
    );
    return column < fit.columns ? tasks[(row * fit.columns + column) * fit.each] : undefined;
  };
  const onKeyDown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -fit.columns, ArrowDown: fit.columns }[
      event.key
    ];
    if (step) setFocus(Math.max(0, Math.min(tasks.length - 1, at + step * fit.each)));
    else if (event.key === "Enter" || event.key === " ") onSelect(tasks[at].item);
    else return;
    event.preventDefault();
  };
  const onClick = (event) => {
    const task = taskAt(event);
    if (!task) return;
    setFocus(tasks.indexOf(task));
    onSelect(task.item);
  };
  const onMove = (event) => {
    const task = taskAt(event);
    canvas.current.title = task ? wordsOf(task) : "";
  };
  return html`<canvas
    ref=${canvas}
    class="cells"
    style=${`width:${width}px;height:${fit.rows * fit.size}px`}
    role="slider"
    tabindex="0"
    aria-label=${`Tasks of ${label}`}
    aria-valuemin="1"
    aria-valuemax=${tasks.length}
    aria-valuenow=${at + 1}
    aria-valuetext=${wordsOf(tasks[at])}
    onKeyDown=${onKeyDown}
    onClick=${onClick}
    onMouseMove=${onMove}
  />`;
}
