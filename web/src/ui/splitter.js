// SPDX-License-Identifier: Apache-2.0
// splitter.js - the border between chat and artifact, to be moved by mouse or arrow keys.
import { html } from "./html.js";

const [LEAST, MOST, STEP] = [25, 75, 3];

export function Splitter({ value, onChange }) {
  const set = (next) => onChange(Math.round(Math.min(MOST, Math.max(LEAST, next))));
  const onPointerDown = (event) => {
    const bar = event.currentTarget;
    const box = bar.parentElement.getBoundingClientRect();
    bar.setPointerCapture(event.pointerId);
    bar.parentElement.classList.add("is-resizing");
    bar.onpointermove = (move) => set((100 * (box.right - move.clientX)) / box.width);
    bar.onpointerup = bar.onpointercancel = () => {
      bar.onpointermove = null;
      bar.parentElement.classList.remove("is-resizing");
    };
  };
  const onKeyDown = (event) => {
    if (event.key === "ArrowLeft") set(value + STEP);
    else if (event.key === "ArrowRight") set(value - STEP);
    else return;
    event.preventDefault();
  };
  return html`<div
    class="splitter"
    role="separator"
    aria-orientation="vertical"
    tabindex="0"
    aria-label="Width of the artifact"
    aria-valuenow=${value}
    aria-valuemin=${LEAST}
    aria-valuemax=${MOST}
    onPointerDown=${onPointerDown}
    onKeyDown=${onKeyDown}
  />`;
}
