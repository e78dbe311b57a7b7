// SPDX-License-Identifier: Apache-2.0
// html.js - templates for components.
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);

export function classes(...names) {
  return names.filter(Boolean).join(" ");
}
