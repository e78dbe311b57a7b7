/* SPDX-License-Identifier: Apache-2.0 */
/* cli_svg.h - what the pictures of reports share: the page, its colours on light and on dark, text,
 * and axes.
 *
 * Classes of the style sheet: text as `title`, `head`, `faint`; lines as `grid`, `axis`, `line`;
 * areas as `wide`, `half`, `less`, `more`.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_SVG_H
#define ENX_CLI_CLI_SVG_H

#include "base/buf.h"

enum { CLI_SVG_BYTES_MAX = 4 << 20, CLI_SVG_TOP = 62 /* what title and subtitle take */ };

typedef enum cli_anchor { CLI_ANCHOR_START, CLI_ANCHOR_MIDDLE, CLI_ANCHOR_END } cli_anchor;

/* ENX_LIMIT, ENX_NOMEM, as all that append. */
ENX_MUST_USE enx_status cli_svg_open(enx_buf *out, int width, int height, const char *title,
                                     const char *subtitle);
ENX_MUST_USE enx_status cli_svg_close(enx_buf *out);

/* `text` as XML text; bytes below space become "?". */
ENX_MUST_USE enx_status cli_svg_escape(enx_buf *out, const char *text);
ENX_MUST_USE enx_status cli_svg_text(enx_buf *out, const char *style, cli_anchor anchor, double x,
                                     double y, const char *text);
/* A number in few digits. */
ENX_MUST_USE enx_status cli_svg_number(enx_buf *out, const char *style, cli_anchor anchor, double x,
                                       double y, double value);
/* A square of `style` and what it means. */
ENX_MUST_USE enx_status cli_svg_key(enx_buf *out, const char *style, double x, double y,
                                    const char *text);

/* 1, 2 or 5 times a power of ten, so that a positive `span` has from 3 to 8 of them. */
double cli_svg_step(double span);

#endif /* ENX_CLI_CLI_SVG_H */
